"""The device that a configuration asks for, and the precision it computes in."""

import os

import torch
from joblib import cpu_count

from rwseg.core.errors import ConfigError
from rwseg.models.inference.metrics_pool import MOST


def device_name(accelerator: str) -> str:
    """`cpu`, or the GPU's name; `ConfigError` if a GPU is asked for and there is none."""
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError(
            "trainer.accelerator=gpu: expected a CUDA device, found none; use trainer=auto or trainer=cpu"
        )
    use_gpu = accelerator != "cpu" and torch.cuda.is_available()
    return torch.cuda.get_device_name() if use_gpu else "cpu"


def training_device(accelerator: str) -> torch.device:
    """The kind of device of a run; `ConfigError` where a GPU is asked for and there is none."""
    return torch.device("cpu" if device_name(accelerator) == "cpu" else "cuda")


def precision(asked: str, device: str) -> str:
    """The precision to run in: `auto` is 16-bit mixed on a GPU, as in the paper.

    On a CPU it is bfloat16 mixed where that is computed, up to three times as fast, else 32-bit.
    """
    if asked != "auto":
        return asked
    if device != "cpu":
        return "16-mixed"
    return "bf16-mixed" if has_bf16(torch.device("cpu")) else "32-true"


def cpu_threads(asked: int | str, processes: int = 1) -> int:
    """CPU threads of each of the `processes` of a run on this machine.

    `auto` is for a run that has the machine to itself: what `OMP_NUM_THREADS` says, else the physical cores,
    but no more than the process may use. Launchers that pack jobs set the variable to each job's share.
    """
    if asked != "auto":
        return int(asked)
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if given.isdecimal() and int(given) > 0:
        return min(int(given), int(cpu_count()))
    return max(1, int(cpu_count(only_physical_cores=True)) // processes)


def metrics_processes(device: str, threads: int, workers: int, cores: int) -> int:
    """Processes that measure predicted cases beside the network: `workers` and `cores` are those of a run.

    Where the network itself computes on the CPU, one, and only if its threads leave a core free. A run of one
    thread keeps to one core, as those that are packed one to a core must.
    """
    if workers == 1:
        return 0
    if device == "cpu":
        return int(1 < threads < cores)
    return min(workers, MOST)


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed and not emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
