"""Trained runs from their directories, one or several that go together."""

from collections.abc import Sequence
from pathlib import Path

import torch

from rwseg.core.errors import MALFORMED, RunError
from rwseg.core.paths import user_path
from rwseg.experiments.build import build_network
from rwseg.experiments.run_directory import config_digest, load_config
from rwseg.experiments.run_status import tell_edited
from rwseg.models.inference.any_size import AnySizeNetwork
from rwseg.models.inference.inference_spec import load_inference_spec
from rwseg.models.inference.predictor import Predictor
from rwseg.training.callbacks.checkpoints import load_checkpoint

CHECKPOINTS = ("last", "best")

SHARED = ("classes", "channels", "files_per_case", "slice_axis", "converted", "written", "suffixes")
"""Fields of `InferenceSpec` in which an ensemble agrees; patch and network are each member's."""


def load_run(
    run_dir: str | Path, checkpoint: str = "last", device: torch.device | str | None = None
) -> Predictor:
    """A trained run as a predictor of arrays and files, with the weights of `checkpoint` (`last` or `best`).

    `device` None is a GPU where there is one. Raises `ValueError` for another checkpoint, `RunError` where
    `run_dir` is no run directory of this version of rwseg, or the checkpoint is missing, damaged or of
    another configuration.
    """
    if checkpoint not in CHECKPOINTS:
        raise ValueError(f"checkpoint: expected one of {', '.join(CHECKPOINTS)}, got {checkpoint!r}")
    folder = user_path(str(run_dir))
    config = load_config(folder)
    content = load_checkpoint(folder / "checkpoints" / f"{checkpoint}.ckpt", config_digest(config))
    data = load_inference_spec(folder)
    # A planned run has null in its configuration where the plan decided.
    config.dataset.patch_size = list(data.patch_size)
    config.dataset.batch_size = data.batch_size
    if isinstance(config.model, dict):
        tell_edited(folder, {"model": config.model})
    else:
        config.model.pools = [list(pool) for pool in data.pools]
    prefix = "network."
    try:
        network = build_network(config.model, len(data.channels), len(data.classes), data.patch_size)
        state = content["state_dict"].items()
        network.load_state_dict({k.removeprefix(prefix): v for k, v in state if k.startswith(prefix)})
    except MALFORMED as error:
        raise RunError(
            f"{folder}: expected a checkpoint of the network in config.yaml and data.json, got: {error}"
        ) from error
    of_any_size = AnySizeNetwork(network, len(data.channels), data.patch_size).eval()
    on = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return Predictor(folder, config, data, of_any_size.to(on), config.evaluation.flips)


def load_ensemble(run_dirs: Sequence[Path], checkpoint: str, device: torch.device) -> list[Predictor]:
    """`load_run` of each.

    Raises `RunError` as there, for none, for one twice, and for runs that do not go together (`SHARED`).
    """
    if not run_dirs:
        raise RunError("run_dir: expected at least one run directory, got an empty list")
    twice = [str(run_dir) for run_dir in run_dirs if list(run_dirs).count(run_dir) > 1]
    if twice:
        raise RunError(f"run_dir: expected each run once, got {twice[0]} several times")
    members = [load_run(run_dir, checkpoint, device) for run_dir in run_dirs]
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
