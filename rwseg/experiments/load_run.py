"""Trained runs from their directories, one or several that go together."""

from collections.abc import Sequence
from pathlib import Path

import torch

from rwseg.core.errors import MALFORMED, RunError
from rwseg.experiments.build import build_network
from rwseg.experiments.run_directory import config_digest, load_config
from rwseg.models.inference.inference_spec import load_inference_spec
from rwseg.models.inference.predictor import Predictor
from rwseg.training.callbacks.checkpoints import load_checkpoint

SHARED = ("classes", "channels", "files_per_case", "slice_axis", "converted")
"""Fields of `InferenceSpec` in which an ensemble agrees; patch and network are each member's."""


def load_predictor(run_dir: Path, checkpoint: str, device: torch.device) -> Predictor:
    """The run in `run_dir` with the weights of `checkpoint` (`last` or `best`).

    Raises `RunError` where `run_dir` is no run directory of this version of rwseg, or the checkpoint is
    missing, damaged or of another configuration.
    """
    config = load_config(run_dir)
    content = load_checkpoint(run_dir / "checkpoints" / f"{checkpoint}.ckpt", config_digest(config))
    data = load_inference_spec(run_dir)
    # A planned run has null in its configuration where the plan decided.
    config.dataset.patch_size = list(data.patch_size)
    config.model.pools = [list(pool) for pool in data.pools]
    prefix = "network."
    try:
        network = build_network(config, len(data.channels), len(data.classes))
        state = content["state_dict"].items()
        network.load_state_dict({k.removeprefix(prefix): v for k, v in state if k.startswith(prefix)})
    except MALFORMED as error:
        raise RunError(
            f"{run_dir}: expected a checkpoint of the network in config.yaml and data.json, got: {error}"
        ) from error
    return Predictor(run_dir, config, data, network.eval().to(device), config.evaluation.flips)


def load_ensemble(run_dirs: Sequence[Path], checkpoint: str, device: torch.device) -> list[Predictor]:
    """`load_predictor` of each.

    Raises `RunError` as there, for none, for one twice, and for runs that do not go together (`SHARED`).
    """
    if not run_dirs:
        raise RunError("run_dir: expected at least one run directory, got an empty list")
    twice = [str(run_dir) for run_dir in run_dirs if list(run_dirs).count(run_dir) > 1]
    if twice:
        raise RunError(f"run_dir: expected each run once, got {twice[0]} several times")
    members = [load_predictor(run_dir, checkpoint, device) for run_dir in run_dirs]
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
