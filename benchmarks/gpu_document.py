"""docs/gpu.md, made of what `make gpu-check` left behind and of nothing else.

python -m benchmarks.gpu_document [--results docs/results/gpu] [--out docs/gpu.md]
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.document import DOCS, read, rendered, target_row
from benchmarks.targets import GPU_TARGETS
from rwseg.core.files import write_text

GPU, PAGE = DOCS / "results" / "gpu", DOCS / "gpu.md"

Device = Mapping[str, Any]
"""What one command left behind: benchmarks/gpu_check.py."""


def targets(device: Device) -> list[dict[str, str]]:
    """A line per target; where its part was not measured, with what became of that."""
    results = {part["name"]: part["result"] for part in device["parts"] if "result" in part}
    status = {part["name"]: part["status"] for part in device["parts"] if "result" not in part}
    rows = []
    for target in GPU_TARGETS:
        table = next(iter(results.get(target.benchmark, {}).get("tables", {})), "")
        row = target_row(replace(target, table=table), results)
        if target.benchmark in status:
            row["measured"] = f"not measured ({target.benchmark}: {status[target.benchmark]})"
        rows.append(row)
    return rows


def page(devices: Mapping[str, Device]) -> str:
    """The document as Markdown."""
    nothing: Device = {"parts": []}
    return rendered(
        "gpu.md.j2",
        devices=[(device, targets(device)) for device in devices.values()],
        wanted=[row | {"measured": "not measured"} for row in targets(nothing)],
    )


def write_page(results: Path, out: Path) -> None:
    """Make the page of the files in `results`."""
    write_text(out, page(read(results)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=GPU)
    parser.add_argument("--out", type=Path, default=PAGE)
    asked = parser.parse_args(arguments)
    write_page(asked.results, asked.out)
    print(asked.out)


if __name__ == "__main__":
    main()
