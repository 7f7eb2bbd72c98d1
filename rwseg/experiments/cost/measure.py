"""What a method costs on this machine, measured with its own data and network."""

import platform
from pathlib import Path
from typing import Any

import torch

from rwseg.experiments.cost.estimate import Method, RunTimes
from rwseg.experiments.cost.step_time import time_run
from rwseg.experiments.device import cpu_threads
from rwseg.experiments.prepared_run import prepare_run


def measure(method: Method, steps: int, seconds: float) -> RunTimes:
    """Prepare the method's data where it is not yet, and time up to `steps` steps in up to `seconds`.

    Raises `RwsegError` where there is no data, or no device as asked.
    """
    torch.set_num_threads(cpu_threads(method.settings.trainer.threads))
    run = prepare_run(method.settings)
    times, prepared = time_run(run, steps, seconds), run.data
    return RunTimes(
        name=method.name,
        device=times.device,
        batch=times.batch_shape,
        step=times.step,
        meter=times.meter,
        volume=times.volume,
        volumes=times.volumes,
        classes=len(prepared.classes) - 1,
        checkpoint=times.checkpoint,
        data=prepared.folder.name,
        prepared=_size(prepared.folder),
    )


def machine() -> dict[str, Any]:
    """What a reader needs to judge the times."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": platform.processor() or platform.machine(), "gpu": gpu, "torch": torch.__version__}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
