"""A user's own option files, by --config-dir and hydra.searchpath, and what else Hydra's command line has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rwseg.core.errors import ConfigError
from rwseg.experiments import composition as cli
from rwseg.experiments.command import run_command
from rwseg.experiments.config.command_line import overrides_last
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.run_directory import run_path
from rwseg.losses import FocalLoss, build_loss


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder `my conf (2)` with a loss, a data set and an experiment."""
    folder = tmp_path / "my conf (2)"
    files = {
        "loss/myloss.yaml": "_target_: rwseg.losses.FocalLoss\ngamma: 3.5\n",
        "dataset/mydata.yaml": "defaults: [phantom, _self_]\nroot: /mine\nsplit_seed: 3\n",
        "experiment/myexperiment.yaml": "# @package _global_\ndefaults: [override /loss: myloss]\nseed: 4\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def given(way: str, folder: Path) -> list[str]:
    return ["--config-dir", str(folder)] if way == "--config-dir" else [f'hydra.searchpath=["{folder}"]']


def jobs_of(*arguments: str) -> list[tuple[TrainConfig, Choices]]:
    return cli.preflight("train", ["-m", *arguments])


WAYS = ["--config-dir", "hydra.searchpath"]


@pytest.mark.parametrize("way", WAYS)
def test_own_options_are_chosen_as_ours(way: str, own: Path) -> None:
    jobs = jobs_of(*given(way, own), "loss=myloss,ce", "dataset=mydata", "schedule=phantom", "model=phantom",
                   "augment=none")  # fmt: skip
    (mine, choices), (other, _) = jobs
    assert (mine.loss["gamma"], mine.dataset.root, mine.dataset.split_seed) == (3.5, "/mine", 3)
    assert isinstance(build_loss(mine).main, FocalLoss)
    assert (choices["loss"], choices["dataset"]) == ("myloss", "mydata")
    assert run_path(mine, choices).parts[2:4] == ("mydata", "myloss")
    assert other.loss["_target_"] == "rwseg.losses.CrossEntropyLoss"


@pytest.mark.parametrize("way", WAYS)
def test_own_options_have_settings_and_are_found_by_name_and_glob(way: str, own: Path) -> None:
    pattern = "loss=glob(my*)" if way == "--config-dir" else "loss=myloss"  # Hydra's glob looks there only
    (one,) = jobs_of(*given(way, own), pattern, "loss.gamma=1")
    assert one[0].loss["gamma"] == 1
    with pytest.raises(ConfigError, match=r"'loss=mylos': expected one of .*; did you mean 'myloss'\?"):
        cli.preflight("train", [*given(way, own), "loss=mylos"])
    with pytest.raises(ConfigError, match=r"unknown key 'loss.gama' .* did you mean 'loss.gamma'\?"):
        cli.preflight("train", [*given(way, own), "loss=myloss", "loss.gama=1"])
    with pytest.raises(ConfigError, match="'loss=myloss': expected one of"):  # without the folder
        cli.preflight("train", ["loss=myloss"])


def test_a_data_set_without_a_schedule_of_its_name_says_what_to_choose(own: Path) -> None:
    with pytest.raises(ConfigError, match=r"^augment=mydata: expected one of acdc, .*phantom, wmh"):
        cli.preflight("train", ["--config-dir", str(own), "dataset=mydata", "schedule=acdc", "model=acdc"])


def test_an_experiment_of_ones_own_names_its_runs(own: Path) -> None:
    ((cfg, choices),) = jobs_of("--config-dir", str(own), "experiment=myexperiment")
    assert run_path(cfg, choices) == Path("outputs/myexperiment/phantom/myloss/alone/seed4")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rooot: /x", "In 'dataset/mydata': unknown key 'dataset.rooot'; did you mean 'dataset.root'?"),
        ("folds: many", "In 'dataset/mydata': dataset.folds: Value 'many'"),
        ("plan: fix", "dataset.plan: expected one of fixed, auto, got fix"),
        ("root: /twice", "expected YAML, got: while constructing"),
        ("zoom: 3", "dataset.zoom: expected less than or equal to 1, got 3.0"),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_mistake_in_an_own_file_is_refused_with_its_key(
    way: str, line: str, message: str, own: Path
) -> None:
    with (own / "dataset" / "mydata.yaml").open("a") as file:
        file.write(f"{line}\n")
    asked = ["dataset=mydata", "schedule=phantom", "model=phantom", "augment=none"]
    with pytest.raises(ConfigError, match=re.escape(message)):
        cli.preflight("train", [*given(way, own), *asked])


@pytest.mark.parametrize("way", WAYS)
def test_a_folder_that_is_not_there_is_refused(way: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^{way}=.*/nowhere: expected a folder of your own options"):
        cli.preflight("train", given(way, tmp_path / "nowhere"))


@pytest.mark.parametrize("mode", [[], ["-m"]])
def test_a_command_runs_with_own_options(mode: list[str], own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[object, ...]] = []

    def task(cfg: TrainConfig, choices: Choices) -> None:
        seen.append((cfg.loss["gamma"], run_path(cfg, choices).parts[3]))

    monkeypatch.chdir(own.parent)
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)  # pytest's own handlers stay
    monkeypatch.setattr(sys, "argv", ["train.py", *mode, "--config-dir", own.name, "loss=myloss"])
    run_command(task, "train")
    assert seen == [(3.5, "myloss")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("loss=ce --cfg job seed=1", "--cfg job loss=ce seed=1"),
        ("a=1 -m b=0,1 --config-dir x=y c=2", "-m --config-dir x=y a=1 b=0,1 c=2"),
        ("loss=ce --info", "--info=all loss=ce"),
        ("~logger -i plugins +a=1", "-i plugins ~logger +a=1"),
        ("", ""),
    ],
)
def test_overrides_may_stand_on_both_sides_of_a_flag(line: str, found: str) -> None:
    assert overrides_last(line.split()) == found.split()


@pytest.mark.parametrize("line", ["--multirunn seed=1", "--config-path=elsewhere", "-q"])
def test_other_flags_than_hydra_s_are_refused(line: str) -> None:
    with pytest.raises(ConfigError, match=r"^-.*: expected (a flag of Hydra|no other configuration)"):
        cli.preflight("train", line.split())


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("--help", "myloss"),
        ("--hydra-help", "--shell-completion"),
        ("loss=myloss --cfg job --resolve seed=1", "gamma: 3.5"),
        ("--info searchpath", "my conf (2)"),
        ("--shell-completion install=bash", "COMP_LINE"),
    ],
)
def test_what_hydra_shows(line: str, word: str, own: Path) -> None:
    command = [sys.executable, str(CONF.parent / "train.py"), "--config-dir", own.name, *line.split()]
    shown = subprocess.run(command, cwd=own.parent, capture_output=True, text=True, timeout=120)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert word in shown.stdout
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_shell_completion_knows_own_options(own: Path) -> None:
    """As Hydra's Bash function asks."""
    command = [sys.executable, str(CONF.parent / "train.py"), "--config-dir", own.name, "--shell-completion"]
    environment = {"COMP_LINE": "python train.py loss=my", "COMP_POINT": "23", "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(
        [*command, "query=bash"], cwd=own.parent, capture_output=True, text=True, timeout=120, env=environment
    )
    assert shown.returncode == 0, shown.stderr
    assert "loss=" in shown.stdout
