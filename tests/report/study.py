"""Synthetic studies that figures and page are made from, with pictures as hard to compress as real ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from synthetic import HEART, write_run

from rwseg.metrics.calibration import BINS, reliability_table
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.runs import find_runs
from rwseg.report.figures.all_figures import draw_figures
from rwseg.report.html.page import write_page
from rwseg.training.showcase import Exhibit, dice_by_class, save_showcase

TITLE = "Maps <alone> & combined"
ALONE = ("rrw", "rw_boundary", "dice", "ce", "focal")
CASES = 24
"""Of `three_methods`, two per subject."""

PARTNERS = ("equal_dice", "gradual_dice", "equal_ce", "gradual_ce")


def three_methods(root: Path) -> Comparison:
    """RRW, boundary maps of which one run in four collapses, and rectified ones; four seeds each."""
    for seed in range(4):
        write_run(root, "rrw", seed=seed, cases=CASES)
        write_run(root, "rw_boundary", seed=seed, cases=CASES, dice=0.05 if seed == 3 else 0.88)
        write_run(root / "more", "rw_boundary", seed=seed, cases=CASES, settings={"loss.rectify": True})
    _miss(root / "rrw" / "alone" / "seed0", "000_0", "RV")
    return read(root)


def fourteen_methods(root: Path) -> Comparison:
    """The losses and strategies of the committed study: 14 methods, three seeds, 60 cases of 3 classes."""
    write_fourteen(root, seeds=3)
    return read(root)


def write_fourteen(root: Path, seeds: int, epochs: int = 12) -> None:
    """The runs of `fourteen_methods`, for so many seeds and epochs."""
    runs = [(name, "alone") for name in ALONE] + [(name, p) for name in ALONE[:2] for p in PARTNERS]
    rectified = {"loss.rectify": True}
    for seed in range(seeds):
        for i, (loss, strategy) in enumerate(runs):
            write_run(root, loss, strategy, seed=seed, cases=60, epochs=epochs, dice=0.9 - 0.004 * i)
        write_run(
            root / "more", "rw_boundary", "gradual_dice", seed, cases=60, epochs=epochs, settings=rectified
        )


def long_names(comparison: Comparison) -> Comparison:
    """The same with names of up to 56 characters, as settings that were compared make them."""
    names = {
        method.name: method.name.replace("rw_boundary", "rw_boundary, loss.rectify=true")
        if "rw_" in method.name
        else f"{method.name}, schedule.learning_rate=0.003"
        for method in comparison.methods
    }
    tables = {
        key: table.replace({column: names for column in ("method", "other") if column in table})
        for key, table in vars(comparison).items()
        if isinstance(table, pd.DataFrame)
    }
    methods = tuple(replace(method, name=names[method.name]) for method in comparison.methods)
    return replace(comparison, methods=methods, reference=names[comparison.reference], **tables)


def one_run(root: Path, classes: Sequence[str] = HEART[:1], phases: Sequence[str] = ()) -> Comparison:
    """A single run, by default of one class and without phases."""
    write_run(root, classes=classes, phases=phases)
    return read(root)


def read(root: Path) -> Comparison:
    """Compare all runs below `root`."""
    return compare(find_runs([root]), title=TITLE)


def again(comparison: Comparison) -> Comparison:
    """The same comparison with what was put beside its runs since."""
    runs = [run for method in comparison.methods for run in method.runs]
    return compare(runs, reference=comparison.reference, title=comparison.title)


def nothing(comparison: Comparison) -> Comparison:
    """The tables without a row."""
    tables = {name: one.iloc[:0] for name, one in vars(comparison).items() if isinstance(one, pd.DataFrame)}
    return Comparison(**{**vars(comparison), **tables, "methods": (), "classes": (), "notes": ()})


def add_pictures(comparison: Comparison, overlays: int = 0) -> None:
    """Give every run `figures/cases.png`, and the first run of each method `overlays` of an evaluation."""
    for method in comparison.methods:
        for run in method.runs:
            picture(run.folder / "figures" / "cases.png", f"{method.name}, seed {run.seed}")
        first = method.runs[0]
        assert first.cases is not None
        for case in first.cases.groupby("case")["dice"].mean().sort_values().index[:overlays]:
            evaluation = first.folder / "evaluation" / "val"
            picture(evaluation / "overlays" / f"{case}.png", f"{method.name}, {case}")
            first.cases.to_csv(evaluation / "cases.csv", index=False)


def add_showcases(comparison: Comparison, cases: int = 8) -> None:
    """Give every run `figures/showcase.npz` with the same slices; predictions differ between methods."""
    for place, method in enumerate(comparison.methods):
        for run in method.runs:
            exhibits = [exhibit(case, place, run.seed) for case in range(cases)]
            save_showcase(run.folder / "figures" / "showcase.npz", exhibits, ("background", *HEART))


def exhibit(case: int, shift: int, seed: int = 0) -> Exhibit:
    """Soft noise with rings of three classes; predictions are `shift` columns off, more so in late cases."""
    noise = np.random.default_rng(case).integers(0, 255, (30, 36), dtype=np.uint8)
    image = np.asarray(Image.fromarray(noise).resize((108, 90), Image.Resampling.BICUBIC))
    y, x = np.ogrid[:90, :108]
    far = np.hypot(y - 45, x - 54)
    reference = sum(((far < radius) for radius in (36, 24, 12)), np.zeros((90, 108), np.uint8))
    prediction = np.roll(reference, 1 + seed + round(shift * case / 2), axis=1)
    dice = dice_by_class(prediction, reference, 4)
    return Exhibit(f"{case:03}_0", "ED", case, 12, 1.2, dice, image, reference, prediction)


def add_reliability(comparison: Comparison) -> None:
    """Give every run `metrics/reliability.csv`; each method is a little surer than the one before."""
    for place, method in enumerate(comparison.methods):
        for run in method.runs:
            surer = 0.3 * place / len(comparison.methods)
            table = reliability(run.seed, surer)
            table.to_csv(run.folder / "metrics" / "reliability.csv", index=False)


def reliability(seed: int, surer: float) -> pd.DataFrame:
    """Bins of pixels with confidences from 0.3 to 1 that are right as often as these minus `surer`."""
    rng = np.random.default_rng(seed)
    pixels = np.round(10_000 * np.exp(np.linspace(-3, 0, BINS)) * (np.arange(BINS) > 3)).astype(np.int64)
    confidence = (np.arange(BINS) + rng.uniform(0.3, 0.7, BINS)) / BINS
    correct = np.round(pixels * np.clip(confidence - surer, 0, 1)).astype(np.int64)
    return reliability_table(pixels, confidence * pixels, correct)


def written(comparison: Comparison, folder: Path) -> Path:
    """Figures and page of a comparison in `folder`; returns the page."""
    return write_page(comparison, draw_figures(comparison, folder / "figures"), folder)


def picture(path: Path, title: str) -> None:
    """Write a sheet in the size of a run's, of soft noise."""
    rng = np.random.default_rng(len(title))
    small = Image.fromarray(rng.integers(0, 255, (70, 121), dtype=np.uint8))
    sheet = small.resize((1452, 839), Image.Resampling.BICUBIC).convert("RGBA")
    ImageDraw.Draw(sheet).text((20, 12), title, fill=(255, 200, 0, 255), font_size=36)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, compress_level=1)


def _miss(run: Path, case: str, class_name: str) -> None:
    path = run / "metrics" / "cases.csv"
    table = pd.read_csv(path, dtype={"case": str, "subject": str})
    there = (table["case"] == case) & (table["class_name"] == class_name)
    table.loc[there, ["dice", "hausdorff", "hausdorff95", "predicted_voxels", "missed"]] = [
        0.0, np.nan, np.nan, 0, 1,
    ]  # fmt: skip
    table.to_csv(path, index=False)
