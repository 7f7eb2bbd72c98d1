"""The data of a study, packed: all that its runs measured, in tables to keep and to report again."""

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from rwseg.core.errors import RunError
from rwseg.core.files import replacing, write_text
from rwseg.report.comparison.comparison import FINISHED, Method, Run
from rwseg.report.comparison.methods import COMPARED, group
from rwseg.report.comparison.packed_runs import (
    CASE_COLUMNS,
    CASES,
    EPOCHS,
    FACTS,
    IDENTITY,
    SETTINGS,
    described,
)
from rwseg.report.comparison.run_tables import EPOCH_COLUMNS


def pack(runs: Sequence[Run], folder: Path, compared: Sequence[str] = ()) -> list[Path]:
    """Write the finished `runs` into `folder` and return the paths; `packed_runs.read_packed` reads them.

    `runs.csv.gz` has a row per run, case and class, `epochs.csv.gz` one per run and epoch, `machines.csv` one
    per run: how long it took, on what, at which commit and learning rate; `settings.json` has all that
    decided the numbers. Rows are in the order of method, seed and case, so that the same runs give the same
    bytes. Raises `RunError` where no run has finished, and where a method has a seed twice (`compared` sets
    methods apart as in a report).
    """
    finished = [run for run in runs if run.status == FINISHED]
    if not finished:
        raise RunError(f"expected finished runs to pack, got {len(runs)} of which none has finished")
    methods = group(finished, (*COMPARED, *compared))
    _write_packed(folder / CASES, pd.concat(_cases(methods), ignore_index=True))
    epochs = list(_epochs(methods)) or [pd.DataFrame(columns=[*IDENTITY, *EPOCH_COLUMNS])]
    _write_packed(folder / EPOCHS, pd.concat(epochs, ignore_index=True))
    write_text(folder / FACTS, pd.DataFrame(_facts(methods)).to_csv(index=False))
    each = {(method.name, run.seed): run for method in methods for run in method.runs}
    write_text(folder / SETTINGS, json.dumps(described(each), indent=1, sort_keys=True) + "\n")
    return [folder / name for name in (CASES, EPOCHS, FACTS, SETTINGS)]


def _each(methods: Sequence[Method]) -> Iterator[tuple[dict[str, object], Run]]:
    """Every run, with the columns that say which it is."""
    for method in methods:
        for run in method.runs:
            options = {name: run.choices.get(name, "") for name in ("loss", "strategy")}
            yield {"method": method.name, **options, "seed": run.seed}, run


def _cases(methods: Sequence[Method]) -> Iterator[pd.DataFrame]:
    for identity, run in _each(methods):
        assert run.cases is not None
        yield _identified(identity, run.cases[list(CASE_COLUMNS)])


def _epochs(methods: Sequence[Method]) -> Iterator[pd.DataFrame]:
    for identity, run in _each(methods):
        if run.epochs is not None:
            yield _identified(identity, run.epochs)


def _identified(identity: dict[str, object], table: pd.DataFrame) -> pd.DataFrame:
    own = pd.DataFrame([identity] * len(table), index=table.index)
    return pd.concat([own, table], axis=1)


def _facts(methods: Sequence[Method]) -> Iterator[dict[str, object]]:
    for identity, run in _each(methods):
        yield {
            **identity,
            "learning_rate": run.settings.get("schedule.learning_rate", ""),
            "seconds": run.seconds,
            "device": run.device,
            "processor": run.processor,
            "commit": run.commit,
        }


def _write_packed(path: Path, table: pd.DataFrame) -> None:
    """Six digits are beyond what two machines agree in; no time of writing stands in the file."""
    text = table.to_csv(index=False, float_format="%.6g").encode()
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", mtime=0, filename="") as packed:
        packed.write(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())
