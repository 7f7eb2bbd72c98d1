"""The processes that train one run together; torchrun or SLURM's srun starts them, and nothing here does.

Lightning's DDP strategy averages their gradients. What it leaves open is done here: rank 0 alone decides
whether there is anything to train, and a rank that dies is named. For that every rank but the first counts up
a number in the store by which the processes met: its heartbeat.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed import distributed_c10d as c10d
from torch.distributed.rendezvous import rendezvous

from rwseg.core.errors import ConfigError, RunError
from rwseg.core.program import module, program
from rwseg.core.signals import Terminated

TIMEOUT = timedelta(days=1)
"""How long ranks wait for one another: preparing data and validation may keep one of them busy for hours."""

MEETING = timedelta(minutes=10)
"""How long the processes of a job may start apart."""

HEARTBEAT_SECONDS = 1.0

SECONDS_TO_JUDGE = 4.0
"""A rank whose number stands still for so long after something broke is the one that broke it."""

SECONDS_UNTIL_LOST = 30.0
"""So long may a number stand still while nothing broke: libraries can hold the interpreter for seconds."""

SECONDS_TO_NOTICE = 15.0
"""Then rank 0 has so long to fail by itself before it is ended: a kernel of NCCL would wait for ever."""

SECONDS_TO_FOLLOW = 20.0
"""So long does a rank that is told to end wait for rank 0, which must not miss it while it tidies up."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class World:
    """Process `rank` of the `size` that train together, `local_size` of them on this node."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def num_nodes(self) -> int:
        """Nodes, each with equally many processes."""
        return self.size // self.local_size

    def share(self, batch_size: int) -> slice:
        """The samples of a batch that are this process's."""
        each = batch_size // self.size
        return slice(self.rank * each, (self.rank + 1) * each)


ALONE = World()


def cluster_environment() -> ClusterEnvironment:
    """What started this process, in Lightning's words: torchrun, srun with several tasks, or a user.

    SLURM's variables alone say little: a shell or batch script inside a job has them too.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        try:
            return SLURMEnvironment(auto_requeue=False)
        except RuntimeError as error:  # a job that says --ntasks and not --ntasks-per-node
            raise ConfigError(f"SLURM: {error}") from error
    return LightningEnvironment()


def find_world() -> World:
    """The world that this process was started in."""
    found = cluster_environment()
    if isinstance(found, LightningEnvironment):
        return ALONE
    size, nodes = found.world_size(), int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", size // nodes))
    return World(found.global_rank(), size, found.local_rank(), local)


def check_world(world: World, devices: int | str, num_nodes: int | str) -> None:
    """Raise `ConfigError` where trainer.devices or trainer.num_nodes ask for another world than there is."""
    for key, asked, found in (
        ("devices", devices, world.local_size),
        ("num_nodes", num_nodes, world.num_nodes),
    ):
        if asked not in ("auto", found):
            nodes = "" if num_nodes in ("auto", 1) else f"--nnodes={num_nodes} "
            each = 1 if devices == "auto" else devices
            what = "processes on a node" if key == "devices" else "nodes"
            start = " ".join(["torchrun", f"{nodes}--nproc_per_node={each}", *module()])
            raise ConfigError(
                f"trainer.{key}={asked}: expected as many as there are {what}, which is {found}: "
                f"{program()} starts none. Start it by {start} ..., "
                "or a sweep by hydra/launcher=ray or hydra/launcher=slurm"
            )


class Peers:
    """The other ranks, as rank 0 sees them by their heartbeats."""

    def __init__(self, world: World, store: c10d.Store | None) -> None:
        self.world = world
        self.are_told = False
        """Whether rank 0 has given the others something."""
        self._store = store  # None where this process is alone

    def broadcast(self, content: object = None) -> Any:
        """Rank 0's `content`, on every rank."""
        self.are_told = True
        if self.world.size == 1:
            return content
        box = [content]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def lost(self) -> str | None:
        """What to say of the ranks that ended, after something broke; None where all live."""
        return self._standing_still(SECONDS_TO_JUDGE, time.sleep) if self.world.size > 1 else None

    def watch(self, ended: threading.Event, end: Callable[[str], None]) -> None:
        """Call `end` with what to say where a rank is lost and nothing of it shows until `ended` is set."""
        while not ended.is_set():
            message = self._standing_still(SECONDS_UNTIL_LOST, ended.wait)
            if message is not None and not ended.wait(SECONDS_TO_NOTICE):
                end(message)
                return

    def _standing_still(self, seconds: float, pause: Callable[[float], object]) -> str | None:
        try:
            before = self._counts()
            pause(seconds)
            still = [rank for rank, count in self._counts().items() if count == before[rank]]
            return self._sentence(still) if still else None
        except RuntimeError:  # the store is gone: nobody can say
            return None

    def _counts(self) -> dict[int, bytes]:
        assert self._store is not None
        return {rank: self._store.get(f"heartbeat/{rank}") for rank in range(1, self.world.size)}

    def _sentence(self, ranks: Sequence[int]) -> str:
        assert self._store is not None
        names = ", ".join(f"{rank} ({self._store.get(f'name/{rank}').decode()})" for rank in ranks)
        return (
            f"rank {names} of the {self.world.size} processes that trained this run together ended before "
            "its time; what it said stands above or in its own log; give the same command again to go on"
        )


