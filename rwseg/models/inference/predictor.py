"""A trained run, or several of them as an ensemble, ready to predict volumes that it never saw."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from rwseg.assembly import build_network
from rwseg.checkpoints import load_checkpoint
from rwseg.data.case import LoadedCase
from rwseg.data.volume import prepare_volume
from rwseg.errors import MALFORMED, RunError
from rwseg.inference import most_probable
from rwseg.rundata import RunData, load_data
from rwseg.rundir import config_digest, load_config
from rwseg.unet import UNet
from rwseg.volumes import native_probabilities

SHARED = ("classes", "channels", "files_per_case", "slice_axis", "converted")
"""Fields of `RunData` in which an ensemble agrees; each member has its own recipe, patch and network."""


@dataclass(frozen=True)
class Trained:
    """A run's network in evaluation mode on its device, and what it needs to predict.

    `config` is the run's own; `flips` says whether it averages over mirror images.
    """

    folder: Path
    config: DictConfig
    data: RunData
    network: UNet
    flips: bool

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def probabilities(self, loaded: LoadedCase) -> Iterator[Tensor]:
        """Class probabilities `(K, H, W)` of a case, slice by slice, on its native grid, on the device.

        The case is prepared by the run's recipe. Raises `DataError` where it cannot be.
        """
        volume = prepare_volume(loaded, self.data.recipe, len(self.data.classes))
        image = torch.from_numpy(volume.image).to(self.device)
        shape = loaded.image.shape[1:]
        return native_probabilities(self.network, image, shape, volume.crop, self.data.patch_size, self.flips)


def load_trained(run_dir: Path, checkpoint: str, device: torch.device) -> Trained:
    """The run in `run_dir` with the weights of `checkpoint` (`last` or `best`).

    Raises `RunError` where `run_dir` is no run directory of this version of rwseg, or the checkpoint is
    missing, damaged or of another configuration.
    """
    config = load_config(run_dir)
    content = load_checkpoint(run_dir / "checkpoints" / f"{checkpoint}.ckpt", config_digest(config))
    data = load_data(run_dir)
    # A planned run has null in its configuration where the plan decided.
    OmegaConf.update(config, "dataset.patch_size", list(data.patch_size))
    OmegaConf.update(config, "model.pools", [list(pool) for pool in data.pools])
    prefix = "network."
    try:
        network = build_network(config, len(data.channels), len(data.classes))
        state = content["state_dict"].items()
        network.load_state_dict({k.removeprefix(prefix): v for k, v in state if k.startswith(prefix)})
    except MALFORMED as error:
        raise RunError(
            f"{run_dir}: expected a checkpoint of the network in config.yaml and data.json, got: {error}"
        ) from error
    return Trained(run_dir, config, data, network.eval().to(device), config.evaluation.flips)


def load_ensemble(run_dirs: Sequence[Path], checkpoint: str, device: torch.device) -> list[Trained]:
    """`load_trained` of each.

    Raises `RunError` as there, for none, for one twice, and for runs that do not go together (`SHARED`).
    """
    if not run_dirs:
        raise RunError("run_dir: expected at least one run directory, got an empty list")
    twice = [str(run_dir) for run_dir in run_dirs if list(run_dirs).count(run_dir) > 1]
    if twice:
        raise RunError(f"run_dir: expected each run once, got {twice[0]} several times")
    members = [load_trained(run_dir, checkpoint, device) for run_dir in run_dirs]
    first, *others = members
    faults = [
        f"  - {field}: {getattr(first.data, field)} in {first.folder}, "
        f"{getattr(other.data, field)} in {other.folder}"
        for other in others
        for field in SHARED
        if getattr(other.data, field) != getattr(first.data, field)
    ]
    if faults:
        raise RunError(
            "\n".join(["run_dir: expected runs that predict the same from the same files:", *faults])
        )
    return members


def predict_case(members: Sequence[Trained], loaded: LoadedCase) -> NDArray[np.uint8]:
    """Label map `(Z, H, W)` on the native grid: the class of the largest mean softmax over the members."""
    return most_probable([member.probabilities(loaded) for member in members])
