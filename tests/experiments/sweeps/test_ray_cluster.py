"""hydra/launcher=ray on a cluster of two "nodes", one of which is lost while it works."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray_sweeps import cluster, ended, exists, notes, quick, start, wait

from rwseg.experiments.config.conf import CONF
from rwseg.experiments.run_claim import claimed
from rwseg.experiments.sweeps.ray_job import BUSY

TRAIN = str(CONF.parent / "train.py")


@pytest.fixture
def nodes() -> Iterator[tuple[str, Any]]:
    """The address of a cluster, and the function that takes its second node away, as a power cut does."""
    with cluster(num_cpus=2) as found:
        second = found.add_node(num_cpus=2, object_store_memory=100 * 2**20)
        found.wait_for_nodes()
        yield (
            f"hydra.launcher.address={found.address}",
            lambda: found.remove_node(second, allow_graceful=False),
        )


BODY = """
    words = open("notes").read().split()
    if words.count(seed) > 1 and "force=true" in sys.argv:
        sys.exit("it has started over already")
    if words.count(seed) == 2:  # the first try elsewhere meets the old process
        print("train.py: folder: another process is writing this run: host a, process 1", file=sys.stderr)
        sys.exit(2)
    while not os.path.exists("go"):
        time.sleep(0.1)
""".strip()


@pytest.mark.slow
def test_jobs_of_a_lost_node_are_done_by_the_other_one(nodes: tuple[str, Any], tmp_path: Path) -> None:
    address, lose = nodes
    sweep = start(quick(tmp_path, BODY), tmp_path, address, "seed=range(6)", "force=true")
    wait(lambda: len(notes(tmp_path, "begin")) == 4, sweep)
    lose()
    wait(lambda: sum(exists(int(pid)) for _, pid, *_ in notes(tmp_path, "begin")) == 2, sweep)
    (tmp_path / "go").touch()
    lines, errors = ended(sweep, 0)
    assert errors == ""
    again = [line for line in lines if line.startswith("started again, as its worker was lost, on CPU of ")]
    assert len(again) >= 2  # what ran there, or began there before Ray had noticed
    assert sum(line.startswith("done in ") for line in lines) == 6
    assert {seed for seed, *_ in notes(tmp_path, "end")} == {f"seed={seed}" for seed in range(6)}
    assert len(notes(tmp_path, "end")) == 6  # nobody did the same twice
    assert not any(exists(int(pid)) for _, pid, *_ in notes(tmp_path, "begin"))


def test_a_run_says_that_its_directory_is_taken_in_the_words_that_are_looked_for(tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(Exception, match=BUSY), claimed(tmp_path):
        pass


def compare(one: Path, other: Path, count: int) -> None:
    """The tables of the runs, bit for bit."""
    tables = sorted(path.relative_to(one) for path in one.rglob("cases.csv"))
    assert len(tables) == count
    for path in tables:
        assert (one / path).read_bytes() == (other / path).read_bytes()
        epochs = [pd.read_csv((root / path).with_name("epochs.csv")) for root in (one, other)]
        kept = [table.loc[:, ~table.columns.str.contains("seconds")] for table in epochs]
        pd.testing.assert_frame_equal(*kept, check_exact=True)


def alone(folder: Path, overrides: list[str]) -> Path:
    """The same sweep without Ray."""
    command = [sys.executable, TRAIN, "-m", *overrides, f"output_root={folder / 'alone'}"]
    subprocess.run(command, cwd=folder, check=True, timeout=500, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return folder / "alone"


@pytest.mark.slow
def test_trainings_of_a_lost_node_resume_on_the_other_one(
    nodes: tuple[str, Any], tiny: list[str], tmp_path: Path
) -> None:
    address, lose = nodes
    overrides = [text for text in tiny if not text.startswith("output_root")]
    overrides += ["schedule.epochs=60", "evaluation.every=20", "seed=range(4)"]
    sweep = start(TRAIN, tmp_path, address, *overrides, f"output_root={tmp_path / 'ray'}")
    wait(lambda: len(list((tmp_path / "ray").rglob("last.ckpt"))) == 4, sweep, 300)
    lose()
    lines, _ = ended(sweep, 0, 500)
    assert sum(line.startswith("started again") for line in lines) == 2
    logs = [path.read_text() for path in (tmp_path / "ray").rglob(".sweeps/logs/**/*.log")]
    assert sum("resuming" in log for log in logs) == 2
    compare(tmp_path / "ray", alone(tmp_path, overrides), 4)


@pytest.mark.slow
def test_trainings_on_shared_gpus_equal_those_one_after_another(tiny: list[str], tmp_path: Path) -> None:
    overrides = [text for text in tiny if not text.startswith("output_root")]
    overrides += ["loss=rrw,ce", "seed=range(4)"]
    with cluster(num_cpus=4, num_gpus=2) as found:
        words = [f"hydra.launcher.address={found.address}", "hydra.launcher.num_gpus=0.5"]
        sweep = start(TRAIN, tmp_path, *words, *overrides, f"output_root={tmp_path / 'ray'}")
        lines, _ = ended(sweep, 0, 900)
    told = re.findall(r"^run \d.* on GPU (\d): ", "\n".join(lines), re.MULTILINE)
    assert (len(told), set(told)) == (8, {"0", "1"})
    compare(tmp_path / "ray", alone(tmp_path, overrides), 8)