@contextmanager
def joined(world: World, device: torch.device) -> Iterator[Peers]:
    """Meet the other processes for the time of the block, and leave them at its end.

    A rank that is not the first ends with rank 0, whatever becomes of that: signals to end it only start a
    clock, for rank 0 gets them too and may have to write.
    """
    if world.size == 1:
        yield Peers(world, None)
        return
    store = _met(world)
    left = threading.Event()
    if world.rank != 0:
        _follow_rank_0(world, store.clone(), left)
    for rank in range(1, world.size):
        store.wait([f"heartbeat/{rank}"], TIMEOUT)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(world.local_rank)
    dist.init_process_group(backend, store=store, rank=world.rank, world_size=world.size, timeout=TIMEOUT)
    try:
        yield Peers(world, store.clone())
    except BaseException:
        if world.rank != 0:  # its heart beats on: rank 0 must not take this one for the lost one
            time.sleep(2 * SECONDS_TO_JUDGE)
        left.set()
        if device.type == "cuda":
            c10d._abort_process_group()  # NCCL waits for the others before it destroys
        raise
    else:
        dist.barrier()  # rank 0 may host the store: it stays until nobody needs it
        left.set()
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _met(world: World) -> Any:
    """The store of all processes; `RunError` where they do not find one another."""
    place = cluster_environment()
    address, port = place.main_address, place.main_port
    os.environ.update(MASTER_ADDR=address, MASTER_PORT=str(port))
    try:
        store = next(rendezvous("env://", world.rank, world.size, timeout=MEETING))[0]
    except RuntimeError as error:
        raise RunError(
            f"rank {world.rank}: expected to meet the {world.size} processes of the run at {address}:{port}, "
            f"got: {str(error).splitlines()[0]}; set MASTER_ADDR and MASTER_PORT to what all of them reach"
        ) from error
    return store


def _follow_rank_0(world: World, store: c10d.Store, left: threading.Event) -> None:
    store.set(f"name/{world.rank}", f"host {socket.gethostname()}, process {os.getpid()}")
    store.set(f"heartbeat/{world.rank}", "0")
    threading.Thread(target=_beat, args=(world.rank, store, left), daemon=True).start()
    for number in SIGNALS:
        signal.signal(number, end_later)


def end_later(number: int, frame: FrameType | None) -> None:
    """Handle a signal to end a rank that is not the first."""
    clock = threading.Timer(SECONDS_TO_FOLLOW, os._exit, [128 + number])
    clock.daemon = True
    clock.start()


def _beat(rank: int, store: c10d.Store, left: threading.Event) -> None:
    count = 0
    while not left.wait(HEARTBEAT_SECONDS):
        count += 1
        try:
            store.set(f"heartbeat/{rank}", str(count))
        except RuntimeError:  # the store went, and with it rank 0 or what started it
            if not left.wait(HEARTBEAT_SECONDS):
                os._exit(1)


@contextmanager
def naming_the_lost(peers: Peers, end: Callable[[str], None]) -> Iterator[None]:
    """Raise `RunError` that names a lost rank in place of what its loss raised in the block.

    On rank 0. `end` is called, from a thread, where the block does not notice the loss at all.
    """
    if peers.world.size == 1 or peers.world.rank != 0:
        yield
        return
    ended = threading.Event()
    threading.Thread(target=peers.watch, args=(ended, end), daemon=True).start()
    try:
        yield
    except BaseException as error:
        ended.set()
        try:
            message = peers.lost()
        except Terminated:  # torchrun and srun end the others once they see that one is gone
            message = peers.lost()
        if message is not None:
            raise RunError(message) from error
        raise
    finally:
        ended.set()
