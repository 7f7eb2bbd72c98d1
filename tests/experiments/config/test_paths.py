"""Paths as users write them: `~`, and characters that Hydra's grammar does not take."""

import re
import shlex
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from rwseg.commands.report import main as report
from rwseg.core.errors import ConfigError
from rwseg.core.paths import from_home, is_at_home
from rwseg.experiments import composition as cli
from rwseg.experiments.command import run_command
from rwseg.experiments.config.command_line import with_search_path
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.overrides import with_home
from rwseg.experiments.config.schema import SCHEMAS, Choices, TrainConfig
from rwseg.experiments.config.validation import check


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with a name that Hydra's grammar does not take, and an empty folder to work in."""
    folder, work = tmp_path / "Zoë (2)", tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(work)
    return folder


def checked(command: str, *overrides: str) -> Any:
    cli.preflight(command, list(overrides))
    cfg, _ = cli.compose(command, list(overrides))
    return check(cfg, SCHEMAS[command])


@pytest.mark.parametrize(
    ("text", "at_home"),
    [("~", True), ("~/a b", True), ("~root/a", True), ("~3 mm", False), ("a/~", False), ("", False)],
)
def test_what_begins_at_home(text: str, at_home: bool) -> None:
    assert is_at_home(text) is at_home


def test_only_the_beginning_is_replaced(home: Path) -> None:
    assert from_home("~") == str(home)
    assert from_home("~/a/~") == f"{home}/a/~"
    assert [from_home(text) for text in ("a/~", "~3 mm", "/a")] == ["a/~", "~3 mm", "/a"]
    with pytest.raises(ValueError, match=r"expected a path, got '~no_such_user/a', but ~no_such_user is"):
        from_home("~no_such_user/a")


@pytest.mark.parametrize("value", ["~/a (2) #1", "'~/a (2) #1'", '"~/a (2) #1"'])
@pytest.mark.parametrize("key", ["dataset.root", "dataset.cache", "output_root", "prepared_root"])
def test_home_on_the_command_line_of_a_training(key: str, value: str, home: Path) -> None:
    assert attrgetter(key)(checked("train", f"{key}={value}")) == f"{home}/a (2) #1"


@pytest.mark.parametrize("key", ["run_dir", "input", "output", "dataset.root"])
def test_home_on_the_command_line_of_an_evaluation(key: str, home: Path) -> None:
    base = {"run_dir": "run", "input": "in", "output": "out"}
    if key == "dataset.root":
        del base["input"]
    words = [f"{name}={value}" for name, value in {**base, key: "~/a"}.items()]
    assert attrgetter(key)(checked("evaluate", *words)) == f"{home}/a"


def test_home_in_a_list_and_in_arguments_of_lightning(home: Path) -> None:
    assert checked("evaluate", 'run_dir=["~/a",b]').run_dir == [f"{home}/a", "b"]
    cfg = checked("train", "logger=wandb", "+logger.wandb.save_dir=~/w", "+logger.wandb.notes='~3 mm'")
    wandb = cfg.logger["wandb"]
    assert (wandb["save_dir"], wandb["notes"]) == (f"{home}/w", "~3 mm")


def test_home_in_an_option_and_what_else_begins_so(home: Path) -> None:
    (home / "conf").mkdir(parents=True)
    assert with_home("--config-dir=~/conf") == f"--config-dir={home}/conf"
    own = f'hydra.searchpath=["file://{home}/conf"]'
    assert with_search_path(["--config-dir=~/conf"]) == [f"--config-dir={home}/conf", own]
    assert with_home("~callbacks.progress") == "~callbacks.progress"


def test_home_in_environment_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RWSEG_DATA", "~/data")
    monkeypatch.setenv("RWSEG_PREPARED", "~/prepared")
    cfg = checked("train", "dataset=acdc")
    assert (cfg.dataset.root, cfg.prepared_root) == (f"{home}/data/acdc", f"{home}/prepared")


def test_home_in_yaml(home: Path) -> None:
    cfg, _ = cli.compose("train", [])
    own = OmegaConf.create("{output_root: ~/runs, dataset: {root: ~/data}}")
    cfg = check(OmegaConf.merge(cfg, own))  # type: ignore[arg-type]
    assert (cfg.output_root, cfg.dataset.root) == (f"{home}/runs", f"{home}/data")


