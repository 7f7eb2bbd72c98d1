"""Several processes that train one run together, each on a device of its own (trainer.devices).

Lightning's own DDP would start the command of the user again in every process, sweep and all, waits for the
device in every step, and talks to the others from within a signal handler. Here each process takes its slice
of the very batch that a single one would train on, and what leaves a step is averaged: the run is the same.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rwseg.errors import RunError

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others within a step: validation and writing may keep one of them busy."""

SECONDS_TO_END = 20.0
"""How long another process may take to be gone after an exchange with it broke off."""

SECONDS_TO_NOTICE = 60.0
"""How long this process may take to leave after another one is gone, before it is ended."""

SECONDS_BETWEEN_LOOKS = 0.05

Child = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Ranks:
    """Process `rank` of the `count` that train together; with one, nothing is exchanged."""

    rank: int
    count: int

    def share(self, batch_size: int) -> slice:
        """The samples of a batch that are this process's."""
        each = batch_size // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give all processes the mean of their gradients: the batch's, as losses are means over samples."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def mean(self, value: Tensor) -> Tensor:
        """The mean of the processes' values, which must have one shape."""
        if self.count == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.count

    def gathered(self, part: Tensor) -> Tensor:
        """The parts of all processes, in their order, along the first axis; they must have one shape."""
        if self.count == 1:
            return part
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.count)]
        dist.all_gather(parts, part.detach().contiguous())
        return torch.cat(parts)

    def collected(self, rows: Sequence[Any]) -> list[Any]:
        """The rows of all processes, which may have any number of them."""
        if self.count == 1:
            return list(rows)
        parts: list[Any] = [None] * self.count
        dist.all_gather_object(parts, list(rows))
        return [row for part in parts for row in part]


ALONE = Ranks(0, 1)


@contextmanager
def together(ranks: Ranks, folder: Path, device: torch.device, resume: bool) -> Iterator[None]:
    """Be the first of `ranks`, and start the others, to train the run in `folder` by its config.yaml.

    They write nothing there, and end with this process however it ends. Raises `RunError` naming one of them
    that ended before its time; on GPUs, where nothing else would end the wait for it, leaves the process.
    """
    if ranks.count == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="rwseg-") as meeting:
        store = Path(meeting, "store")
        others = [Ranks(rank, ranks.count) for rank in range(1, ranks.count)]
        children = [_start(other, folder, store, resume) for other in others]
        left = threading.Event()
        try:
            while not all(_place(other, store).exists() for other in others):
                _check(children)
                time.sleep(SECONDS_BETWEEN_LOOKS)
            threading.Thread(target=_watch, args=(children, left), daemon=True).start()
            with joined(ranks, store, device), _ended(children):
                yield
        finally:
            left.set()
            _kill(children)


@contextmanager
def joined(ranks: Ranks, store: Path, device: torch.device) -> Iterator[None]:
    """Meet the other processes by the file `store`, and leave them at the end.

    The first one comes when the others are there: it could not see them fail while it waits for them.
    """
    if device.type == "cuda":
        torch.cuda.set_device(ranks.rank)
    _place(ranks, store).touch()
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{store}",
        rank=ranks.rank,
        world_size=ranks.count,
        timeout=PATIENCE,
    )
    try:
        yield
    except BaseException:
        if device.type == "cuda":
            dist.distributed_c10d._abort_process_group()  # NCCL waits for the others before it destroys
        else:
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


@contextmanager
def _ended(children: Sequence[Child]) -> Iterator[None]:
    """After a block that failed, end the others before they miss this process, and say if one is why."""
    try:
        yield
    except RuntimeError as error:  # such as of an exchange that broke off, a moment before the other is gone
        until = time.monotonic() + SECONDS_TO_END
        while time.monotonic() < until and all(child.poll() is None for child in children):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        _check(children, error)
        raise
    except BaseException:
        _kill(children)
        raise


def _watch(children: Sequence[Child], left: threading.Event) -> None:
    """Leave this process where it does not notice that another one is gone, as in a kernel of NCCL."""
    while not left.wait(1):
        if any(child.poll() for child in children) and not left.wait(SECONDS_TO_NOTICE):
            print(_ended_early(children), file=sys.stderr, flush=True)
            os._exit(2)


def _place(ranks: Ranks, store: Path) -> Path:
    """Where a process says that it is ready."""
    return store.with_name(f"ready{ranks.rank}")


def _start(ranks: Ranks, folder: Path, store: Path, resume: bool) -> Child:
    words = [str(word) for word in (folder, ranks.rank, ranks.count, store, int(resume))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # The child reads one end of the pipe, and leaves when this process, however it ends, closes the other.
    # -P: the modules of this process, and none of the current folder.
    command = [sys.executable, "-P", "-m", "rwseg.rank", *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)


def _check(children: Sequence[Child], error: RuntimeError | None = None) -> None:
    if any(child.poll() is not None for child in children):
        message = _ended_early(children)
        _kill(children)
        raise RunError(message) from error


def _ended_early(children: Sequence[Child]) -> str:
    number, status = next(
        (number, child.returncode) for number, child in enumerate(children, 2) if child.poll() is not None
    )
    return (
        f"process {number} of {len(children) + 1} that trained this run together ended with status {status}; "
        "what it said stands above; give the same command again to go on"
    )


def _kill(children: Sequence[Child]) -> None:
    for child in children:
        child.kill()
        child.communicate()
