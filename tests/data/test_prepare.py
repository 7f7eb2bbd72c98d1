import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from small_dataset import Source, dataset_of, write_dataset

from rwseg.data import prepare as module
from rwseg.data.acdc import ACDC
from rwseg.data.case import Case, Dataset
from rwseg.data.distances import ensure_distances
from rwseg.data.nifti import write_volume
from rwseg.data.prepare import prepare
from rwseg.data.store import Prepared
from rwseg.errors import DataError

PHANTOM_CASES = 8

COUNTING = """
import json, sys, time
from pathlib import Path
import rwseg.data.distances as distances
import rwseg.data.prepare as preparation
from rwseg.data.acdc import ACDC

counts = {"read": 0, "inside": 0}
read_case, inside = preparation.read_case, distances.COMPUTE["inside"]

def counting(name, work, stop):
    def counted(*arguments):
        counts[name] += 1
        if counts[name] == stop:
            print("in the middle", flush=True)
            time.sleep(60)
        time.sleep(0.02)
        return work(*arguments)
    return counted

root, prepared_root = map(Path, sys.argv[1:3])
stop_read, stop_inside = map(int, sys.argv[3:5])
preparation.read_case = counting("read", read_case, stop_read)
distances.COMPUTE["inside"] = counting("inside", inside, stop_inside)
print("ready", flush=True)
sys.stdin.readline()
prepared = preparation.prepare(ACDC, root, prepared_root, 1.0)
distances.ensure_distances(prepared, "rrw")
total = sum(float(prepared.distance("inside", entry).sum()) for entry in prepared.entries)
print(json.dumps({**counts, "folder": str(prepared.folder), "total": total}))
"""


