"""Wrong gradient signs over training beside the Dice that came of it, for any number of runs.

rwseg stability RUN_DIR [RUN_DIR ...] -o FIGURE.png
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rwseg.core.errors import RunError, RwsegError, table_of_run
from rwseg.core.paths import user_path
from rwseg.experiments.run_directory import load_config
from rwseg.experiments.run_status import read_run
from rwseg.training.figures import check_ending, run_colours, save


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figure and print one line per run; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="rwseg stability", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=user_path, metavar="RUN_DIR")
    parser.add_argument("-o", "--output", type=user_path, required=True, metavar="FIGURE")
    asked = parser.parse_args(arguments)
    try:
        check_ending(asked.output)
        tables = dict(zip(names_of(asked.runs), map(epochs_of, asked.runs), strict=True))
        draw(tables, asked.output)
    except RwsegError as error:
        print(f"rwseg stability: {error}", file=sys.stderr)
        return 2
    for name, table in tables.items():
        dice = table["val/dice"].dropna()
        final = f"final mean Dice {dice.iloc[-1]:.3f}" if len(dice) else "not validated yet"
        wrong = 100 * table["train/wrong_sign"]
        print(
            f"{name}: wrong signs in the first epoch {wrong.iloc[0]:.1f} % of pixels, in the last "
            f"{wrong.iloc[-1]:.1f} %; {final}"
        )
    print(f"wrote {asked.output}")
    return 0


def name_of(run: Path) -> str:
    """Loss, strategy, whether it is rectified, and seed of a run."""
    cfg = load_config(run)
    choices = read_run(run).get("choices", {})
    words = [choices.get("loss", run.name)]
    if cfg.loss.get("rectify"):
        words.append("rectified")
    if choices.get("strategy", "alone") != "alone":
        words.append(choices["strategy"])
    return f"{' '.join(words)}, seed {cfg.seed}"


def names_of(runs: Sequence[Path]) -> list[str]:
    """A name per run, with the run's folder where several would have the same; `RunError` for a run twice."""
    twice = [str(run) for run, count in Counter(map(Path.resolve, runs)).items() if count > 1]
    if twice:
        raise RunError(f"expected each run once, got {twice[0]} several times")
    names = [name_of(run) for run in runs]
    return [
        f"{name} ({run})" if names.count(name) > 1 else name for name, run in zip(names, runs, strict=True)
    ]


def epochs_of(run: Path) -> pd.DataFrame:
    """The run's `epochs.csv`; `RunError` if it is not there or was written without the meter."""
    path = run / "metrics" / "epochs.csv"
    if not path.is_file():
        raise RunError(f"{path}: expected the table of a run that has finished an epoch, found no file")
    with table_of_run(path):
        table = pd.read_csv(path)
    if not {"train/wrong_sign", "val/dice"} <= set(table.columns):
        raise RunError(f"{path}: expected columns train/wrong_sign and val/dice, found {list(table.columns)}")
    return table


def draw(tables: dict[str, pd.DataFrame], path: Path) -> Path:
    """Draw both panels from the tables of the named runs; returns `path`."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    last = len(tables) - 1
    for number, (name, table) in enumerate(tables.items()):
        epoch, colour = table["epoch"] + 1, run_colours(len(tables))[number]
        width = 1.5 + 1.5 * (last - number)  # lines on top of each other, at 0, all stay visible
        left.plot(epoch, 100 * table["train/wrong_sign"], color=colour, linewidth=width, label=name)
        dice = table.dropna(subset=["val/dice"])
        right.plot(dice["epoch"] + 1, dice["val/dice"], color=colour, marker=".", label=name)
    _finish(left, "Pixels whose gradient has a wrong sign (mean over classes)", "% of training pixels")
    _finish(right, "Validation Dice on whole volumes (mean over classes)", "Dice")
    right.set_ylim(0, 1)
    right.legend(loc="lower right")
    return save(figure, path)


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.set(title=title, xlabel="epoch", ylabel=label)
    axes.grid(alpha=0.3)
    axes.set_ylim(bottom=-1 if "%" in label else 0)


if __name__ == "__main__":
    raise SystemExit(main())
