"""Draw figures 2, 3 and 4 of the region-wise paper, or what losses make of labels of your own.

    rwseg theory OUT                            figure 3 on a phantom heart with made-up predictions
    rwseg theory OUT --run RUN_DIR [--case CASE]  figure 3 from a run's own checkpoints
    rwseg theory OUT --data LABELS [--loss "rw_boundary rectify=true" --loss mine.MyLoss]
                                                weights and gradients of losses on a label file
    rwseg theory OUT --data LABELS --map "[boundary,{anneal: 0.5}]" --map "[skeleton]"
                                                the same of compositions of maps (docs/maps.md)
    rwseg theory --play [FILE.html] [--data LABELS]
                                                a page to draw labels on and see what each map does to them

Writes figure2, figure3 and figure4, or own_labels and shares (also as CSV), to OUT as PNG and SVG; --play
writes one page (play.html) that needs no network, and opens it where there is a browser. The case is the
first of the validation split unless named; of a volume the slice with most foreground is drawn.
"""

import argparse
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from rwseg.core.errors import ConfigError, RunError, RwsegError
from rwseg.core.files import replacing, told_unless_written, write_bytes
from rwseg.core.paths import user_path
from rwseg.data.case import IGNORE
from rwseg.data.datasets.acdc import CLASSES
from rwseg.data.datasets.phantom import draw_hearts
from rwseg.data.datasets.phantom_geometry import label_volume
from rwseg.data.io.label_slice import read_label_slice
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.experiments.build import build_network
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.named_loss import named_loss
from rwseg.experiments.prepared_run import prepare_run
from rwseg.experiments.run_directory import config_digest, load_config
from rwseg.experiments.trial import check_composed_maps
from rwseg.losses import CombinedLoss, SegmentationLoss
from rwseg.models.inference.sliding_window import predict_volume
from rwseg.models.inference.whole_volumes import WINDOW_BATCH
from rwseg.report.figures.theory_labels import labels_figure
from rwseg.report.figures.theory_pixels import Stage, negatives_figure
from rwseg.report.figures.theory_shares import shares_figure, shares_of
from rwseg.report.figures.theory_weights import gradient_signs_figure, small_gradients_figure
from rwseg.report.play.browser import open_in_browser
from rwseg.report.play.labels import drawing_of
from rwseg.report.play.page import write_play_page
from rwseg.training.callbacks.checkpoints import BEST, LAST, load_checkpoint

CONFIDENCES = {"uniform prediction": 0.0, "unsure": 1.5, "nearly right": 8.0}
"""Made-up predictions: the logit of a pixel's class above the others, before noise."""


DEFAULT_LOSSES = ("rw_boundary", "rw_boundary rectify=true", "rrw")


def main(arguments: list[str] | None = None) -> None:
    """Run the command; what the user can mend ends it with status 2 and a message."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.case is not None and asked.run is None:
        parser.error("--case: expected together with --run RUN_DIR")
    if (asked.out is None) == (asked.play is None):
        parser.error("expected a folder OUT for pictures, or --play [FILE.html] for a page")
    if asked.play is not None and (asked.run is not None or asked.loss or asked.map):
        parser.error("--play: expected without --run, --loss and --map; the page has the maps to choose from")
    if (asked.loss or asked.map) and asked.data is None:
        parser.error(f"--{'loss' if asked.loss else 'map'}: expected together with --data LABELS")
    if asked.run is not None and asked.data is not None:
        parser.error("--data LABELS: expected without --run RUN_DIR")
    try:
        if asked.play is not None:
            play(asked.play, asked.data)
            return
        for name, figure in _figures(asked).items():
            for path in save(figure, asked.out, name):
                print(f"wrote {path}")
    except RwsegError as error:
        print(f"rwseg theory: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def _figures(asked: argparse.Namespace) -> dict[str, Figure]:
    if asked.data is not None:
        words = {text: _words(text) for text in asked.loss or ()}
        words |= {text: ["rw", f"map={text}"] for text in asked.map or ()}
        seen = own_labels(asked.data, words or {text: shlex.split(text) for text in DEFAULT_LOSSES})
        write_shares(asked.out, seen)
        return {"own_labels": own_labels_figure(seen), "shares": own_shares_figure(seen)}
    third = phantom_figure() if asked.run is None else run_figure(asked.run, asked.case)
    return {"figure2": gradient_signs_figure(), "figure3": third, "figure4": small_gradients_figure()}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"--loss {text}: expected words as a shell has them, got: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rwseg theory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("out", type=user_path, nargs="?", metavar="OUT", help="folder for the pictures")
    add(
        "--play",
        type=user_path,
        nargs="?",
        const=Path("play.html"),
        metavar="FILE.html",
        help="write a page to play with instead (default: play.html)",
    )
    add("--run", type=user_path, metavar="RUN_DIR", help="run directory whose checkpoints figure 3 shows")
    add("--case", help="case of that run's data (default: the first of the validation split)")
    add("--data", type=user_path, metavar="LABELS", help="label file, NIfTI or a picture")
    add(
        "--loss",
        action="append",
        metavar="LOSS",
        help="a loss to draw on it, named as for rwseg check-loss (may be repeated)",
    )
    add(
        "--map",
        action="append",
        metavar="LIST",
        help="a composition of maps to draw on it, as loss=rw loss.map=LIST takes it (may be repeated)",
    )
    return parser


def play(path: Path, data: Path | None) -> None:
    """Write the page to `path`, with the slice of a label file to begin with, and open it in a browser."""
    drawing = None if data is None else drawing_of(read_label_slice(data), data.name)
    write_play_page(path, drawing)
    if drawing is not None:
        print(drawing.note)
    print(f"wrote {path}")
    if not open_in_browser(path):
        print(f"no browser to open it here; open {path.resolve().as_uri()} in one")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write `name.png` and `name.svg` to `folder`, the same bytes every time; returns their paths."""
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    for path in paths:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        style = matplotlib.rc_context({"savefig.dpi": 100, "svg.hashsalt": name, "hatch.linewidth": 0.6})
        with told_unless_written(path), replacing(path) as temporary, style:
            figure.savefig(temporary, format=path.suffix[1:], metadata=metadata)
    return paths


