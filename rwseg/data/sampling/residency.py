"""Where the slices of a split are to live: a matter of size, told from their shapes before any is read."""

import logging
from typing import Literal, NamedTuple, get_args

import torch

from rwseg.core.errors import DataError
from rwseg.core.memory import Free, free_host_memory

log = logging.getLogger(__name__)

Place = Literal["device", "host", "disk"]
Residency = Literal["auto", "device", "host", "disk"]
PLACES: tuple[Place, ...] = get_args(Place)

SHARE = 0.8
"""What slices may fill of the free memory: the network and its activations want the rest."""

PROCESS_BYTES = 250 * 10**6
"""What a process that reads from disk takes besides its batches, with the one that it is forked from."""


class Extent(NamedTuple):
    """What is known of a split's slices from the manifest: their pixels, and the bytes of one of these.

    `batch_pixels` are the most that one batch reads; `ahead` batches are held at once, by `readers` processes
    where they come from disk.
    """

    pixels: int
    image: int
    region_map: int
    splines: int
    batch_pixels: int
    ahead: int
    readers: int

    def wanted(self, place: Place, on_cpu: bool) -> tuple[int, int]:
        """Bytes of host memory, and of a GPU's, that slices in `place` take.

        Labels lie in host memory also where the slices do not: there samples look for pixels of their class.
        """
        stored = self.image + self.region_map
        batch = self.batch_pixels * (stored + self.splines + 1)
        host, device = {
            "device": (self.pixels, self.pixels * (stored + self.splines)),
            "host": (self.pixels * (stored + 1) + self.ahead * batch, batch),
            "disk": (self.readers * (PROCESS_BYTES + self.ahead * batch), batch),
        }[place]
        return (host + device, 0) if on_cpu else (host, device)


def choose_residency(
    asked: Residency, extent: Extent, device: torch.device, processes: int, name: str
) -> Place:
    """`asked`, or the first place that fits into `SHARE` of the free memory; one line of the log says why.

    `processes` share the host memory. Raises `DataError` where what was asked for does not fit.
    """
    free = _free(device, processes)
    on_cpu = len(free) == 1
    shortages: list[str] = []
    for place in PLACES if asked == "auto" else (asked,):
        wanted = extent.wanted(place, on_cpu)[: len(free)]
        lines = [
            f"{_gb(bytes_)} of {_gb(there.bytes)} ({there.bound})"
            for bytes_, there in zip(wanted, free, strict=True)
        ]
        if all(bytes_ <= SHARE * there.bytes for bytes_, there in zip(wanted, free, strict=True)):
            because = "".join(f"; {line}, which is more than {SHARE:.0%}" for line in shortages)
            log.info("slices of %s: data.residency=%s wants %s%s", name, place, " and ".join(lines), because)
            return place
        shortages.append(f"{place} wants {' and '.join(lines)}")
    raise DataError(
        f"slices of {name}, data.residency={asked}: {'; '.join(shortages)}: expected at most {SHARE:.0%} of "
        f"what is there; {_advice(asked)}"
    )


def _advice(asked: Residency) -> str:
    if asked in ("device", "host"):
        return "give data.residency=auto, or allow more memory"
    return "give a smaller dataset.batch_size or dataset.patch_size, or allow more memory"


def _free(device: torch.device, processes: int) -> list[Free]:
    """This process's share of the host memory, and the memory of its GPU if it has one."""
    host = free_host_memory()
    shared = Free(host.bytes // processes, host.bound)
    if device.type != "cuda":
        return [shared]
    return [shared, Free(torch.cuda.mem_get_info(device)[0], "the GPU's memory")]


def _gb(size: int) -> str:
    return f"{size / 1e9:.2g} GB" if size < 1e9 else f"{size / 1e9:.1f} GB"
