"""What goes with exported weights: the run's configuration, what it knew of its data, and its origin."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from rwseg import __version__
from rwseg.core.errors import MALFORMED, ConfigError, RunError
from rwseg.core.files import from_json
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.config.validation import check, plain
from rwseg.experiments.run_status import read_run
from rwseg.models.inference.inference_spec import InferenceSpec, checked_spec
from rwseg.models.inference.predictor import Predictor
from rwseg.models.unet import UNet

FORMAT = 1
"""Raise this when the meaning of the file changes: older exports are then refused."""

ORIGIN = (
    "choices",
    "git_commit",
    "versions",
    "device",
    "processor",
    "data_digest",
    "split_digest",
    "seconds",
)
"""What of `run.json` goes along."""


@dataclass(frozen=True)
class Description:
    """`config` is the run's with nothing left to plan; the weights are those of `checkpoint`.

    `origin` is what `run.json` knew. The network takes sizes that are multiples of `multiple`. `graph` is the
    hash of the file that an export as a graph describes.
    """

    config: TrainConfig
    data: InferenceSpec
    checkpoint: str
    origin: dict[str, Any]
    multiple: tuple[int, int]
    graph: str | None


def described(predictor: Predictor, checkpoint: str) -> dict[str, Any]:
    """The description of a loaded run, as JSON has it."""
    run = read_run(predictor.folder)
    return {
        "format": FORMAT,
        "rwseg": __version__,
        "checkpoint": checkpoint,
        "classes": list(predictor.classes),
        "channels": list(predictor.data.channels),
        "config": _portable(predictor.config),
        "data": asdict(predictor.data),
        "multiple": list(multiple_of(predictor)),
        "origin": {key: run[key] for key in ORIGIN if run.get(key) is not None},
    }


def is_description(path: Path) -> bool:
    """Whether `path` is what an export of some version wrote, and may be replaced by another."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"format", "rwseg", "config", "checkpoint"} <= content.keys()


def multiple_of(predictor: Predictor) -> tuple[int, int]:
    """The sizes that the network takes are multiples of these."""
    network = predictor.network.network
    return network.strides if isinstance(network, UNet) else predictor.data.patch_size


def _portable(config: TrainConfig) -> dict[str, Any]:
    """The configuration without the folders of one machine, and without what only a training needs."""
    content = plain(config)
    content["dataset"] |= {"root": f"data/{config.dataset.name}", "cache": None}
    return content | {"output_root": "outputs", "prepared_root": "prepared", "logger": {}, "callbacks": {}}


def read_description(path: Path) -> Description:
    """What `described` wrote into `path`; `RunError` where it is missing, damaged or of another version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise RunError(
                f"{path}: expected format {FORMAT}, found {content['format']}: an export of another version "
                "of rwseg; use that version, or export the run again"
            )
        data: InferenceSpec = from_json(InferenceSpec, content["data"])
        checked_spec(data)
        config = check(OmegaConf.create(content["config"]))
        return Description(
            config,
            data,
            from_json(str, content["checkpoint"]),
            dict(content["origin"]),
            from_json(tuple[int, int], content["multiple"]),
            content["graph"]["blake2b"] if "graph" in content else None,
        )
    except (*MALFORMED, ConfigError) as error:
        raise RunError(
            f"{path}: expected what rwseg export wrote, found {error!r}; export the run again"
        ) from error
