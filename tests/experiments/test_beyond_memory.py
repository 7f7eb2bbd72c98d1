"""rwseg train on prepared slices of 30 GB, under a limit of memory: where they go is said, and it trains.

The arrays of the training cases are sparse files, which take a few MB of the disk.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rwseg.core.files import write_json
from rwseg.data.datasets.phantom import write_phantom
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepared import MANIFEST, Entry, Prepared, manifest_of
from rwseg.data.preprocessing.tables import COUNTS, LARGEST, read_table, write_table
from rwseg.experiments.composition import compose
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepared_data

SHAPE = (512, 512, 512)
SIDE = 48
"""Of the square of each class in the middle slice: what else a label holds is background."""

CASES = 32
PIXELS = CASES * prod(SHAPE)
GB = 10**9
LIMIT = {"cgroup": 2 * GB, "ulimit": 8 * GB}
"""Address space is more than memory: libraries and mapped files count too."""


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides of a run whose slices are 30 GB on the CPU: 2 bytes of image, 4 of map, 1 of label."""
    folder = tmp_path_factory.mktemp("huge")
    write_phantom(folder / "phantom", subjects=CASES)
    overrides = [
        "trainer=cpu",
        "workers=1",
        "model.features=4",
        "schedule.epochs=1",
        "schedule.batches_per_epoch=4",
        "evaluation.cases=2",
        "evaluation.flips=false",
        f"dataset.root={folder / 'phantom'}",
        f"prepared_root={folder / 'prepared'}",
    ]
    prepared = prepared_data(check(compose("train", overrides)[0]))
    ensure_distances(prepared, "rrw")
    grown = [replace(entry, shape=SHAPE, voxels=voxels()) for entry in prepared.split("train")]
    assert len(grown) == CASES
    for entry in grown:
        _write(prepared, entry)
    others = [entry for entry in prepared.entries if entry.split != "train"]
    everything = replace(prepared, entries=(*grown, *others))
    for table, value in ((COUNTS, counts()), (LARGEST, np.ones((1, 4), np.float32))):
        kept = read_table(prepared.folder / table, [entry.name for entry in others]) or []
        names = [entry.name for entry in everything.entries]
        write_table(prepared.folder / table, names, [*[value] * CASES, *kept])
    write_json(prepared.folder / MANIFEST, manifest_of(everything))
    return overrides


def counts() -> np.ndarray:
    """Pixels of each class in each slice `(Z, K)`."""
    table = np.zeros((SHAPE[0], 4), np.int64)
    table[SHAPE[0] // 2, 1:] = SIDE**2
    table[:, 0] = prod(SHAPE[1:]) - table.sum(1)
    return table


def voxels() -> tuple[int, ...]:
    return tuple(counts().sum(0).tolist())


def _write(prepared: Prepared, entry: Entry) -> None:
    for kind, dtype in (("image", np.int16), ("label", np.uint8), ("inside", np.float32)):
        path = prepared.folder / kind / f"{entry.name}.npy"
        path.unlink()
        shape = (1, *SHAPE) if kind == "image" else SHAPE
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)  # zeros, and no bytes
        if kind == "label":
            for label in (1, 2, 3):
                array[SHAPE[0] // 2, :SIDE, label * SIDE : (label + 1) * SIDE] = label
    assert path.stat().st_blocks * 512 < 10**6 < path.stat().st_size


@contextmanager
def limited(how: str) -> Iterator[list[str]]:
    """The beginning of a command that keeps it and its children below `LIMIT`; skips where that cannot be."""
    if how == "ulimit":
        yield ["sh", "-c", f'ulimit -v {LIMIT[how] // 1024}; exec "$@"', "sh"]
        return
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    own = {controllers: path.lstrip("/") for _, controllers, path in lines}
    is_old = "memory" in own
    base = Path("/sys/fs/cgroup/memory" if is_old else "/sys/fs/cgroup", own.get("memory", own.get("", "")))
    group = base / f"rwseg-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if is_old else "memory.max")).write_text(str(LIMIT[how]))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"needs the right to make a cgroup: {error}")
    try:
        yield ["sh", "-c", f'echo $$ > {shlex.quote(str(group / "cgroup.procs"))}; exec "$@"', "sh"]
    finally:
        group.rmdir()


def train(overrides: Sequence[str], how: str) -> "subprocess.CompletedProcess[str]":
    with limited(how) as prefix:
        return subprocess.run(
            [*prefix, sys.executable, str(CONF.parent / "train.py"), *overrides],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cgroup", "ulimit"])
def test_slices_of_30_gb_are_read_from_disk_and_both_numbers_are_said(
    how: str, huge: list[str], tmp_path: Path
) -> None:
    ended = train([*huge, f"output_root={tmp_path}"], how)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    [sentence] = [line for line in said.splitlines() if "data.residency=disk wants" in line]
    print(f"\n{how}, {LIMIT[how] / GB:.0f} GB: {sentence}")
    bound = {"cgroup": "the limit of the cgroup", "ulimit": "the limit of ulimit -v"}[how]
    number = r"(\d+\.?\d*) GB"
    found = re.search(rf"device wants {number} of {number} \({bound}\), which is more than 80%", sentence)
    assert found, sentence
    assert float(found[1]) == pytest.approx(PIXELS * 7 / GB, abs=0.1)
    assert 0 < float(found[2]) < LIMIT[how] / GB
    assert re.search(rf"host wants {number} of {number} \({bound}\), which is more than 80%", sentence)
    [record] = tmp_path.rglob("run.json")
    assert json.loads(record.read_text())["status"] == "finished"
    losses = pd.read_csv(record.parent / "metrics" / "epochs.csv")["train/loss"]
    assert np.isfinite(losses).all()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["device", "host"])
def test_a_place_that_has_no_room_is_refused_with_both_numbers(
    place: str, huge: list[str], tmp_path: Path
) -> None:
    ended = train([*huge, f"output_root={tmp_path}", f"data.residency={place}"], "ulimit")
    assert ended.returncode == 2
    said = (ended.stdout + ended.stderr).strip().splitlines()[-1]
    assert re.search(
        rf"data.residency={place}: {place} wants \d+\.\d GB of \d\.\d GB \(the limit of ulimit -v\): "
        r"expected at most 80% of what is there; give data\.residency=auto, or allow more memory",
        said,
    ), said