def start(root: Path, prepared_root: Path, stop_read: int = 0, stop_inside: int = 0) -> subprocess.Popen[str]:
    """A process that prepares the phantom and its RRW distances, counting, once it is told to go."""
    arguments = [str(root), str(prepared_root), str(stop_read), str(stop_inside)]
    return subprocess.Popen(
        [sys.executable, "-c", COUNTING, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert line(process) == "ready"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def close(process: subprocess.Popen[str]) -> None:
    """End what may still run, and close its pipes."""
    process.kill()
    process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below `folder` with its size and time of writing."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def native(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj).T


@pytest.fixture
def phantom(phantom_root: Path, tmp_path: Path) -> Path:
    """A copy of the phantom that a test may change."""
    return Path(shutil.copytree(phantom_root, tmp_path / "data" / "phantom"))


def test_images_are_standardised_per_volume_and_channel(tmp_path: Path, sources: list[Source]) -> None:
    flat = sources[0].image.copy()
    flat[1] = 5.0
    prepared = prepare(
        write_dataset(tmp_path, [sources[0], sources[1]._replace(image=flat, label=sources[0].label)]),
        tmp_path,
        tmp_path / "prepared",
        zoom=1.0,
    )
    for entry, image in zip(prepared.entries, (sources[0].image, flat), strict=True):
        stored = np.asarray(prepared.image(entry), np.float64)
        assert (stored.shape, prepared.image(entry).dtype) == (image.shape, np.float32)
        for channel, raw in zip(stored, image.astype(np.float64), strict=True):
            if raw.std() == 0:
                assert (channel == 0).all(), "a constant channel"
                continue
            np.testing.assert_allclose(channel, (raw - raw.mean()) / raw.std(), atol=1e-5)
            assert abs(channel.mean()) < 1e-5
            assert channel.std() == pytest.approx(1, abs=1e-5)


def test_at_zoom_1_labels_and_geometry_are_those_of_the_files(phantom_root: Path, tmp_path: Path) -> None:
    prepared = prepare(ACDC, phantom_root, tmp_path, zoom=1.0)
    cases = ACDC.load(phantom_root)
    assert prepared.classes == ACDC.classes
    for entry, case in zip(prepared.entries, cases, strict=True):
        label = native(case.label)  # type: ignore[arg-type]
        assert (entry.name, entry.subject, entry.phase, entry.split) == (
            case.name,
            case.subject,
            case.phase,
            case.split,
        )
        np.testing.assert_array_equal(prepared.label(entry), label)
        np.testing.assert_array_equal(prepared.reference(entry), label)
        assert entry.shape == entry.native_shape == label.shape
        np.testing.assert_allclose(entry.spacing, nib.load(case.images[0]).header.get_zooms()[::-1])
        assert entry.spacing == entry.native_spacing
        assert entry.voxels == tuple((label == k).sum() for k in range(4))
        assert prepared.source(entry) == case.images[0]


def test_at_zoom_half_sizes_halve_and_the_field_of_view_stays(phantom_root: Path, tmp_path: Path) -> None:
    prepared = prepare(ACDC, phantom_root, tmp_path, zoom=0.5)
    millilitres = np.zeros((2, 4))  # prepared, native
    for entry in prepared.entries:
        depth, height, width = entry.native_shape
        assert entry.shape == (depth, round(height / 2), round(width / 2))
        field = np.multiply(entry.native_shape, entry.native_spacing)
        np.testing.assert_allclose(np.multiply(entry.shape, entry.spacing), field, rtol=1e-12)
        assert prepared.image(entry).shape == (1, *entry.shape)
        assert prepared.label(entry).shape == entry.shape
        reference = prepared.reference(entry)
        np.testing.assert_array_equal(
            reference, native(prepared.source(entry).with_name(f"{entry.name}_gt.nii.gz"))
        )
        assert entry.voxels == tuple((prepared.label(entry) == k).sum() for k in range(4))
        millilitres[0] += np.multiply(entry.voxels, np.prod(entry.spacing) / 1000)
        native_voxels = np.bincount(reference.ravel(), minlength=4)
        millilitres[1] += native_voxels * np.prod(entry.native_spacing) / 1000
    np.testing.assert_allclose(*millilitres, rtol=0.03)


def test_a_case_without_label_is_prepared_without(tmp_path: Path, sources: list[Source]) -> None:
    dataset = write_dataset(tmp_path, [sources[0], sources[1]._replace(label=None, split="test")])
    prepared = prepare(dataset, tmp_path, tmp_path / "prepared", zoom=0.5)
    [entry] = prepared.split("test")
    assert (entry.has_label, entry.voxels) == (False, ())
    assert prepared.image(entry).shape == (2, *entry.shape)
    assert names(prepared.folder / "label") == names(prepared.folder / "reference") == ["case0.npy"]


def test_a_second_start_finds_the_preparation(small: Prepared, sources: list[Source]) -> None:
    before = files(small.folder)
    assert prepare(dataset_of(sources), small.root, small.folder.parent, zoom=1.0) == small
    assert files(small.folder) == before
    assert names(small.folder) == ["image", "label", "manifest.json"]
    assert names(small.folder.parent) == [f".{small.folder.name}.lock", small.folder.name]


def other_voxel(root: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    path = root / "case1_0.nii.gz"
    array = native(path).copy()
    array[0, 0, 0] += 1
    write_volume(path, array, (5.0, 1.0, 2.0))
    return {}


def other_split(root: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    def load(root: Path) -> list[Case]:
        first, *others = dataset.load(root)
        return [replace(first, split="val"), *others]

    return {"dataset": replace(dataset, load=load)}


def other_format(root: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    return {}


CHANGES: dict[str, Callable[[Path, Dataset, pytest.MonkeyPatch], dict[str, Any]]] = {
    "one voxel": other_voxel,
    "the split": other_split,
    "the format": other_format,
    "the zoom": lambda root, dataset, monkeypatch: {"zoom": 0.5},
    "class names": lambda root, dataset, monkeypatch: {
        "dataset": replace(dataset, classes=("background", "ein", "two", "three"))
    },
    "the dataset's name": lambda root, dataset, monkeypatch: {"dataset": replace(dataset, name="other")},
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_hash_and_folder_for(
    change: str, small: Prepared, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_of(sources)
    arguments = {"dataset": dataset, "root": small.root, "prepared_root": small.folder.parent, "zoom": 1.0}
    changed = prepare(**{**arguments, **CHANGES[change](small.root, dataset, monkeypatch)})
    assert changed.digest != small.digest
    assert changed.folder != small.folder
    assert small.folder.is_dir()


def test_the_same_hash_for_the_same_files_elsewhere_and_later(
    small: Prepared, sources: list[Source], tmp_path: Path
) -> None:
    elsewhere = Path(shutil.copytree(small.root, tmp_path / "moved" / "other name"))
    for path in elsewhere.iterdir():
        os.utime(path, (1, 1))
    before = files(small.folder)
    moved = prepare(dataset_of(sources), elsewhere, small.folder.parent, zoom=1.0)
    assert (moved.digest, moved.folder, moved.root) == (small.digest, small.folder, elsewhere)
    assert files(small.folder) == before


def truncate(image: Path, label: Path) -> None:
    image.write_bytes(image.read_bytes()[:-100])


def put_nan(image: Path, label: Path) -> None:
    array = native(image).astype(np.float32)
    array[1, 2, 3] = np.nan
    write_volume(image, array, (9.0, 1.5, 1.5))


def put_class_7(image: Path, label: Path) -> None:
    array = native(label).copy()
    array[0, 0, 0] = 7
    nib.Nifti1Image(array.T, nib.load(label).affine).to_filename(label)


def cut_a_slice(image: Path, label: Path) -> None:
    nib.Nifti1Image(native(label)[1:].T, nib.load(label).affine).to_filename(label)


def remove_foreground(image: Path, label: Path) -> None:
    nib.Nifti1Image(np.zeros_like(native(label)).T, nib.load(label).affine).to_filename(label)


FAULTS: list[tuple[Callable[[Path, Path], None], str]] = [
    (truncate, r"{image}: expected a complete gzip file"),
    (put_nan, r"{image}: expected finite values, got 1 NaN"),
    (put_class_7, r"{label}: expected integer labels in \[0, 4\), got 7 in 1 voxels"),
    (cut_a_slice, r"{label}: expected shape"),
    (remove_foreground, r"{label}: expected some foreground"),
]


def test_all_faulty_cases_are_listed_together_and_nothing_is_left_behind(
    phantom: Path, tmp_path: Path
) -> None:
    cases = ACDC.load(phantom)[1:]
    expected = []
    for case, (damage, message) in zip(cases, FAULTS, strict=False):
        [image], label = case.images, case.label
        assert label is not None
        damage(image, label)
        expected.append(message.format(image=image, label=label))
    with pytest.raises(DataError, match=f"dataset 'acdc' in {phantom}: 5 faults in 8 cases:") as caught:
        prepare(ACDC, phantom, tmp_path / "prepared", zoom=1.0)
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == len(expected)
    for found, message in zip(lines, expected, strict=True):
        assert re.match(rf"  - {message}", found)
    [lock] = (tmp_path / "prepared").iterdir()
    assert (lock.suffix, lock.stat().st_size) == (".lock", 0)


def test_a_long_list_of_faults_is_cut(tmp_path: Path, sources: list[Source]) -> None:
    empty = sources[0]._replace(label=np.zeros_like(sources[0].label))
    dataset = write_dataset(tmp_path, [empty] * 23)
    with pytest.raises(DataError, match="23 faults in 23 cases") as caught:
        prepare(dataset, tmp_path, tmp_path / "prepared", zoom=1.0)
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (22, "  and 3 more")


def test_files_that_cannot_be_opened_are_listed(small: Prepared, sources: list[Source]) -> None:
    lost = [small.root / "case0_1.nii.gz", small.root / "case2_gt.nii.gz"]
    for path in lost:
        path.unlink()
    lost[1].mkdir()
    with pytest.raises(DataError, match="2 faults in 4 cases") as caught:
        prepare(dataset_of(sources), small.root, small.folder.parent, zoom=1.0)
    for path, reason in zip(lost, ("No such file", "Is a directory"), strict=True):
        assert f"{path}: expected a readable file, got: {reason}" in str(caught.value)


def test_two_cases_of_one_name_are_refused(small: Prepared, sources: list[Source]) -> None:
    dataset = dataset_of(sources)
    twice = replace(dataset, load=lambda root: [*dataset.load(root), dataset.load(root)[2]])
    with pytest.raises(
        DataError, match="1 faults in 5 cases:\n  - case2: expected one case of this name, got 2"
    ):
        prepare(twice, small.root, small.folder.parent, zoom=1.0)


def test_processes_that_start_together_share_one_preparation(phantom_root: Path, tmp_path: Path) -> None:
    processes = [start(phantom_root, tmp_path) for _ in range(2)]
    try:
        go(processes)
        told = [json.loads(line(process)) for process in processes]
        assert [process.wait(30) for process in processes] == [0, 0]
    finally:
        for process in processes:
            close(process)
    assert sorted(one["read"] for one in told) == [0, PHANTOM_CASES]
    assert sorted(one["inside"] for one in told) == [0, PHANTOM_CASES]
    assert told[0]["folder"] == told[1]["folder"]
    assert told[0]["total"] == told[1]["total"] > 0
    folder = Path(told[0]["folder"])
    assert names(tmp_path) == [f".{folder.name}.lock", folder.name]
    assert names(folder) == [".inside.lock", "image", "inside", "label", "manifest.json"]


@pytest.mark.parametrize(("stop_read", "stop_inside"), [(4, 0), (0, 3)])
def test_after_a_kill_in_the_middle_the_next_start_begins_anew(
    phantom_root: Path, tmp_path: Path, stop_read: int, stop_inside: int
) -> None:
    process = start(phantom_root, tmp_path, stop_read, stop_inside)
    try:
        go([process])
        assert line(process) == "in the middle"
        [half] = tmp_path.rglob(".building-*")
        assert len(list(half.rglob("*.npy"))) > 0, "killed with part of the work done"
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    finally:
        close(process)
    assert half.is_dir()
    prepared = prepare(ACDC, phantom_root, tmp_path, zoom=1.0)
    ensure_distances(prepared, "rrw")
    assert not half.exists()
    for entry in prepared.entries:
        assert prepared.image(entry).shape == (1, *entry.shape)
        assert prepared.distance("inside", entry).shape == entry.shape


FULL_DISK = """
import json, subprocess, sys
from pathlib import Path
from rwseg.data.acdc import ACDC
from rwseg.data.distances import ensure_distances
from rwseg.data.prepare import prepare
from rwseg.errors import DataError

def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], check=True)

def attempt(work):
    try:
        work()
    except DataError as error:
        return str(error)

def left(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.name != "manifest.json")

root, disk = map(Path, sys.argv[1:3])
prepared_root = disk / "prepared"
told = {}
mount("size=1m")
told["preparing"] = attempt(lambda: prepare(ACDC, root, prepared_root, 1.0)), left(prepared_root)
mount("remount,size=64m")
prepared = prepare(ACDC, root, prepared_root, 1.0)
before = left(prepared.folder)
used = int(subprocess.check_output(["du", "-sk", str(disk)]).split()[0])
mount(f"remount,size={used + 300}k")
told["distances"] = attempt(lambda: ensure_distances(prepared, "rrw")), left(prepared.folder), before
mount("remount,size=64m,ro")
told["read-only"] = attempt(lambda: ensure_distances(prepared, "boundary"))
mount("remount,size=64m,rw")
ensure_distances(prepared, "rrw")
told["shapes"] = [[prepared.distance("inside", e).shape, e.shape] for e in prepared.entries]
print(json.dumps(told))
"""


@pytest.fixture
def own_mounts() -> list[str]:
    """The command that gives a process mounts of its own; skips where that is not permitted."""
    command = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("a full disk needs Linux's unshare and mount")
    trial = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
    answer = subprocess.run(trial, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        pytest.skip(f"a full disk needs the right to mount one: {answer.stderr.strip()}")
    return command


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    own_mounts: list[str], phantom_root: Path, tmp_path: Path
) -> None:
    command = [*own_mounts, sys.executable, "-c", FULL_DISK, str(phantom_root), str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    message, left = told["preparing"]
    assert re.match(
        rf"{tmp_path}/prepared: no space left while making acdc-\w+; nothing of it was left", message
    )
    assert "1.0 MB are free now. Free more or choose a folder on another disk (prepared_root=...)" in message
    assert [name for name in left if not name.endswith(".lock")] == []
    message, left, before = told["distances"]
    assert re.match(rf"{tmp_path}/prepared/acdc-\w+: no space left while making inside; nothing", message)
    assert left == [".inside.lock", *before]
    assert re.search(r"expected a folder to write signed into, got: Read-only file system", told["read-only"])
    assert len(told["shapes"]) == PHANTOM_CASES
    assert all(found == expected for found, expected in told["shapes"])
