"""The code behind a run: which modules are the user's own, and what is said when one was edited."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import own_code
import pytest

from rwseg.core.errors import RunError
from rwseg.core.own_code import import_from_current_folder
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check, plain
from rwseg.experiments.run_directory import run_path, save_config
from rwseg.experiments.run_status import is_finished, tell_edited
from rwseg.experiments.sources import digest_of, modules_of, own_sources
from rwseg.report.comparison.runs import read_directory


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with own_code.own_folder(tmp_path) as folder:
        import_from_current_folder()
        yield folder


def package(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / "own_package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    own_code.forget()


def test_the_module_and_what_it_imports_of_the_user_s_own() -> None:
    assert set(modules_of("own_mine.MyLoss")) == {"own_mine", "own_helpers"}


@pytest.mark.parametrize("path", ["torch.nn.MSELoss", "rwseg.losses.RRWLoss", "json.loads", "nowhere.X"])
def test_libraries_have_versions_and_no_sources(path: str) -> None:
    assert modules_of(path) == {}


def test_a_package_with_relative_imports_and_imports_in_functions(folder: Path) -> None:
    package(
        folder,
        {
            "__init__.py": "from .losses import MyLoss\n",
            "losses/__init__.py": "from .deep import MyLoss\n",
            "losses/deep.py": "import torch\nfrom .. import shared\nfrom ..shared import value\n\n"
            "class MyLoss:\n    def __call__(self, x, y):\n        import own_package.late\n",
            "shared.py": "value = 1\n",
            "late.py": "",
            "unused.py": "",
        },
    )
    names = {"", ".losses", ".losses.deep", ".shared", ".late"}
    assert set(modules_of("own_package.MyLoss")) == {f"own_package{name}" for name in names}
    assert "own_package" not in sys.modules  # found without importing anything


def test_a_package_that_is_installed_counts_where_it_is_named(tmp_path: Path) -> None:
    place = tmp_path / "site-packages" / "own_lab"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("from own_lab import inner\n")
    (place / "inner.py").write_text("import numpy\n")
    sys.path.append(str(place.parent))
    own_code.forget()
    assert set(modules_of("own_lab.Loss")) == {"own_lab", "own_lab.inner"}
    own_code.write(tmp_path, "own_mine", "import own_lab\n")
    assert set(modules_of("own_mine.Loss")) == {"own_mine"}


def test_every_group_counts() -> None:
    content: dict[str, Any] = {
        "loss": {"_target_": "own_mine.MyLoss", "part": {"_target_": "own_helpers.scaled"}},
        "callbacks": {"a": {"_target_": "own_helpers.Callback"}, "b": {"_target_": "rwseg.x.Y"}},
        "dataset": {"adapter": "own_helpers.DATASET"},
        "optimizer": [{"_target_": "own_helpers.Optimizer"}],
    }
    found = own_sources(content)
    assert set(found) == {"loss", "loss.part", "callbacks.a", "dataset.adapter", "optimizer[0]"}
    assert set(found["loss"]) == {"own_mine", "own_helpers"}


@pytest.mark.parametrize("text", ["# a comment\n", "", "def scaled(value, weight):\n    return value\n"])
def test_the_content_counts_and_not_the_date(text: str, folder: Path) -> None:
    before = modules_of("own_mine.MyLoss")
    own_code.write(folder, "own_helpers", own_code.HELPERS.replace("\n", "\r\n"))
    assert modules_of("own_mine.MyLoss") == before
    own_code.write(folder, "own_helpers", text)
    after = modules_of("own_mine.MyLoss")
    assert {name for name in before if before[name] != after[name]} == {"own_helpers"}
    assert digest_of(before) != digest_of(after)


def begun(folder: Path, *words: str, **facts: object) -> tuple[Path, Any]:
    """A run directory as a training would leave it."""
    given = ["loss=custom", "loss._target_=own_mine.MyLoss", f"output_root={folder}/outputs", *words]
    cfg, choices = compose("train", given)
    checked = check(cfg)
    run = run_path(checked, choices)
    save_config(run, checked)
    content = {"status": "finished", "sources": own_sources(plain(checked)), **facts}
    (run / "run.json").write_text(json.dumps(content))
    return run, checked


def test_an_edited_helper_is_another_run(folder: Path, four_names: None) -> None:
    run, cfg = begun(folder)
    assert is_finished(run, cfg)
    own_code.write(folder, "own_helpers", own_code.HELPERS + "\n# other\n")
    words = r"other code.*\n  - loss: module own_helpers: saved \w+, now \w+\ngive force=true"
    with pytest.raises(RunError, match=words):
        is_finished(run, cfg)
    cfg.force = True
    assert not is_finished(run, cfg)


@pytest.mark.parametrize("facts", [{"sources": None}, {"sources": {}}, {"sources": {"logger.x": {"a": "1"}}}])
def test_runs_of_before_go_on(facts: dict[str, Any], folder: Path, four_names: None) -> None:
    run, cfg = begun(folder, **facts)
    own_code.write(folder, "own_helpers", "")
    assert is_finished(run, cfg)


def test_an_edited_network_is_told_where_a_run_is_loaded(
    folder: Path, four_names: None, caplog: pytest.LogCaptureFixture
) -> None:
    model = {"model": {"_target_": "own_mine.MyLoss"}}
    run, _ = begun(folder, sources=own_sources(model))
    tell_edited(run, model)
    assert not caplog.messages
    own_code.write(folder, "own_helpers", "")
    tell_edited(run, model)
    (message,) = caplog.messages
    assert "code was edited since, and may predict otherwise: model: module own_helpers: saved" in message


def test_the_report_tells_runs_of_other_code_apart(folder: Path, four_names: None) -> None:
    run, _ = begun(folder, status="running")
    first = read_directory(run).settings["loss.source"]
    own_code.write(folder, "own_helpers", "")
    begun(folder, status="running")
    assert read_directory(run).settings["loss.source"] != first
