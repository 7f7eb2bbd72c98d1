"""Draw figures 2, 3 and 4 of the region-wise paper.

    rwseg theory OUT                            figure 3 on a phantom heart with made-up predictions
    rwseg theory OUT --run RUN_DIR [--case CASE]  figure 3 from a run's own checkpoints

Writes figure2, figure3 and figure4 to OUT as PNG and SVG. The case is the first of the validation split
unless named, its slice the one with most foreground.
"""

import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from rwseg.core.errors import RunError, RwsegError
from rwseg.core.files import replacing
from rwseg.core.paths import user_path
from rwseg.data.datasets.acdc import CLASSES
from rwseg.data.datasets.phantom import draw_hearts
from rwseg.data.datasets.phantom_geometry import label_volume
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.experiments.build import build_network
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.prepared_run import prepare_run
from rwseg.experiments.run_directory import config_digest, load_config
from rwseg.models.inference.sliding_window import predict_volume
from rwseg.models.inference.whole_volumes import WINDOW_BATCH
from rwseg.report.figures.theory_pixels import Stage, negatives_figure
from rwseg.report.figures.theory_weights import gradient_signs_figure, small_gradients_figure
from rwseg.training.callbacks.checkpoints import BEST, LAST, load_checkpoint

CONFIDENCES = {"uniform prediction": 0.0, "unsure": 1.5, "nearly right": 8.0}
"""Made-up predictions: the logit of a pixel's class above the others, before noise."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command; what the user can mend ends it with status 2 and a message."""
    parser = argparse.ArgumentParser(prog="rwseg theory", description="Draw figures 2 to 4 of the paper.")
    parser.add_argument("out", type=user_path, metavar="OUT", help="folder for the pictures")
    parser.add_argument(
        "--run", type=user_path, metavar="RUN_DIR", help="run directory whose checkpoints figure 3 shows"
    )
    parser.add_argument("--case", help="case of that run's data (default: the first of the validation split)")
    asked = parser.parse_args(arguments)
    if asked.case is not None and asked.run is None:
        parser.error("--case: expected together with --run RUN_DIR")
    try:
        third = phantom_figure() if asked.run is None else run_figure(asked.run, asked.case)
    except RwsegError as error:
        print(f"rwseg theory: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    figures = {"figure2": gradient_signs_figure(), "figure3": third, "figure4": small_gradients_figure()}
    for name, figure in figures.items():
        for path in save(figure, asked.out, name):
            print(f"wrote {path}")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write `name.png` and `name.svg` to `folder`, the same bytes every time; returns their paths."""
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    for path in paths:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        style = matplotlib.rc_context({"savefig.dpi": 100, "svg.hashsalt": name, "hatch.linewidth": 0.6})
        with replacing(path) as temporary, style:
            figure.savefig(temporary, format=path.suffix[1:], metadata=metadata)
    return paths


def phantom_figure() -> Figure:
    """Figure 3 on the middle slice of the first phantom heart."""
    heart = draw_hearts(subject=1)["ED"]
    volume = label_volume(heart)
    labels = torch.from_numpy(volume[len(volume) // 2]).long()
    stages = [Stage(name, _made_up(labels, confidence)) for name, confidence in CONFIDENCES.items()]
    title = "Phantom heart, synthetic predictions that go from uniform to nearly right"
    return negatives_figure(labels, stages, CLASSES, title, heart.spacing[1] / heart.spacing[2])


def run_figure(run_dir: Path, case: str | None) -> Figure:
    """Figure 3 on one slice of a run's data: untrained, best and last network."""
    cfg = load_config(run_dir)
    checkpoints = [
        load_checkpoint(run_dir / "checkpoints" / name, config_digest(cfg)) for name in (BEST, LAST)
    ]
    run = prepare_run(cfg)
    cfg, data = run.cfg, run.data
    entry = _entry(data, case)
    volume = np.array(data.label(entry))
    index = int((volume > 0).sum((1, 2)).argmax())
    image = torch.from_numpy(np.array(data.image(entry)[:, index : index + 1]))  # (C, 1, H, W)

    torch.manual_seed(cfg.seed)
    network = build_network(cfg.model, len(data.channels), len(data.classes), run.patch_size)
    stages = [Stage("untrained", _softmax(network, image, cfg))]
    for checkpoint in {content["epoch"]: content for content in checkpoints}.values():
        prefix = "network."
        state = {
            k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)
        }
        network.load_state_dict(state)
        stages.append(Stage(f"epoch {checkpoint['epoch'] + 1}", _softmax(network, image, cfg)))
    title = (
        f"{entry.name}, slice {index + 1}, as predicted by the run {'/'.join(run_dir.absolute().parts[-5:])}"
    )
    labels = torch.from_numpy(volume[index]).long()
    return negatives_figure(labels, stages, data.classes, title, entry.spacing[1] / entry.spacing[2])


def _entry(data: Prepared, case: str | None) -> Entry:
    labelled = [entry for entry in data.entries if entry.has_label]
    wanted = data.split("val")[0].name if case is None else case
    for entry in labelled:
        if entry.name == wanted:
            return entry
    names = ", ".join(entry.name for entry in labelled)
    raise RunError(
        f"--case {wanted}: expected a case of dataset '{data.name}' that has labels, one of {names}"
    )


def _softmax(network: nn.Module, image: Tensor, cfg: TrainConfig) -> Tensor:
    """The softmax `(K, H, W)` of one slice `(C, 1, H, W)`; training averages over no flips either."""
    patch = tuple(cfg.dataset.patch_size or ())
    probabilities = predict_volume(network.eval(), image, patch, False, WINDOW_BATCH)
    return probabilities[:, 0]


def _made_up(labels: Tensor, confidence: float) -> Tensor:
    """A softmax `(K, H, W)` that knows the blurred labels `(H, W)` and errs by smooth noise."""
    rng = np.random.default_rng(0)
    shape = (len(CLASSES), *labels.shape)
    one_hot = (labels.numpy() == np.arange(shape[0])[:, None, None]).astype(np.float64)
    noise = gaussian_filter(rng.standard_normal(shape), sigma=(0, 3, 3))
    known = gaussian_filter(one_hot, sigma=(0, 1.5, 1.5))
    logits = confidence * known + min(1.0, confidence) * noise / noise.std()
    return torch.softmax(torch.from_numpy(logits), dim=0)


if __name__ == "__main__":
    main()
