"""The GPUs of this machine as nvidia-smi lists them; nothing heavy is imported here."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from rwseg.errors import ConfigError, RwsegError

QUERY = ("nvidia-smi", "--query-gpu=index,uuid,memory.free,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """A GPU: its number, the name that CUDA_VISIBLE_DEVICES takes, and its memory in GiB."""

    index: int
    uuid: str
    free_gib: float
    total_gib: float


def list_gpus() -> list[Gpu]:
    """The GPUs of this machine, now; none where there is no nvidia-smi. `RwsegError` where it fails."""
    try:
        ended = subprocess.run(QUERY, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return []
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RwsegError(f"nvidia-smi: expected a list of GPUs, got: {error}; mend the driver") from error
    if ended.returncode:
        told = (ended.stdout + ended.stderr).strip()
        raise RwsegError(
            f"nvidia-smi: expected a list of GPUs, got status {ended.returncode}: {told}; mend the driver, "
            "or give CUDA_VISIBLE_DEVICES= to use the CPU"
        )
    return parse_gpus(ended.stdout)


def parse_gpus(text: str) -> list[Gpu]:
    """Read what `QUERY` prints, a GPU per line with memory in MiB.

    >>> parse_gpus("0, GPU-1b2c, 80000, 81559")
    [Gpu(index=0, uuid='GPU-1b2c', free_gib=78.125, total_gib=79.6474609375)]
    """
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            index, uuid, free, total = (part.strip() for part in line.split(","))
            found.append(Gpu(int(index), uuid, int(free) / 1024, int(total) / 1024))
        except ValueError as error:
            raise RwsegError(
                f"nvidia-smi: expected 'number, uuid, free MiB, total MiB', got '{line}'; "
                "give CUDA_VISIBLE_DEVICES= to use the CPU"
            ) from error
    return found


def visible_gpus(gpus: Sequence[Gpu], mask: str | None) -> list[Gpu]:
    """Those that CUDA_VISIBLE_DEVICES=`mask` lets through, in its order; all where it is not set.

    `ConfigError` for a number or name that is not in `gpus`.
    """
    if mask is None:
        return list(gpus)
    found = []
    for word in filter(None, map(str.strip, mask.split(","))):
        fits = [gpu for gpu in gpus if word == str(gpu.index) or _is_name(word, gpu)]
        if len(fits) != 1:
            known = ", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in gpus) or "none"
            raise ConfigError(
                f"CUDA_VISIBLE_DEVICES={mask}: expected GPUs of this machine, which are {known}, got '{word}'"
            )
        found.append(fits[0])
    return found


def _is_name(word: str, gpu: Gpu) -> bool:
    """CUDA takes the beginning of a name that is long enough to be one GPU's."""
    return word.startswith("GPU-") and gpu.uuid.startswith(word)