@pytest.mark.parametrize("value", ["~/a (2) #1", "'~/a (2) #1'"])
def test_a_sweep_makes_no_folder_of_that_name(
    value: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots: list[str] = []

    def task(cfg: TrainConfig, choices: Choices) -> None:
        roots.append(cfg.output_root)

    monkeypatch.setattr(sys, "argv", ["train.py", "-m", f"output_root={value}", "seed=0,1"])
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)  # pytest's own handlers stay
    run_command(task, "train")
    assert roots == [f"{home}/a (2) #1"] * 2
    assert [path.name for path in Path(home, "a (2) #1").iterdir()] == ["multirun.yaml"]
    assert not list(Path.cwd().iterdir())


def test_what_hydra_writes_by_itself_goes_home_too() -> None:
    lines = [line for path in CONF.rglob("*.yaml") for line in path.read_text().splitlines()]
    used = [line for line in lines if re.match(r"[^#]*\$\{output_root\}", line)]
    assert len(used) == 2
    assert all("${from_home:${output_root}}" in line for line in used)


GRAMMAR = ["/a#1", "/é", "/a (2)", "/a[1]", "/a=b", "/a{b}", "/a&b", "/a'b", '/a"b', "/a,b", "~/a,b"]


FEW = ["/a#1", "/a (2)", "/a'b"]


@pytest.mark.parametrize(
    "value", [*FEW, *(pytest.param(value, marks=pytest.mark.slow) for value in GRAMMAR if value not in FEW)]
)
def test_the_quoting_that_a_message_shows_is_right(value: str, home: Path) -> None:
    with pytest.raises(ConfigError, match="write ") as caught:
        cli.preflight("train", [f"dataset.root={value}"])
    message = str(caught.value)
    assert message.startswith(f"'dataset.root={value}': ")
    (advice, *_) = shlex.split(message.partition("write ")[2])
    assert checked("train", advice).dataset.root == value.replace("~", str(home))


def test_each_value_of_a_sweep_or_a_list_is_quoted(home: Path) -> None:
    with pytest.raises(ConfigError, match="only in quotes; write ") as caught:
        cli.preflight("train", ["-m", "dataset.root=~/a,/é,'/b'"])
    (advice,) = shlex.split(str(caught.value).partition("write ")[2])
    jobs = cli.preflight("train", ["-m", advice])
    assert [cfg.dataset.root for cfg, _ in jobs] == [f"{home}/a", "/é", "/b"]
    with pytest.raises(ConfigError, match="only in quotes; write ") as caught:
        cli.preflight("evaluate", ["run_dir=[~/a,/b]"])
    (advice,) = shlex.split(str(caught.value).partition("write ")[2])
    assert checked("evaluate", advice).run_dir == [f"{home}/a", "/b"]


@pytest.mark.parametrize("text", ["seed", "dataset.root={a:#}", "dätaset=1"])
def test_what_quotes_do_not_mend_is_told_too(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"'{text}': expected KEY=VALUE in Hydra's grammar")):
        cli.preflight("train", [text])


@pytest.mark.parametrize("value", ["2024_11_27", "1e5", "0.10", "true"])
def test_a_folder_that_hydra_would_rename_is_refused(value: str) -> None:
    with pytest.raises(
        ConfigError, match=f"'output_root={value}': expected a text, got what Hydra"
    ) as caught:
        cli.preflight("train", [f"output_root={value}"])
    (advice,) = shlex.split(str(caught.value).partition("write ")[2])
    assert checked("train", advice).output_root == value


@pytest.mark.parametrize("value", ["2024", "007", "-1", "inf"])
def test_a_folder_named_as_a_number_stays_what_it_is(value: str) -> None:
    assert checked("train", f"output_root={value}").output_root == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hydra.job.chdir=true", "hydra.job.chdir=true: expected false"),
        ("hydra.sweep.dir='~/a'", "hydra.sweep.dir=~/a: expected a path without ~"),
        ("hydra.run.dir=~/a", "hydra.run.dir=~/a: expected a path without ~"),
        ("output_root=~no_such_user/a", "output_root: expected a path, got '~no_such_user/a', but"),
    ],
)
@pytest.mark.parametrize("mode", [[], ["-m", "seed=0,1"]])
def test_what_would_scatter_files_is_refused(override: str, message: str, mode: list[str]) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        cli.preflight("train", [*mode, override])


def test_every_command_takes_paths_at_home(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(["~/runs", "-o", "~/out"]) == 2
    assert f"{home}/runs: expected a folder with run directories" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        report(["~no_such_user", "-o", "~/out"])
    assert "argument DIR: invalid user_path value: '~no_such_user'" in capsys.readouterr().err
    files = list((CONF.parent / "rwseg").rglob("*.py"))
    assert sum(file.read_text().count("type=user_path") for file in files) == 21
    assert not [file for file in files if "type=Path" in file.read_text()]
