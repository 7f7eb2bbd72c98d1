"""What the doctor says of a dataset: faults, class shares, a contact sheet, and the time of the training."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from rwseg.core.progress import duration
from rwseg.data.case import Dataset, Source
from rwseg.data.io.cases import read_case, slice_axis_of
from rwseg.data.parallel import Workers
from rwseg.data.preprocessing.cut import cut_lines
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.cost.estimate import volumes_predicted
from rwseg.experiments.cost.step_time import time_run
from rwseg.experiments.device import cpu_threads
from rwseg.experiments.prepared_run import PreparedRun, dataset_of, prepare_run, source_of, workers
from rwseg.report.doctor.findings import Finding, print_findings, print_table
from rwseg.report.doctor.sheet import Shown, contact_sheet
from rwseg.report.doctor.survey import Seen, findings, look, shares, spread

CASES_SHOWN = 18


def examine(cfg: TrainConfig, picture: Path, console: Console) -> list[Finding]:
    """Read every case of `cfg` (checked), print what is found, draw `picture` and time a few steps.

    Raises `RwsegError` where there is no such dataset.
    """
    dataset = dataset_of(cfg)
    source = source_of(cfg, dataset)
    axis = slice_axis_of(source)
    with Workers(workers(cfg)) as pool:
        one = partial(look, replace(source, cases=(), folds=()), axis)  # what a process needs of it
        seen, _ = pool.each(one, source.cases, f"reading {dataset.name}")
    needed = ("train",) if cfg.dataset.fold == "all" else ("train", "val")
    found = list(findings(seen, source, dataset.subjects, needed))
    console.print(
        f"\n{cfg.dataset.name} in {cfg.dataset.root}: {dataset.reference} ({dataset.licence})",
        highlight=False,
    )
    print_findings(found, console)
    _print_shares(seen, source, dataset, console)
    shown = [
        Shown(_heading(item), len(item.case.images), read_case(item.case, source, axis))
        for item in spread(seen, CASES_SHOWN)
    ]
    if shown:
        title = f"{cfg.dataset.name}: {len(shown)} of {len(seen)} cases, the slice with most foreground"
        console.print(f"wrote {contact_sheet(shown, source.classes, title, picture)}", highlight=False)
    if not any(finding.level == "fault" for finding in found):
        run = prepare_run(cfg, dataset)
        found += _cut(run.data, console)
        found += _timing(run, console)
    return found


def _heading(item: Seen) -> str:
    return " ".join(filter(None, (item.case.name, item.case.phase, f"({item.case.split})")))


def _print_shares(seen: Sequence[Seen], source: Source, dataset: Dataset, console: Console) -> None:
    held = [item for item in seen if any(item.voxels)]
    if not held:
        return
    columns = {"all": held} | {
        split: [item for item in held if item.case.split == split] for split in ("train", "val")
    }
    measured = {name: shares(items) for name, items in columns.items() if items}
    published = dict(zip(source.classes, dataset.shares, strict=True)) if dataset.shares else {}
    rows = [
        [
            name,
            *(f"{figures[k]:.2f}" for figures in measured.values()),
            *([f"{published[name]:.2f}"] if published else []),
            str(sum(item.voxels[k] > 0 for item in held)),
        ]
        for k, name in enumerate(source.classes)
    ]
    shares_of = [*measured, "published"] if published else [*measured]
    headings = ["class", *(f"{name} %" for name in shares_of), "cases with it"]
    print_table("Share of voxels", headings, rows, console)


def _cut(prepared: Prepared, console: Console) -> list[Finding]:
    """What the crops leave out of the foreground."""
    found = [Finding("note", line) for line in cut_lines(prepared.entries, prepared.classes)]
    print_findings(found, console)
    return found


def _timing(run: PreparedRun, console: Console) -> list[Finding]:
    cfg, schedule = run.cfg, run.cfg.schedule
    threads = cpu_threads(cfg.trainer.threads)
    torch.set_num_threads(threads)
    times = time_run(run, steps=20, seconds=30)
    steps = schedule.epochs * schedule.batches_per_epoch
    volumes = volumes_predicted(cfg, times.volumes)
    training, validation = steps * times.step, volumes * times.volume
    text = (
        f"{times.device}, {threads} threads: {times.step:.3g} s per batch of {times.batch_shape} "
        f"({100 * times.data_share:.1f} % of it data), {times.volume:.3g} s per validation volume; "
        f"{schedule.epochs} epochs of {schedule.batches_per_epoch} batches take about {duration(training)}, "
        f"the {volumes} volumes of all validations {duration(validation)}"
    )
    finding = Finding("ok", text)
    print_findings([finding], console)
    return [finding]
