"""Trained runs from their directories, one or several that go together."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rwseg.core.errors import MALFORMED, RunError
from rwseg.core.paths import user_path
from rwseg.experiments.build import build_network
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.export.description import read_description
from rwseg.experiments.export.hub_folder import is_hub_folder, read_hub_folder
from rwseg.experiments.run_directory import config_digest, load_config
from rwseg.experiments.run_status import tell_edited
from rwseg.models.inference.any_size import AnySizeNetwork
from rwseg.models.inference.inference_spec import InferenceSpec, load_inference_spec
from rwseg.models.inference.onnx_network import ONNX, OnnxNetwork
from rwseg.models.inference.predictor import Predictor
from rwseg.training.callbacks.checkpoints import load_checkpoint

CHECKPOINTS = ("last", "best")

Loaded = tuple[TrainConfig, InferenceSpec, dict[str, Tensor]]
"""Configuration, data and weights of a run."""

SHARED = ("classes", "channels", "files_per_case", "slice_axis", "converted", "written", "suffixes")
"""Fields of `InferenceSpec` in which an ensemble agrees; patch and network are each member's."""


def load_run(
    run_dir: str | Path, checkpoint: str = "last", device: torch.device | str | None = None
) -> Predictor:
    """A trained run as a predictor of arrays and files, with the weights of `checkpoint` (`last` or `best`).

    `run_dir` is a run directory, or what `rwseg export` wrote: a hub folder or an ONNX file (on the CPU, by
    onnxruntime), which have one set of weights. `device` None is a GPU where there is one. Raises
    `ValueError` for another checkpoint, `RunError` where `run_dir` is none of these, of this version of
    rwseg, or the checkpoint is missing, damaged or of another configuration.
    """
    if checkpoint not in CHECKPOINTS:
        raise ValueError(f"checkpoint: expected one of {', '.join(CHECKPOINTS)}, got {checkpoint!r}")
    folder = user_path(str(run_dir))
    if folder.suffix == ONNX:
        return _from_onnx(folder)
    config, data, state = _exported(folder) if is_hub_folder(folder) else _trained(folder, checkpoint)
    try:
        network = build_network(config.model, len(data.channels), len(data.classes), data.patch_size)
        network.load_state_dict(state)
    except MALFORMED as error:
        raise RunError(
            f"{folder}: expected weights of the network that its configuration describes, got: {error}"
        ) from error
    of_any_size = AnySizeNetwork(network, len(data.channels), data.patch_size).eval()
    on = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return Predictor(folder, config, data, of_any_size.to(on), config.evaluation.flips)


def _from_onnx(path: Path) -> Predictor:
    description = read_description(path.with_suffix(".json"))
    config, data = description.config, description.data
    inner = OnnxNetwork(path, description.multiple)
    if description.graph != inner.digest.numpy().tobytes().hex():
        raise RunError(
            f"{path}: expected the network that {path.with_suffix('.json')} describes, got another one; keep "
            "the two files of an export together"
        )
    network = AnySizeNetwork(inner, len(data.channels), data.patch_size)
    return Predictor(path, config, data, network.eval(), config.evaluation.flips)


def _exported(folder: Path) -> "Loaded":
    description, weights = read_hub_folder(folder)
    return description.config, description.data, weights


def _trained(folder: Path, checkpoint: str) -> "Loaded":
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
    state = content["state_dict"].items()
    return config, data, {k.removeprefix(prefix): v for k, v in state if k.startswith(prefix)}


def load_ensemble(run_dirs: Sequence[Path], checkpoint: str, device: torch.device) -> list[Predictor]:
    """`load_run` of each.

    Raises `RunError` as there, for none, for one twice, and for runs that do not go together (`SHARED`).
    """
    if not run_dirs:
        raise RunError("run_dir: expected at least one run directory, got an empty list")
    places = [user_path(str(run_dir)).resolve() for run_dir in run_dirs]
    twice = [str(given) for given, place in zip(run_dirs, places, strict=True) if places.count(place) > 1]
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
