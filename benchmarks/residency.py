"""Training steps with slices on the device, in host memory and on disk: seconds, and peak memory.

    python -m benchmarks.residency --data FOLDER [--gigabytes 0.1] [--steps 10] PLACE ... [override ...]
    for example: python -m benchmarks.residency --data /tmp/big --gigabytes 6 disk
                 python -m benchmarks.residency --data /tmp/small device disk experiment=acdc_small

The data are generated pictures of 512 x 512 in three channels, written as a preparation writes them; patches
and network are the configuration's. The places take turns, so that a busy machine is busy for all of them;
processor seconds, with those of the processes that read, are what it does not change. A place whose memory
is of interest is measured alone.
"""

import multiprocessing
import os
import re
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import machine, parser, wait
from rwseg.core.files import save_array, write_json
from rwseg.data.case import Case
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.data.preprocessing.image_codes import Scale, encode
from rwseg.data.preprocessing.prepared import MANIFEST, Entry, Prepared, manifest_of, open_prepared
from rwseg.data.preprocessing.tables import COUNTS, LARGEST, count_classes, largest_by_class, write_table
from rwseg.data.sampling.residency import PLACES
from rwseg.data.sampling.slice_cache import Batch
from rwseg.data.training_slices import TrainingSlices
from rwseg.experiments.build import build_data, build_learner
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import PreparedRun
from rwseg.losses import head_weights, supervised_loss
from rwseg.maps.distance import inside_distance

SIDE, CHANNELS, CLASSES = 512, ("red", "green", "blue"), ("background", "one", "two")
BYTES = SIDE * SIDE * (2 * len(CHANNELS) + 4 + 1)
"""Of a picture: image, distances and labels."""

KINDS = 16
"""So many pictures are made; the others are these, rolled."""


class Took(NamedTuple):
    """Seconds of a step: of the clock, of the processor in this process, and in those that read for it."""

    seconds: float
    own: float
    readers: float


@dataclass
class Place:
    """A training whose slices live in one place, and what its steps took in each round."""

    slices: TrainingSlices
    step: Callable[[Batch], None]
    took: list[Took]


class Step:
    """The network and what trains it."""

    def __init__(self, run: PreparedRun, device: torch.device) -> None:
        self.learner = build_learner(run).to(device).train()
        self.optimizer = self.learner.configure_optimizers()["optimizer"]

    def __call__(self, batch: Batch) -> None:
        outputs = self.learner.network(batch.image)
        weights = head_weights(len(outputs))
        loss = supervised_loss(self.learner.loss, outputs, batch.labels, batch.region_map, weights=weights)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def prepared_pictures(folder: Path, count: int) -> Prepared:
    """Generated pictures in `folder`, as a preparation would leave them; those that are there are taken."""
    names = [f"picture{number:05d}" for number in range(count)]
    cases = [
        Case(
            name,
            name,
            "",
            "val" if number < 4 else "train",
            (folder / f"{name}.png",),
            folder / f"{name}_gt.png",
        )
        for number, name in enumerate(names)
    ]
    if not (folder / MANIFEST).is_file():
        _write(folder, cases)
    return open_prepared(folder, folder, cases)


def _standardised(picture: NDArray[np.float32]) -> tuple[NDArray[Any], tuple[Scale, ...]]:
    """A picture `(C, 1, H, W)` of 8 bits as a preparation stores it."""
    mean, std = (f(picture, axis=(1, 2, 3), keepdims=True) for f in (np.mean, np.std))
    return encode((picture - mean) / std, picture)


def _write(folder: Path, cases: Sequence[Case]) -> None:
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    label = ((np.hypot(y, x) < 0.3).astype(np.uint8) + (np.hypot(y, x) < 0.15)).astype(np.uint8)
    noise = generator.normal(60, 30, size=(KINDS, len(CHANNELS), 1, SIDE, SIDE)) + 60 * label
    kinds = [_standardised(np.rint(picture).clip(0, 255).astype(np.float32)) for picture in noise]
    distance = inside_distance(torch.from_numpy(label)[None, None]).numpy()[0]
    label = label[None]
    counts, largest = count_classes(label, len(CLASSES)), largest_by_class(distance, label, len(CLASSES))
    for number, case in enumerate(cases):
        save_array(folder / "image" / f"{case.name}.npy", kinds[number % KINDS][0])
        save_array(folder / "label" / f"{case.name}.npy", label)
        save_array(folder / "inside" / f"{case.name}.npy", distance)
    names = [case.name for case in cases]
    write_table(folder / COUNTS, names, [counts] * len(names))
    write_table(folder / LARGEST, names, [largest[None]] * len(names))
    shape = (1, SIDE, SIDE)
    entries = tuple(
        Entry(
            name=case.name,
            subject=case.subject,
            phase="",
            split=case.split,
            images=(f"{case.name}.png",),
            has_label=True,
            shape=shape,
            spacing=(1.0, 1.0, 1.0),
            native_shape=shape,
            native_spacing=(1.0, 1.0, 1.0),
            crop=((0, 1), (0, SIDE), (0, SIDE)),
            slice_axis=0,
            voxels=tuple(counts[0].tolist()),
            unit="px",
            scales=kinds[number % KINDS][1],
        )
        for number, case in enumerate(cases)
    )
    preprocessing = FittedPreprocessing(False, None, None, 1.0, "spline", "zscore")
    prepared = Prepared(folder, folder, "pictures", CLASSES, CHANNELS, preprocessing, "generated", entries)
    write_json(folder / MANIFEST, manifest_of(prepared))


