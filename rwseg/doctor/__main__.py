"""Say what is wrong with an installation or a dataset: python -m rwseg.doctor [dataset=acdc] [override ...].

Without a dataset: versions, devices, disk. With one: every case is read; class shares, geometry and faults
are told, a contact sheet is drawn, the data is prepared, and a few training steps of the chosen configuration
are timed. Exit status 0: a run can start; 1: it cannot.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console

from rwseg.assembly import dataset_of, source_of, workers
from rwseg.cli import INTERRUPTED, compose, preflight
from rwseg.config import check
from rwseg.data.case import Dataset, Source
from rwseg.data.parallel import Workers
from rwseg.data.reading import read_case, slice_axis_of
from rwseg.doctor.findings import Finding, print_findings, print_table
from rwseg.doctor.installation import installation
from rwseg.doctor.sheet import contact_sheet
from rwseg.doctor.survey import Seen, findings, look, shares, spread
from rwseg.errors import RwsegError
from rwseg.progress import duration
from rwseg.steptime import time_run

CASES_SHOWN = 18


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m rwseg.doctor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--out", type=Path, help="contact sheet (default: <output_root>/doctor/<dataset>.png)"
    )
    parser.add_argument(
        "overrides", nargs="*", help="as for train.py: dataset=acdc dataset.root=... trainer=gpu"
    )
    asked = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    try:
        preflight("train", asked.overrides)
        cfg, _ = compose("train", asked.overrides)
        cfg = check(cfg)
        found = list(installation({"runs": Path(cfg.output_root), "prepared data": Path(cfg.prepared_root)}))
        print_findings(found, console)
        if any(override.startswith(("dataset", "experiment")) for override in asked.overrides):
            found += _examine(
                cfg, asked.out or Path(cfg.output_root, "doctor", f"{cfg.dataset.name}.png"), console
            )
    except RwsegError as error:
        console.print(f"fault {error}", style="red", highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted")
        return INTERRUPTED
    faults = sum(finding.level == "fault" for finding in found)
    console.print(f"{faults} faults: a run cannot start" if faults else "a run can start")
    return 1 if faults else 0


def _examine(cfg: DictConfig, picture: Path, console: Console) -> list[Finding]:
    dataset, source = dataset_of(cfg), source_of(cfg)
    axis = slice_axis_of(source)
    with Workers(workers(cfg)) as pool:
        one = partial(look, replace(source, cases=(), folds=()), axis)  # what a process needs of it
        seen, _ = pool.each(one, source.cases, f"reading {dataset.name}")
    needed = ("train",) if cfg.dataset.fold == "all" else ("train", "val")
    found = list(findings(seen, source, dataset.subjects, needed))
    console.print(
        f"\n{dataset.name} in {cfg.dataset.root}: {dataset.reference} ({dataset.licence})", highlight=False
    )
    print_findings(found, console)
    _print_shares(seen, source, dataset, console)
    shown = [(_heading(item), read_case(item.case, source, axis)) for item in spread(seen, CASES_SHOWN)]
    if shown:
        title = f"{dataset.name}: {len(shown)} of {len(seen)} cases, the slice with most foreground"
        console.print(f"wrote {contact_sheet(shown, source.classes, title, picture)}", highlight=False)
    if not any(finding.level == "fault" for finding in found):
        found += _timing(cfg, console)
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
            f"{published[name]:.2f}" if name in published else "-",
            str(sum(item.voxels[k] > 0 for item in held)),
        ]
        for k, name in enumerate(source.classes)
    ]
    headings = ["class", *(f"{name} %" for name in measured), "published %", "cases with it"]
    print_table("Share of voxels", headings, rows, console)


def _timing(cfg: DictConfig, console: Console) -> list[Finding]:
    torch.set_num_threads(cfg.trainer.threads)
    times = time_run(cfg, steps=20, seconds=30)
    schedule = cfg.schedule
    steps = schedule.epochs * schedule.batches_per_epoch
    validations = max(1, schedule.epochs // cfg.evaluation.every)
    training, validation = steps * times.step, validations * times.volumes * times.volume
    text = (
        f"{times.device}, {cfg.trainer.threads} threads: {times.step:.3g} s per batch of {times.batch_shape} "
        f"({100 * times.data_share:.1f} % of it data), {times.volume:.3g} s per validation volume; "
        f"{schedule.epochs} epochs of {schedule.batches_per_epoch} batches take about {duration(training)}, "
        f"{validations} validations of {times.volumes} volumes {duration(validation)}"
    )
    finding = Finding("ok", text)
    print_findings([finding], console)
    return [finding]


if __name__ == "__main__":
    sys.exit(main())
