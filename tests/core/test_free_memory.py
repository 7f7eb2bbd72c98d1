import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from rwseg.core.memory import Free, free_host_memory

GIB = 2**30
OWN = "/job/step"
MEMINFO = f"MemTotal: {64 * 2**20} kB\nMemFree: {1 * 2**20} kB\nMemAvailable:   {32 * 2**20} kB\n"
"""32 GiB that may be had."""


def machine(root: Path, own: str, files: dict[str, str]) -> Path:
    """A tree with the files that the kernel shows a process: `own` is its /proc/self/cgroup."""
    for path, text in {"proc/meminfo": MEMINFO, "proc/self/cgroup": own, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def v2(folder: str, most: str, used: int, cache: int) -> dict[str, str]:
    return {
        f"{folder}/memory.max": f"{most}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": f"anon 7\nactive_file {cache // 2}\ninactive_file {cache - cache // 2}\n",
    }


def v1(folder: str, most: int, used: int, cache: int) -> dict[str, str]:
    return {
        f"{folder}/memory.limit_in_bytes": f"{most}\n",
        f"{folder}/memory.usage_in_bytes": f"{used}\n",
        f"{folder}/memory.stat": f"cache 0\nactive_file 0\ninactive_file 0\ntotal_active_file {cache}\n"
        "total_inactive_file 0\n",
    }


def test_without_limits_it_is_what_the_kernel_says_is_available(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n", {})
    assert free_host_memory(root, {}) == Free(32 * GIB, "the machine's memory")


def test_where_the_kernel_shows_no_files_it_is_the_machine_s(tmp_path: Path) -> None:
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert free_host_memory(tmp_path, {}) == Free(whole, "the machine's memory")


@pytest.mark.parametrize("base", ["sys/fs/cgroup", "sys/fs/cgroup/unified"])
def test_a_group_of_version_2_counts_its_file_cache_as_free(tmp_path: Path, base: str) -> None:
    files = v2(f"{base}{OWN}", str(4 * GIB), used=3 * GIB, cache=2 * GIB)
    assert free_host_memory(machine(tmp_path, f"0::{OWN}\n", files), {}) == Free(
        3 * GIB, "the limit of the cgroup"
    )


def test_the_narrowest_group_on_the_way_up_counts(tmp_path: Path) -> None:
    base = "sys/fs/cgroup"
    files = v2(f"{base}{OWN}", "max", GIB, 0) | v2(f"{base}/job", str(2 * GIB), GIB, 0)
    assert free_host_memory(machine(tmp_path, f"0::{OWN}\n", files), {}).bytes == GIB
    full = v2(f"{base}/job", str(2 * GIB), 3 * GIB, 0)
    assert free_host_memory(machine(tmp_path, f"0::{OWN}\n", full), {}).bytes == 0


@pytest.mark.parametrize("folder", [OWN, ""], ids=["host", "container"])
def test_a_group_of_version_1_also_where_a_container_sees_only_its_own(tmp_path: Path, folder: str) -> None:
    files = v1(f"sys/fs/cgroup/memory{folder}", 8 * GIB, used=5 * GIB, cache=GIB)
    own = f"5:cpu,cpuacct:/elsewhere\n4:memory:{OWN}\n0::/\n"
    assert free_host_memory(machine(tmp_path, own, files), {}).bytes == 4 * GIB


@pytest.mark.parametrize(
    ("environment", "gib"),
    [
        ({"SLURM_MEM_PER_NODE": "4096"}, 4),
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "3"}, 6),
        ({"SLURM_MEM_PER_NODE": "0"}, 32),  # all of the node
    ],
)
def test_a_job_of_slurm_has_what_it_asked_for(tmp_path: Path, environment: dict[str, str], gib: int) -> None:
    free = free_host_memory(machine(tmp_path, "0::/\n", {}), environment)
    assert (gib - 4) * GIB < free.bytes <= gib * GIB, "less what this process has already"
    assert (free.bound == "the memory of the SLURM job") == (gib < 32)


def test_ulimit_counts_and_the_machine_at_hand_has_some_memory() -> None:
    program = "from rwseg.core.memory import free_host_memory; print(*free_host_memory())"
    most = 3 * GIB

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    told = [
        subprocess.run(
            [sys.executable, "-c", program], preexec_fn=do, stdout=-1, text=True, check=True
        ).stdout
        for do in (limit, None)
    ]
    free, _, bound = told[0].partition(" ")
    assert 0.5 * most < int(free) < most
    assert bound.strip() == "the limit of ulimit -v"
    assert int(told[1].partition(" ")[0]) > 0
