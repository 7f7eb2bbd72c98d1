"""Run directories made without training: a configuration, a network of random weights, and what it knows."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch

from rwseg.data.case import plain_labels
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.experiments.build import build_network
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.run_directory import config_digest, save_config
from rwseg.models.inference.inference_spec import InferenceSpec, save_inference_spec

HEART = ("background", "RV", "myocardium", "LV")
NATIVE = FittedPreprocessing(
    crop=False, spacing=None, size=None, zoom=1.0, interpolation="spline", normalisation="zscore"
)
DATA = InferenceSpec(
    dataset="phantom",
    classes=HEART,
    channels=("MRI",),
    label_values=plain_labels(4),
    files_per_case=1,
    slice_axis=2,
    converted=False,
    preprocessing=NATIVE,
    digest="0123",
    patch_size=(32, 48),
    pools=((2, 2), (2, 2)),
    batch_size=3,
)


def make_run(
    folder: Path, overrides: Sequence[str], seed: int = 0, data: InferenceSpec = DATA, **changes: object
) -> Path:
    """Write a run directory as a training of `overrides` leaves it, by all that a prediction looks at.

    `changes` are fields of `InferenceSpec` that differ from `data`.
    """
    data = replace(data, **changes)
    cfg, _ = compose("train", list(overrides))
    cfg = check(cfg)
    save_config(folder, cfg)
    save_inference_spec(folder, data)
    planned = deepcopy(cfg)
    planned.dataset.patch_size = list(data.patch_size)
    planned.model.pools = [list(pool) for pool in data.pools]
    torch.manual_seed(seed)
    network = build_network(planned.model, len(data.channels), len(data.classes), data.patch_size)
    for epoch, name in enumerate(("best", "last")):
        with torch.no_grad():
            for weight in network.parameters():
                weight.mul_(1 + 0.1 * epoch)
        path = folder / "checkpoints" / f"{name}.ckpt"
        path.parent.mkdir(exist_ok=True)
        state = {f"network.{key}": value for key, value in network.state_dict().items()}
        torch.save(
            {"state_dict": state, "epoch": epoch, "rwseg": {"config_digest": config_digest(cfg)}}, path
        )
    return folder
