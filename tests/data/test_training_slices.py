"""Where slices live changes no batch: the same ones, bit for bit, from the device, host memory and disk."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from augmentation_samples import FLIPS, NNUNET, scans_with_gaps, with_probability
from small_batches import CPU, equal, make_module, tensors
from small_dataset import PLAIN, write_dataset
from test_datamodule import fit

from rwseg.core.distributed import World
from rwseg.core.errors import DataError
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.preprocessing.tables import COUNTS, LARGEST
from rwseg.data.sampling.residency import PLACES
from rwseg.data.sampling.staging import Staged
from rwseg.data.training_slices import DeviceSlices, StagedSlices

META = torch.device("meta")
MAPS = [("rrw", True), ("boundary", False), ("boundary", True), (None, False)]


@pytest.fixture(params=[("zscore", "all"), ("zscore_nonzero", "some")], ids="-".join)
def gaps(request: pytest.FixtureRequest, tmp_path: Path) -> Prepared:
    """Slices of differing size, with ignored labels, and with background that is 0 where that is kept.

    All images are stored as codes, or some (that are served as float32, with the others).
    """
    normalisation, coded = request.param
    scans = scans_with_gaps()
    if coded == "some":
        scans[1] = scans[1]._replace(image=scans[1].image * 0.3)
    dataset = write_dataset(tmp_path / "data", scans)
    preparation = replace(PLAIN, normalisation=normalisation)
    prepared = prepare(dataset, tmp_path / "data", tmp_path / "prepared", preparation)
    assert {bool(entry.scales) for entry in prepared.entries} == ({True} if coded == "all" else {True, False})
    return prepared


@pytest.mark.parametrize("augment", [FLIPS, NNUNET, with_probability(1.0)], ids=["flips", "nnunet", "all"])
@pytest.mark.parametrize(("map_name", "rectified"), MAPS)
@pytest.mark.parametrize("patch", [(8, 6), (30, 24)])
def test_residency_changes_no_batch(
    gaps: Prepared, map_name: str | None, rectified: bool, augment: AugmentConfig, patch: tuple[int, int]
) -> None:
    settings = {"map_name": map_name, "rectified": rectified, "augment": augment, "patch_size": patch}
    modules = [make_module(gaps, residency=place, batch_size=9, **settings) for place in PLACES]
    for step in range(5):
        batches = [module.training_batch(step, CPU) for module in modules]
        assert all(equal(one, other) for one, other in pairwise(batches)), step
    assert isinstance(modules[0].slices, DeviceSlices)
    assert all(isinstance(module.slices, StagedSlices) for module in modules[1:])


@pytest.mark.parametrize("place", ["host", "disk"])
@pytest.mark.parametrize(("map_name", "rectified"), MAPS)
def test_staged_batches_are_made_on_their_device_and_need_no_values(
    gaps: Prepared, map_name: str | None, rectified: bool, place: str
) -> None:
    """On tensors without values PyTorch refuses what asks for one, or is on two devices."""
    settings = {"map_name": map_name, "rectified": rectified, "augment": NNUNET, "residency": place}
    here, there = (make_module(gaps, **settings) for _ in range(2))
    for step in range(3):
        expected, found = here.training_batch(step, CPU), there.training_batch(step, META)
        for one, other in zip(tensors(expected), tensors(found), strict=True):
            assert (other.device, other.dtype, other.shape) == (META, one.dtype, one.shape)


@pytest.mark.cuda
@pytest.mark.parametrize("augment", [FLIPS, NNUNET], ids=["flips", "nnunet"])
@pytest.mark.parametrize("place", ["host", "disk"])
def test_copies_to_a_gpu_are_there_before_they_are_read_and_until_then(
    gaps: Prepared, place: str, augment: AugmentConfig
) -> None:
    """A GPU with a backlog reads each batch long after the host has let go of what it was copied from."""
    settings = {"augment": augment, "batch_size": 9}
    gpu = torch.device("cuda", torch.cuda.current_device())
    here, there = (make_module(gaps, residency=where, **settings) for where in ("device", place))
    expected = [here.training_batch(step, gpu) for step in range(20)]
    slices = there.training_slices(gpu)
    found = []
    for step in slices.ahead(range(20)):
        torch.cuda._sleep(10**7)
        found.append(there.training_batch(step, gpu))
        torch.cuda._sleep(10**7)
    assert all(equal(one, other) for one, other in zip(expected, found, strict=True))
    slices.close()


@pytest.mark.cuda
def test_copies_to_a_gpu_use_the_memory_of_earlier_ones(small: Prepared) -> None:
    module = make_module(small, residency="host", augment=NNUNET)
    gpu = torch.device("cuda", torch.cuda.current_device())
    reserved = []
    for step in range(40):
        module.training_batch(step, gpu)
        torch.cuda.synchronize()
        reserved.append(torch.cuda.memory_reserved())
    assert reserved[4] == reserved[-1]


@pytest.mark.cuda
def test_what_travels_to_a_gpu_lies_in_pinned_memory_and_stops_no_host(small: Prepared) -> None:
    module = make_module(small, residency="host", augment=NNUNET)
    gpu = torch.device("cuda", torch.cuda.current_device())
    module.training_batch(0, gpu)
    steps = module.training_slices(gpu).ahead(range(1, 5))
    for step in steps:
        assert isinstance(step, Staged)
        assert all(part is None or part.is_pinned() for part in step.flat)
        torch.cuda.set_sync_debug_mode("error")
        try:
            module.training_batch(step, gpu)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("place", PLACES)
def test_processes_that_train_together_cut_their_shares_of_the_batch(small: Prepared, place: str) -> None:
    settings = {"augment": NNUNET, "batch_size": 6, "validate_on": "train"}
    whole = make_module(small, residency="device", **settings)
    worlds = [World(rank, 2, rank, 2) for rank in range(2)]
    shares = [make_module(small, residency=place, world=world, **settings) for world in worlds]
    on_device = [make_module(small, residency="device", world=world, **settings) for world in worlds]
    for step in range(4):
        both = [module.training_batch(step, CPU) for module in shares]
        labels = torch.cat([batch.labels for batch in both])
        assert torch.equal(labels, whole.training_batch(step, CPU).labels)
        assert all(equal(one, of.training_batch(step, CPU)) for one, of in zip(both, on_device, strict=True))


@pytest.mark.parametrize("place", ["device", "host"])
def test_data_that_do_not_fit_are_refused_by_their_manifest_alone(small: Prepared, place: str) -> None:
    huge = tuple(replace(entry, shape=(500, 5120, 5120)) for entry in small.entries)
    module = make_module(small, residency=place)
    module.train_entries = list(huge[:3])
    with pytest.raises(DataError, match=rf"data.residency={place}: {place} wants 35\d\.\d GB of [\d.]+ GB"):
        module.training_batch(0, CPU)


@pytest.mark.parametrize("lacking", [COUNTS, LARGEST])
def test_data_that_an_older_version_prepared_give_the_same_batches(small: Prepared, lacking: str) -> None:
    expected = make_module(small, augment=NNUNET, residency="device")
    (small.folder / lacking).unlink()
    found = make_module(small, augment=NNUNET, residency="disk")
    assert all(
        equal(expected.training_batch(step, CPU), found.training_batch(step, CPU)) for step in range(5)
    )


@pytest.mark.filterwarnings(r"ignore:The `srun` command is available")
@pytest.mark.filterwarnings(r"ignore:.*isinstance.treespec, LeafSpec.* is deprecated")
@pytest.mark.parametrize("place", ["host", "disk"])
def test_a_trainer_sees_the_batches_of_its_steps_read_ahead(small: Prepared, place: str) -> None:
    module = make_module(small, augment=NNUNET, residency=place, batches_per_epoch=5)
    batches = fit(module, epochs=3).batches
    assert len(batches) == 15
    expected = make_module(small, augment=NNUNET, residency="device")
    assert all(equal(batch, expected.training_batch(step, CPU)) for step, batch in enumerate(batches))
    assert module.data_seconds > 0
    assert not multiprocessing.active_children(), "they end with the training"


def test_an_array_that_is_damaged_in_mid_training_is_a_sentence(small: Prepared) -> None:
    module = make_module(small, residency="disk", augment=NNUNET)
    slices = module.training_slices(CPU)
    steps = slices.ahead(range(100))
    next(steps)
    for entry in module.train_entries:
        path = small.folder / "image" / f"{entry.name}.npy"
        np.save(path.with_suffix(".other.npy"), np.zeros((2, 2)))
        path.with_suffix(".other.npy").replace(path)  # at once: a process is reading
    with pytest.raises(
        DataError, match=r"image/case\d.npy: expected a prepared array, found float64"
    ) as told:
        for _ in steps:
            pass
    assert "Traceback" not in str(told.value)
    slices.close()


def test_what_reads_from_disk_has_one_thread_and_no_array(small: Prepared) -> None:
    """Names and sizes are sent there, and what is imported is shared by all of them."""
    ballast = torch.zeros(400 * 2**20 // 4)
    module = make_module(small, residency="disk", augment=NNUNET)
    slices = module.training_slices(CPU)
    steps = slices.ahead(range(10))
    next(steps)
    children = multiprocessing.active_children()
    assert 1 <= len(children) <= 2
    for child in children:
        own = Path(f"/proc/{child.pid}/smaps_rollup").read_text()
        private = int(re.search(r"Private_Dirty: +(\d+) kB", own)[1])
        assert private < 250 * 1024 < ballast.nbytes / 1024  # PyTorch, where the server has not imported it
        threads = re.search(r"Threads:\t(\d+)", Path(f"/proc/{child.pid}/status").read_text())
        assert int(threads[1]) <= 3, "reads, sends, follows the training"
    slices.close()
    del steps
    assert not multiprocessing.active_children()


def test_a_process_that_is_killed_is_a_sentence(small: Prepared) -> None:
    slices = make_module(small, residency="disk").training_slices(CPU)
    steps = slices.ahead(range(10**6))
    next(steps)
    for child in multiprocessing.active_children():
        child.kill()
    with pytest.raises(DataError, match=r"data.residency=disk: a process that reads batches died"):
        for _ in steps:
            pass
    slices.close()


TRAINS_AND_WAITS = """
import multiprocessing, signal, sys
from pathlib import Path
import torch
from small_batches import CPU, make_module
from small_dataset import PLAIN, small_scans, write_dataset
from rwseg.data.preprocessing.prepare import prepare
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    root = Path(sys.argv[1])
    prepared = prepare(write_dataset(root / "data", small_scans()), root / "data", root / "prepared", PLAIN)
    steps = make_module(prepared, residency="disk").training_slices(CPU).ahead(range(10**6))
    next(steps)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    for _ in steps:
        pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_reads_ends_with_the_training_however_that_ends(tmp_path: Path, number: signal.Signals) -> None:
    program = tmp_path / "program.py"
    program.write_text(TRAINS_AND_WAITS)
    with subprocess.Popen(
        [sys.executable, program, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as training:
        assert training.stdout is not None
        readers = [int(word) for word in training.stdout.readline().split()]
        assert readers
        if number == signal.SIGINT:
            os.killpg(training.pid, number)  # as a terminal does
        else:
            training.send_signal(number)
        _, told = training.communicate(timeout=120)
    assert told.count("Traceback") <= 1, told
    ends = time.monotonic() + 60
    while any(is_alive(reader) for reader in readers):
        assert time.monotonic() < ends
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
