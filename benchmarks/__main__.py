"""Run benchmarks one after another, each in a fresh process, and keep what they measured.

    python -m benchmarks [--out FOLDER] [--rounds N] [--device cuda] [NAME ...]

Without names all benchmarks of this folder run. FOLDER gets one JSON per benchmark, with the command and the
commit beside the figures (`NAME-cuda.json` of a run on a GPU); `python -m benchmarks.document` makes a page
of them. Real volumes are used where RWSEG_DATA is set. A benchmark that fails does not stop the others: the
status is 1 then, and its earlier figures stay.
"""

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rwseg.core.files import write_json

HERE = Path(__file__).resolve().parent

NO_BENCHMARKS = {
    *("__init__", "__main__", "curves", "document", "targets", "timing", "volumes"),  # what they are made of
    *("preparation", "residency", "training_step", "warped_maps"),  # commands of their own, of no peer
    *("claims", "coverage", "map_effects", "map_weights"),  # of results, of statistics
    *("label_noise", "pictures", "transfer"),  # data
    "validation",  # of a run
    *("gpu_check", "gpu_document", "cuda_tests", "study"),  # of `make gpu-check`
}


def names() -> list[str]:
    """The benchmarks: every module of this folder that is none of `NO_BENCHMARKS`."""
    return sorted({path.stem for path in HERE.glob("*.py")} - NO_BENCHMARKS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 if a benchmark failed, else 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; default: all")
    parser.add_argument("--out", type=Path, help="folder for one JSON per benchmark")
    parser.add_argument("--rounds", type=int, help="paired runs per comparison (default: each its own)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.names) - set(names()))
    if unknown:
        parser.error(f"expected benchmarks of {', '.join(names())}, got {', '.join(unknown)}")
    options = [] if asked.rounds is None else ["--rounds", str(asked.rounds)]
    options += [] if asked.device == "cpu" else ["--device", asked.device]
    commit = code_commit()
    failed = [name for name in asked.names or names() if not run(name, options, asked.out, commit)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def run(name: str, options: Sequence[str], out: Path | None, commit: str | None) -> bool:
    """Run one benchmark and keep its figures in `out`; whether it succeeded."""
    print(f"\n== {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = ["-m", f"benchmarks.{name}", *options]
        ended = subprocess.run([sys.executable, *command, "--json", str(file)], check=False)
        if ended.returncode:
            return False
        if out is not None and file.exists():
            kept = described(json.loads(file.read_text()), name, command, commit)
            write_json(out / f"{name}{'-cuda' if 'cuda' in options else ''}.json", kept)
    return True


def described(
    figures: dict[str, Any], name: str, command: Sequence[str], commit: str | None
) -> dict[str, Any]:
    """The figures and how they came about. Where the data lies is nobody's business: it is called FOLDER."""
    about = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or name
    data = "RWSEG_DATA=FOLDER " if os.environ.get("RWSEG_DATA") else ""
    return {
        "about": about.splitlines()[0],
        "command": f"{data}python {' '.join(command)}",
        "commit": commit,
        **figures,
    }


def code_commit() -> str | None:
    """The commit of the code, `-dirty` if it was changed since; None without git. Documents do not count."""
    code = ("--", "benchmarks", "rwseg", "conf")
    try:
        head, changes = (
            subprocess.run(
                ["git", *words], cwd=HERE.parent, capture_output=True, text=True, check=True
            ).stdout
            for words in (("rev-parse", "--short=7", "HEAD"), ("status", "--porcelain", *code))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("-dirty" if changes.strip() else "")


if __name__ == "__main__":
    sys.exit(main())
