"""How much memory this process may still take: of the machine, of its cgroup, of its job, of its shell."""

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

MIB = 2**20


class Free(NamedTuple):
    """Bytes that may still be taken, and what bounds them, for a sentence."""

    bytes: int
    bound: str


def free_host_memory(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Free:
    """The least that any of the limits leaves; `root` is where `proc` and `sys` are found.

    File cache counts as free: it goes where memory is wanted.
    """
    return min(
        Free(max(0, free), bound)
        for free, bound in (*_machine(root), *_cgroups(root), *_shell(), *_slurm(environment))
    )


def _machine(root: Path) -> Iterator[Free]:
    """What the kernel calls available; all of the memory where it tells no more, as on macOS."""
    path, bound = root / "proc/meminfo", "the machine's memory"
    if not path.is_file():
        yield Free(os.sysconf("SC_PHYS_PAGES") * resource.getpagesize(), bound)
        return
    lines = (line.split() for line in path.read_text().splitlines())
    yield Free(next(int(line[1]) for line in lines if line[0] == "MemAvailable:") * 1024, bound)


def _cgroups(root: Path) -> Iterator[Free]:
    """The groups of this process, up to the outermost; inside a container only some of them are seen."""
    own = root / "proc/self/cgroup"
    for line in own.read_text().splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            bases = ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
            names = ("memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            bases = ["sys/fs/cgroup/memory"]
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        else:
            continue
        for base in (root / base for base in bases):
            group = base / path.lstrip("/")
            for folder in (group, *group.parents):
                if folder == base or base in folder.parents:
                    yield from _cgroup(folder, *names)


def _cgroup(folder: Path, limit: str, usage: str, prefix: str) -> Iterator[Free]:
    try:
        most, used = (folder / limit).read_text().strip(), int((folder / usage).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except FileNotFoundError:  # the root has no limit, and a container does not see its host's
        return
    if most != "max":
        cache = sum(int(statistics[f"{prefix}{kind}_file"]) for kind in ("active", "inactive"))
        yield Free(int(most) - used + cache, "the limit of the cgroup")


def _shell() -> Iterator[Free]:
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        yield Free(most - _own_pages(0), "the limit of ulimit -v")


def _slurm(environment: Mapping[str, str]) -> Iterator[Free]:
    """What the job may take on this node, in MiB; 0 stands for all of it."""
    of_node = int(environment.get("SLURM_MEM_PER_NODE", "0"))
    of_cpu = int(environment.get("SLURM_MEM_PER_CPU", "0")) * int(environment.get("SLURM_CPUS_ON_NODE", "1"))
    for most in (of_node, of_cpu):
        if most:
            yield Free(most * MIB - _own_pages(1), "the memory of the SLURM job")


def _own_pages(column: int) -> int:
    """Bytes of this process: its address space (0), or what lies in memory (1)."""
    return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize()
