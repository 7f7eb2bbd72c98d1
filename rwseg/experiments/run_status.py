"""run.json: what a run says about itself while it runs and afterwards."""

import json
import logging
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rwseg import __version__
from rwseg.core.errors import MALFORMED, RunError
from rwseg.core.files import from_json, write_json
from rwseg.core.lease import Lease
from rwseg.core.signals import Terminated
from rwseg.experiments.code_version import code_version
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.config.validation import plain
from rwseg.experiments.run_directory import check_same_config
from rwseg.experiments.sources import Sources, changes, own_sources

if TYPE_CHECKING:  # it imports torch, which a command that has nothing to do can spare
    from rwseg.data.preprocessing.prepared import Prepared

log = logging.getLogger(__name__)

FIELDS = {
    "status": str | None,
    "seconds": float | None,
    "choices": dict[str, str] | None,
    "sources": Sources | None,
}
"""What others calculate with; other fields are only shown."""


def read_run(folder: Path) -> dict[str, Any]:
    """The content of `run.json`, empty if there is none yet; `RunError` if it is damaged."""
    path = folder / "run.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except MALFORMED as error:
        raise RunError(f"{path}: expected JSON, got: {error}; start over with force=true") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: expected a JSON object, got {content!r}; start over with force=true")
    for key, kind in FIELDS.items():
        try:
            from_json(kind, content.get(key))
        except TypeError as error:
            raise RunError(f"{path}: {key}: {error}; start over with force=true") from error
    return content


def update_run(folder: Path, content: Mapping[str, Any]) -> None:
    """Merge `content` into `run.json`."""
    write_json(folder / "run.json", {**read_run(folder), **content})


def is_finished(folder: Path, cfg: TrainConfig) -> bool:
    """Whether there is nothing to do; `RunError` where `folder` holds a run of another configuration."""
    if cfg.force or cfg.trainer.fast_dev_run:
        return False
    check_same_config(folder, cfg)
    run = read_run(folder)
    check_same_source(folder, run, plain(cfg))
    return run.get("status") == "finished"


def check_same_source(folder: Path, run: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Raise `RunError` where code of the user's own that a run was made with has changed since.

    `run` is its run.json, `content` the configuration. Runs of before did not note their code, and go on.
    """
    lines = [f"  - {line}" for line in changes(run.get("sources") or {}, own_sources(content))]
    if lines:
        raise RunError(
            f"{folder} holds a run of other code, which was edited since:\n"
            + "\n".join(lines)
            + "\ngive force=true to start over here, or keep both: give the edited class another name, or "
            "another output_root"
        )


def left_alone(folder: Path, cfg: TrainConfig) -> bool:
    """`is_finished`, and says so."""
    finished = is_finished(folder, cfg)
    if finished:
        log.info("%s is finished; nothing to do (force=true starts it over)", folder)
    return finished


def tell_edited(folder: Path, content: Mapping[str, Any]) -> None:
    """Warn of code behind a part of the configuration that was edited since the run was trained with it."""
    for line in changes(read_run(folder).get("sources") or {}, own_sources(content)):
        log.warning("%s: code was edited since, and may predict otherwise: %s", folder, line)


@contextmanager
def recorded(
    folder: Path,
    device: str,
    choices: Choices,
    data: "Prepared",
    lease: Lease,
    processes: int = 1,
    sources: Sources | None = None,
    precision: str | None = None,
    pixel_files: str | None = None,
) -> Iterator[None]:
    """Keep `run.json` true: running, then finished, failed or interrupted; seconds of all attempts add up.

    Where `lease`, the claim of the folder, is lost, nothing is written any more.
    """
    before = float(read_run(folder).get("seconds") or 0.0)
    started = time.perf_counter()
    facts = {
        "processes": processes,
        "precision": precision,
        "choices": choices,
        "data_digest": data.digest,
        "split_digest": data.split_digest(),
        "sources": sources or {},
        **({} if pixel_files is None else {"pixel_files": pixel_files}),
    }
    update_run(folder, {"status": "running", "reason": None, **environment(device), **facts})
    status, reason = "interrupted", None
    try:
        yield
        status = "finished"
    except Terminated:
        reason = "ended by SIGTERM"
        raise
    except Exception as error:
        status, reason = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        seconds = round(before + time.perf_counter() - started, 2)
        if not lease.is_lost:
            update_run(folder, {"status": status, "reason": reason, "seconds": seconds})


def environment(device: str) -> dict[str, Any]:
    """What a result depends on besides configuration and data."""
    import torch  # seconds that a finished run need not wait

    packages = ("torch", "pytorch-lightning", "monai", "numpy", "scipy", "edt", "hydra-core", "pandas")
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "device": device,
        "threads": torch.get_num_threads(),
        "processor": _processor(),
        "git_commit": code_version(),
        "versions": {
            "rwseg": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
    }


def _processor() -> str:
    """The model, where Linux tells it, and the vector instructions in use: sums differ in the last bits."""
    import torch  # seconds that a finished run need not wait

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(models or [platform.machine()])[0]}, {torch.backends.cpu.get_cpu_capability()}"
