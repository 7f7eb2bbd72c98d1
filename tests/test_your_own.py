"""docs/your-own.md, as it stands: its files are written, its commands given, its sessions compared."""

import doctest
import re
import shlex
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_trees import mask_of, picture_of, save
from own_code import forget

from rwseg.commands.export import main as export
from rwseg.experiments.composition import preflight
from rwseg.experiments.run import train_run

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w/.]+\.(?:py|yaml))\n")
SMALL = [
    "trainer=cpu",
    "workers=1",
    "schedule.epochs=1",
    "schedule.batches_per_epoch=2",
    "evaluation.flips=false",
]
"""What the test adds to each training."""


def write(text: str) -> None:
    """A file that begins with its name, `# mine.py`; one of more than one block is written on."""
    path = Path(FILE.match(text)[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def give(command: str, output_root: str) -> None:
    """Train or export as the command would with these arguments, in this process."""
    program, name, *arguments = shlex.split(command, comments=True)
    if (program, name) == ("rwseg", "export"):
        assert export(arguments) == 0
        return
    assert (program, name) == ("rwseg", "train"), command
    model = [] if any(one.startswith("model=") for one in arguments) else ["model.features=4"]
    [(cfg, choices)] = preflight("train", ["-m", *arguments, *SMALL, *model, f"output_root={output_root}"])
    train_run(cfg, choices)


def converse(text: str, known: dict[str, Any]) -> None:
    session = doctest.DocTestParser().get_doctest(text, known, "your-own.md", None, 0)
    result = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(session, clear_globs=False)
    known.update(session.globs)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.fixture
def folder(tmp_path: Path, phantom_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the page is typed: with the phantom as `data/phantom`, and pictures in `cells`."""
    monkeypatch.delenv("RWSEG_DATA", raising=False)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.syspath_prepend(tmp_path)  # not after the tests, as a command does: they have modules too
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/phantom").symlink_to(phantom_root)
    for number in range(10):
        name, mask = f"patient{number // 2}_slice{number % 2}.png", mask_of(number)
        save(tmp_path / "cells/images" / name, picture_of(mask, number, channels=3))
        save(tmp_path / "cells/masks" / name, np.array([0, 128, 255], np.uint8)[mask])
    forget()
    yield tmp_path
    sys.modules.pop("mine", None)
    forget()


@pytest.mark.slow
@pytest.mark.usefixtures("folder", "no_run_figures", "four_names")
def test_the_page_of_what_is_your_own() -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "your-own.md").read_text())
    known: dict[str, Any] = {}
    numbers = count()
    for text in (text for _, text in blocks if FILE.match(text)):
        write(text)
    give("rwseg train", "outputs")
    for language, text in blocks:
        if language == "sh":
            for command in text.replace("\\\n", "").splitlines():
                give(command, f"outputs-{next(numbers)}")
        elif ">>> " in text:
            converse(text, known)
    [shown] = [text for _, text in BLOCK.findall((ROOT / "README.md").read_text()) if "load_run" in text]
    exec(shown, known)
    assert known["labels"].shape == known["image"].shape[1:]
