"""The epochs of a training of nnU-Net, from the text that it logs."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

LINE = re.compile(r": (?:Epoch (?P<epoch>\d+)|train_loss (?P<loss>\S+)|Epoch time: (?P<seconds>\S+) s)\s*$")


def fold_epochs(folds: Sequence[Path]) -> tuple[float, pd.DataFrame | None]:
    """Seconds of all epochs of all folds, and a table `epoch, seconds, train/loss`: means over the folds.

    An epoch that was trained again after an interruption counts as it was trained last. nnU-Net's pseudo Dice
    is of patches, and no validation Dice; it is left out. The table is None where there is no log.
    """
    tables = [pd.DataFrame(_epochs(fold), columns=["epoch", "seconds", "train/loss"]) for fold in folds]
    rows = pd.concat([table.drop_duplicates("epoch", keep="last") for table in tables])
    if rows.empty:
        return 0.0, None
    return float(rows["seconds"].sum()), rows.groupby("epoch").mean().reset_index()


def _epochs(fold: Path) -> Iterator[tuple[int, float, float]]:
    epoch, loss = -1, float("nan")
    for path in sorted(fold.glob("training_log_*.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            found = LINE.search(line)
            if found is None:
                continue
            if found["epoch"]:
                epoch = int(found["epoch"])
            elif found["loss"]:
                loss = float(found["loss"])
            else:
                yield epoch, float(found["seconds"]), loss
