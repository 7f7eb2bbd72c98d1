"""A loss of one's own on the command line: chosen, given arguments, named, and refused in a sentence."""

import re
from collections.abc import Iterator
from pathlib import Path

import own_code
import pytest

from rwseg.core.errors import ConfigError
from rwseg.core.own_code import import_from_current_folder
from rwseg.experiments import composition as cli
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.config.targets import displayed
from rwseg.experiments.run_directory import run_path
from rwseg.losses import ForeignLoss, build_loss

OWN = "loss=custom loss._target_"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with own_code.own_folder(tmp_path) as folder:
        import_from_current_folder()
        yield folder


def jobs_of(*words: str) -> list[tuple[TrainConfig, Choices]]:
    return cli.preflight("train", ["-m", *words])


def test_a_class_with_its_arguments() -> None:
    ((cfg, choices),) = jobs_of("+loss.weight=2", "loss=custom", "loss._target_=own_mine.MyLoss")
    main = build_loss(cfg).main
    assert isinstance(main, ForeignLoss)
    assert (main.name, main.loss.weight) == ("MyLoss", 2)  # type: ignore[attr-defined]
    assert displayed(cfg, choices)["loss"] == "MyLoss"
    assert run_path(cfg, choices).parts[2:] == (
        "phantom",
        "MyLoss",
        "alone",
        "loss._target_-own_mine.MyLoss+loss.weight-2",
        "seed0",
    )


def test_a_function_and_losses_of_packages() -> None:
    ((cfg, choices),) = jobs_of("loss=custom", "loss._target_=own_mine.my_function", "+loss._partial_=true")
    assert build_loss(cfg).main.name == "my_function"  # type: ignore[attr-defined]
    assert run_path(cfg, choices).parts[3] == "my_function"
    ((cfg, _),) = jobs_of(
        "loss=custom", "loss._target_=torch.nn.CrossEntropyLoss", "+loss.label_smoothing=0.1"
    )
    assert build_loss(cfg).main.loss.label_smoothing == 0.1  # type: ignore[attr-defined]
    weight = "+loss.weight={_target_:torch.tensor,data:[1.0,2.0,2.0,2.0]}"
    ((cfg, _),) = jobs_of("loss=custom", "loss._target_=torch.nn.CrossEntropyLoss", weight)
    assert build_loss(cfg).main.loss.weight.tolist() == [1, 2, 2, 2]  # type: ignore[attr-defined]


def test_a_file_of_options_is_named_by_its_file(folder: Path) -> None:
    (folder / "conf/loss").mkdir(parents=True)
    (folder / "conf/loss/mine.yaml").write_text("_target_: own_mine.MyLoss\nweight: 3\n")
    ((cfg, choices),) = jobs_of("--config-dir=conf", "loss=mine", "+loss.gamma=2")
    assert run_path(cfg, choices).parts[3:5] == ("mine", "alone")
    assert displayed(cfg, choices)["loss"] == "mine"
    ((removed, _),) = jobs_of("--config-dir=conf", "loss=mine", "~loss.weight")
    assert build_loss(removed).main.loss.weight == 1  # type: ignore[attr-defined]


def test_two_classes_of_one_name_never_share_a_directory(folder: Path) -> None:
    own_code.write(folder, "own_other", own_code.MINE)
    jobs = jobs_of("loss=custom", "loss._target_=own_mine.MyLoss,own_other.MyLoss,own_mine.Unfit")
    paths = [run_path(*job) for job in jobs]
    assert len(set(paths)) == 3
    assert [path.parts[3] for path in paths] == ["MyLoss", "MyLoss", "Unfit"]


def test_a_partner_of_ones_own() -> None:
    ((cfg, _),) = jobs_of(
        "strategy=equal_dice", "strategy.partner._target_=own_mine.MyLoss", "+strategy.partner.weight=5"
    )
    assert build_loss(cfg).partner.loss.weight == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("loss=custom", "loss._target_: expected MODULE.NAME of a class or a function, got none"),
        (f"{OWN}=MyLoss", "expected MODULE.NAME, such as mine.MyLoss for class MyLoss of mine.py"),
        (f"{OWN}=own_mien.MyLoss", "'own_mien' in {folder} or installed, found none; did you mean own_mine?"),
        (f"{OWN}=own_mine.MyLos", "in own_mine ({folder}/own_mine.py), found none; did you mean MyLoss?"),
        (f"{OWN}=own_mine.NUMBER", "expected a class or a function, got 3"),
        (f"{OWN}=own_broken.Loss", "got NameError: name 'nn' is not defined (own_broken.py, line 2)"),
        (f"{OWN}=torch.nn.CrosEntropyLoss", "did you mean CrossEntropyLoss?"),
        (f"{OWN}=own_mine.Needy", "a value for its argument alpha, got none; give +loss.alpha=..."),
        (f"{OWN}=own_mine.MyLoss +loss.wieght=2", "got 'wieght'; did you mean 'weight'?"),
        (f"{OWN}=own_mine.my_function", "+loss._partial_=true with a function that is itself called with"),
        ("loss=rrw loss._target_=own_mine.MyLoss", "it stands in loss=rrw: loss=custom loss._target_="),
        (f"{OWN}=own_mine.MyLoss loss.weight=2", "a further argument is added by +loss.weight=2"),
        (f"{OWN}=rwseg.losses.NoSuchLoss", "expected a 'NoSuchLoss' in rwseg.losses"),
        ("loss=focal +loss.gama=2", "did you mean 'loss.gamma'?"),
        ("loss=focal ~loss.gamma", "nothing can be removed"),
        (
            "+callbacks.mine._target_=own_mine.No",
            "own_mine.No: expected a 'No' in own_mine",
        ),
    ],
)
def test_a_mistake_is_named_before_a_job_starts(words: str, message: str, folder: Path) -> None:
    own_code.write(folder, "own_broken", "\nclass Loss(nn.Module):\n    pass\n")
    with pytest.raises(ConfigError, match=re.escape(message.replace("{folder}", str(folder)))):
        cli.preflight("train", words.split())


def test_a_file_that_an_installed_module_hides_is_named(folder: Path) -> None:
    own_code.write(folder, "colorsys", "class Loss: pass\n")
    with pytest.raises(ConfigError, match=r"expected the module of .*colorsys.py, got an installed one"):
        cli.preflight("train", ["loss=custom", "loss._target_=colorsys.Loss"])


def test_ours_are_not_imported_for_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwseg.experiments.config.targets.named_object", lambda path: pytest.fail(path))
    assert len(jobs_of("loss=rrw,ce,dice", "logger=wandb")) == 3