def opened(data: Prepared, name: str, overrides: Sequence[str], device: torch.device) -> Place:
    """The training of `overrides` on `device` with its slices in the place `name`."""
    cfg = check(compose("train", [*overrides, f"data.residency={name}"])[0])
    run = PreparedRun(cfg, cfg, data)
    return Place(build_data(run).training_slices(device), Step(run, device), [])


def measure(
    data: Prepared, places: Sequence[str], asked: Namespace, device: torch.device
) -> list[dict[str, Any]]:
    """A row per place: medians over rounds, after one of warming up."""
    trainings = {name: opened(data, name, asked.overrides, device) for name in places}
    for turn in range(asked.rounds + 1):
        for place in trainings.values():
            if asked.batches:
                place.step = _nothing
            took = _steps(place, range(turn * asked.steps, (turn + 1) * asked.steps))
            if turn:
                place.took.append(took)
    return [
        {
            "name": name,
            **{key: statistics.median(getattr(took, key) for took in place.took) for key in Took._fields},
            "samples": place.took,
        }
        for name, place in trainings.items()
    ]


def _steps(place: Place, steps: range) -> Took:
    given = place.slices.ahead(steps)
    place.step(place.slices.batch(next(given)))  # the processes start with the first one
    before = now()
    for step in given:
        place.step(place.slices.batch(step))
    return Took(*((end - start) / (len(steps) - 1) for end, start in zip(now(), before, strict=True)))


def now() -> Took:
    """What clock and processors count, once a GPU has done all that it was asked for."""
    wait()
    ticks = 0
    for child in multiprocessing.active_children():
        ticks += sum(map(int, Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return Took(time.perf_counter(), time.process_time(), ticks / os.sysconf("SC_CLK_TCK"))


def _nothing(batch: Batch) -> None:
    """Instead of a step, where only batches are of interest."""


def peak_mib() -> dict[str, float]:
    """Of this process, and of those that read for it (what these share counts in each)."""
    processes = ["self", *(child.pid for child in multiprocessing.active_children())]
    status = [Path(f"/proc/{process}/status").read_text() for process in processes]
    peaks = [int(found[1]) / 1024 for text in status if (found := re.search(r"VmHWM:\s+(\d+)", text))]
    return {"peak_mib": peaks[0], "readers_peak_mib": sum(peaks[1:])}


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__ or "")
    options.set_defaults(rounds=3)
    options.add_argument("--data", type=Path, required=True, help="a folder for the pictures, made once")
    options.add_argument("--gigabytes", type=float, default=0.1)
    options.add_argument("--steps", type=int, default=10, help="of each place in a round")
    options.add_argument("--batches", action="store_true", help="make batches and train nothing")
    options.add_argument("rest", nargs="+", metavar="PLACE or override")
    asked = options.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    data = prepared_pictures(asked.data, max(8, round(asked.gigabytes * 1e9 / BYTES)))
    asked.overrides = [word for word in asked.rest if word not in PLACES]
    places = [word for word in asked.rest if word in PLACES]
    rows = measure(data, places, asked, torch.device(asked.device))
    for row in rows:
        print(
            f"{row['name']:<8} {row['seconds']:.3f} s a step, of the processor {row['own']:.3f} s "
            f"and {row['readers']:.3f} s of those that read"
        )
    peak = peak_mib()
    print(", ".join(f"{key} {value:.0f}" for key, value in peak.items()))
    if asked.json:
        tables = {"a step with slices in each place": rows}
        write_json(asked.json, {"machine": machine(asked.threads), "tables": tables, **peak})


if __name__ == "__main__":
    main()
