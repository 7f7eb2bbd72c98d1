"""The tests that need a CUDA device: how many passed, and which did not.

python -m benchmarks.cuda_tests [--json FILE] [FILE of tests ...]
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.timing import machine, parser
from rwseg.core.files import write_json

ROOT = Path(__file__).resolve().parents[1]


class Counted:
    """What became of each test, by its name."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self.outcomes[report.nodeid] = report.outcome


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("files", nargs="*", default=["tests"])
    asked = options.parse_args(arguments)
    counted = Counted()
    words = ["-q", "-n", "0", "-m", "cuda", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    status = pytest.main([*words, *(str(ROOT / file) for file in asked.files)], plugins=[counted])
    kinds = ("passed", "failed", "skipped")
    row = {kind: sum(outcome == kind for outcome in counted.outcomes.values()) for kind in kinds}
    if asked.json:
        failed = [f"failed: {name}" for name, outcome in counted.outcomes.items() if outcome == "failed"]
        tables = {"tests that need a GPU": [{"name": "tests", **row}]}
        write_json(asked.json, {"machine": machine(1), "says": failed, "tables": tables})
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main())
