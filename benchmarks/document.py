"""docs/benchmarks.md and its figure, made of what the benchmarks left behind and of nothing else.

python -m benchmarks.document [--results docs/results/benchmarks] [--out docs/benchmarks.md]
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from benchmarks.targets import TARGETS, Target
from rwseg.core.files import write_text

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
NOT_SHOWN = {"name", "samples", "samples_ms", "faster_quartiles"}
HEADINGS = {
    "ms": "ms (median)",
    "faster": "times as fast (quartiles)",
    "gpu_mib": "MiB of the GPU, beside weights",
}

Results = Mapping[str, Mapping[str, Any]]


class Ratio(NamedTuple):
    """Quartiles of the ratios of two rows, round by round, or of the seconds of one."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The results in `folder` by the name of their file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def ratio(
    results: Results, benchmark: str, table: str, numerator: str, denominator: str | None
) -> Ratio | None:
    """Quartiles of `numerator / denominator`, or of its seconds; None where the benchmark did not run.

    A benchmark that ran without such a table or row is a `ValueError`: the target is out of date.
    """
    if benchmark not in results:
        return None
    tables = results[benchmark]["tables"]
    if table not in tables:
        raise ValueError(f"{benchmark}: expected a table {table!r}, got {', '.join(map(repr, tables))}")
    rows = {row["name"]: row for row in tables[table]}
    for name in (numerator, denominator):
        if name is not None and name not in rows:
            raise ValueError(
                f"{benchmark}, {table}: expected a row {name!r}, got {', '.join(map(repr, rows))}"
            )
    above = rows[numerator]["samples_ms"]
    below = rows[denominator]["samples_ms"] if denominator is not None else [1e3] * len(above)
    ratios = [over / under for over, under in zip(above, below, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else 3 * ratios
    return Ratio(low, median, high)


def target_row(target: Target, results: Results) -> dict[str, str]:
    """A line of the first table."""
    found = None
    if not target.needs or _rows(results, target) >= {target.numerator, target.denominator}:
        found = ratio(results, target.benchmark, target.table, target.numerator, target.denominator)
    lacking = f" (needs {target.needs})" if target.needs else ""
    measured = str(found) if found else f"not measured{lacking}"
    met = ("yes" if target.holds(found.median) else "**no**") if found else ""
    return {"what": target.what, "bound": target.bound, "measured": measured, "met": met}


def _rows(results: Results, target: Target) -> set[str]:
    """The rows that the target's table has."""
    tables = results.get(target.benchmark, {}).get("tables", {})
    return {row["name"] for row in tables.get(target.table, [])}


def growth(results: Results) -> list[dict[str, Any]]:
    """A line per part: how far its times are from a straight line, and what memory does."""
    tables = results["growth"]["tables"] if "growth" in results else {}
    return [
        {
            "part": part,
            "times": rows[-1]["name"],
            "off": max(abs(row["of_line"] - 1) for row in rows),
            "memory": rows[-1]["peak_mib"] / rows[0]["peak_mib"],
        }
        for part, rows in tables.items()
    ]


def table_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of a benchmark in Markdown: the columns of its rows, samples left out."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in NOT_SHOWN))
    head = ["", *(HEADINGS.get(column, column.replace("_", " ")) for column in columns)]
    lines = [head, ["---", *["---:"] * len(columns)]]
    lines += [[str(row["name"]), *(cell(row, column) for column in columns)] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if column == "faster" and "faster_quartiles" in row:
        return str(Ratio(row["faster_quartiles"][0], row["faster"], row["faster_quartiles"][1]))
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return "" if value is None else str(value)


def machine(facts: Mapping[str, Any]) -> str:
    """A machine in a line: what has no value is left out."""
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)


def rendered(template: str, **values: Any) -> str:
    """A template of this folder as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(table_lines=table_lines, machine=machine, **values)


def page(results: Results, targets: Sequence[Target] = TARGETS) -> str:
    """The document as Markdown."""
    rows = [target_row(target, results) for target in targets]
    return rendered(
        "benchmarks.md.j2",
        targets=rows,
        missed={target.benchmark for target, row in zip(targets, rows, strict=True) if "no" in row["met"]},
        results=results,
        growth=growth(results),
        within=lambda *table: partial(ratio, results, *table),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=DOCS / "results" / "benchmarks")
    parser.add_argument("--out", type=Path, default=DOCS / "benchmarks.md")
    asked = parser.parse_args(arguments)
    results = read(asked.results)
    write_text(asked.out, page(results))
    tables = results["growth"]["tables"] if "growth" in results else {}
    if "steps, disk" in tables:
        from benchmarks.curves import growth_curves  # matplotlib takes a second to import

        growth_curves(tables, asked.out.parent / "figures" / "growth.svg")
    print(asked.out)


if __name__ == "__main__":
    main()
