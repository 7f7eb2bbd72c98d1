"""A trained run as a folder of a model hub: weights in safetensors, config.json, and a model card."""

from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rwseg.core.errors import ConfigError, RunError
from rwseg.core.files import write_bytes, write_json, write_text
from rwseg.experiments.export.description import Description, described, is_description, read_description
from rwseg.experiments.export.model_card import LIBRARY, model_card
from rwseg.models.inference.predictor import Predictor

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


class HubFolder(NamedTuple):
    """What a hub folder holds; the weights are the state of the network."""

    description: Description
    weights: dict[str, Tensor]


def is_hub_folder(folder: Path) -> bool:
    """Whether `folder` looks like one that `write_hub_folder` wrote."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def write_hub_folder(predictor: Predictor, checkpoint: str, folder: Path) -> Path:
    """Write a loaded run into `folder`, which is new, empty, or written here before; returns it.

    Raises `ConfigError` for a folder with other files in it, and `DataError` where it cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise ConfigError(
            f"--hub: expected a new or empty folder, or one that rwseg export wrote, got {folder} with other "
            "files; give another"
        )
    content = described(predictor, checkpoint)
    state = predictor.network.network.state_dict().items()
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state}
    write_bytes(folder / WEIGHTS, save(weights, metadata={"format": "pt"}))
    write_text(folder / CARD, model_card(predictor, content))
    write_json(folder / CONFIG, content)
    return folder


def _is_ours(folder: Path) -> bool:
    """Whether rwseg wrote it, perhaps in part: every model of a hub has files of these names."""
    card = folder / CARD
    if (folder / CONFIG).exists():
        return is_description(folder / CONFIG)
    return card.is_file() and LIBRARY in card.read_text(encoding="utf-8", errors="replace")


def read_hub_folder(folder: Path) -> HubFolder:
    """What lies in a hub folder; `RunError` where a file of it is damaged or of another version."""
    path = folder / WEIGHTS
    try:
        weights = load(path.read_bytes())
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"{path}: expected weights in safetensors, got: {error}; fetch the folder again"
        ) from error
    return HubFolder(read_description(folder / CONFIG), weights)