def phantom_figure() -> Figure:
    """Figure 3 on the middle slice of the first phantom heart."""
    heart = draw_hearts(subject=1)["ED"]
    volume = label_volume(heart)
    labels = torch.from_numpy(volume[len(volume) // 2]).long()
    stages = [
        Stage(name, _made_up(labels, len(CLASSES), confidence)) for name, confidence in CONFIDENCES.items()
    ]
    title = "Phantom heart, synthetic predictions that go from uniform to nearly right"
    return negatives_figure(labels, stages, CLASSES, title, heart.spacing[1] / heart.spacing[2])


class OwnLabels(NamedTuple):
    """The slice of a label file `(H, W)`, what is drawn on it, and how."""

    title: str
    labels: Tensor
    names: list[str]
    losses: dict[str, SegmentationLoss]
    stages: list[Stage]
    aspect: float  # the pixel's height over its width


def own_labels(path: Path, losses: Mapping[str, Sequence[str]]) -> OwnLabels:
    """Read the slice of a label file and build losses, each by its words; distances count in pixels."""
    found = read_label_slice(path)
    labels = torch.from_numpy(found.labels).long()
    names = [f"label {value}" if value else "background" for value in found.values]
    stages = [Stage(name, _made_up(labels, len(names), value)) for name, value in CONFIDENCES.items()]
    built = {name: named_loss(words).build() for name, words in losses.items()}
    for name, loss in built.items():
        _check_loss(name, loss, labels, stages[0])
    height, width = found.spacing
    return OwnLabels(f"{path.name}, slice {found.number + 1}", labels, names, built, stages, height / width)


def _check_loss(name: str, loss: SegmentationLoss, labels: Tensor, stage: Stage) -> None:
    """Raise `ConfigError` for a loss that does not fit the classes or overflows on the labels `(H, W)`."""
    softmax = stage.softmax[None]
    check_composed_maps(CombinedLoss(loss), softmax.shape[1])
    value = float(loss(softmax.log(), labels[None]))
    if not math.isfinite(value):
        raise ConfigError(
            f"{name}: expected a finite loss of these labels, got {value}; its weights are too large to be "
            "numbers in 32 bits, so take smaller exponents"
        )


def own_labels_figure(seen: OwnLabels) -> Figure:
    """Weights and gradients of losses on the slice of a label file."""
    title = (
        f"{seen.title}: weights of the classes beside the true one, and gradients, with synthetic predictions"
    )
    return labels_figure(seen.labels, seen.names, seen.losses, seen.stages, title, seen.aspect)


def own_shares_figure(seen: OwnLabels) -> Figure:
    """Who gets the gradient on that slice, class by class."""
    title = f"{seen.title}: wrong signs and the gradient, class by class, with synthetic predictions"
    shares = shares_of(seen.labels, seen.names, seen.losses, seen.stages)
    return shares_figure(shares, seen.labels, title)


def write_shares(folder: Path, seen: OwnLabels) -> None:
    """Write what that figure shows to `shares.csv`."""
    table = pd.DataFrame(shares_of(seen.labels, seen.names, seen.losses, seen.stages))
    write_bytes(folder / "shares.csv", table.to_csv(index=False).encode())
    print(f"wrote {folder / 'shares.csv'}")


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
    volume[volume == IGNORE] = 0  # nobody labelled it: drawn as background
    index = int((volume > 0).sum((1, 2)).argmax())
    image = torch.from_numpy(data.image(entry, slice(index, index + 1)))  # (C, 1, H, W)

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


def _made_up(labels: Tensor, classes: int, confidence: float) -> Tensor:
    """A softmax `(K, H, W)` that knows the blurred labels `(H, W)` and errs by smooth noise."""
    rng = np.random.default_rng(0)
    shape = (classes, *labels.shape)
    one_hot = (labels.numpy() == np.arange(shape[0])[:, None, None]).astype(np.float64)
    noise = gaussian_filter(rng.standard_normal(shape), sigma=(0, 3, 3))
    known = gaussian_filter(one_hot, sigma=(0, 1.5, 1.5))
    logits = confidence * known + min(1.0, confidence) * noise / noise.std()
    return torch.softmax(torch.from_numpy(logits), dim=0)


if __name__ == "__main__":
    main()
