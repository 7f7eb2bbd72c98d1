"""Every file of conf/ can be selected, with every dataset: nothing stands there that does not work."""

from pathlib import Path

import pytest
from hydra.utils import get_object

from rwseg.data.case import Dataset
from rwseg.experiments.composition import compose
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.schema import EvaluateConfig
from rwseg.experiments.config.targets import CUSTOM
from rwseg.experiments.config.validation import check
from rwseg.losses import build_loss
from rwseg.models.unet import UNet

FILES = sorted({*CONF.glob("*/*.yaml"), *CONF.glob("schedule/lr/*.yaml")})
OPTIONS = {file: f"{file.parent.relative_to(CONF).as_posix()}={file.stem}" for file in FILES}
OWN = {
    "loss": "torch.nn.CrossEntropyLoss",
    "model": "torch.nn.Conv2d",
    "optimizer": "torch.optim.RMSprop",
    "schedule/lr": "torch.optim.lr_scheduler.ConstantLR",
    "augment": "torch.add",
}
"""Something for the options `custom`, which are nothing by themselves."""
DATASETS = [file.stem for file in FILES if file.parent.name == "dataset"]
GROUPS = {"dataset", "loss", "strategy", "schedule", "model", "augment"} | {
    "trainer",
    "callbacks",
    "logger",
    "experiment",
    "optimizer",
    "schedule/lr",
}


def test_the_groups_are_those_of_contract_c4() -> None:
    assert {option.partition("=")[0] for option in OPTIONS.values()} == GROUPS
    _, choices = compose("train", [])
    assert choices.keys() == GROUPS


@pytest.mark.parametrize("plan", ["fixed", "auto"])
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_has_a_fixed_plan_or_leaves_it_to_its_data(dataset: str, plan: str) -> None:
    cfg, _ = compose("train", [f"dataset={dataset}"])
    own = cfg.dataset.plan
    if (own, plan) == ("auto", "fixed") and cfg.dataset.adapter.endswith(("NNUNET", "FOLDER")):
        return  # nothing is known of the data
    cfg, _ = compose("train", [f"dataset={dataset}", f"dataset.plan={plan}"])
    typed = check(cfg)
    if plan == "auto":
        assert (typed.dataset.patch_size, typed.dataset.batch_size, typed.model.pools) == (None, None, None)
        assert typed.dataset.spacing is not None
        return
    pools = [(pool[0], pool[1]) for pool in typed.model.pools]
    network = UNet(
        1, 4, 2, typed.model.max_features, pools, 1, typed.model.norm, typed.model.deep_supervision
    )
    assert all(
        size % stride == 0 for size, stride in zip(typed.dataset.patch_size, network.strides, strict=True)
    )


@pytest.mark.parametrize("file", FILES, ids=OPTIONS.values())
def test_every_option_can_be_chosen(file: Path) -> None:
    group, option = OPTIONS[file].split("=")
    overrides = [OPTIONS[file]]
    if option == CUSTOM:
        overrides.append(f"{group.replace('/', '.')}._target_={OWN[group]}")
    if group == "model":  # a network goes with patches of its own
        overrides += [f"dataset={option}"] if option in DATASETS else []
    cfg, choices = compose("train", overrides)
    typed = check(cfg)
    assert choices[group] == option
    assert build_loss(typed).mode == typed.strategy.mode


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_names_an_adapter_of_its_own(dataset: str) -> None:
    cfg, _ = compose("train", [f"dataset={dataset}"])
    adapter = get_object(cfg.dataset.adapter)
    assert isinstance(adapter, Dataset)
    assert adapter.name == dataset == cfg.dataset.name


def test_no_argument_is_rrw_alone_on_the_phantom() -> None:
    cfg, choices = compose("train", [])
    assert (choices["dataset"], choices["loss"], choices["strategy"]) == ("phantom", "rrw", "alone")
    assert choices["experiment"] == "None"
    assert not cfg.logger
    assert (cfg.seed, cfg.output_root, cfg.force) == (0, "outputs", False)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_data_folder_comes_from_the_environment(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RWSEG_DATA", raising=False)
    assert check(compose("train", [f"dataset={dataset}"])[0]).dataset.root == f"data/{dataset}"
    monkeypatch.setenv("RWSEG_DATA", "/elsewhere")
    assert check(compose("train", [f"dataset={dataset}"])[0]).dataset.root == f"/elsewhere/{dataset}"


@pytest.mark.parametrize("trainer", ["auto", "cpu", "gpu"])
def test_evaluation_takes_the_trainers(trainer: str) -> None:
    cfg, _ = compose("evaluate", ["run_dir=somewhere", f"trainer={trainer}"])
    typed = check(cfg, EvaluateConfig)
    assert (typed.split, typed.checkpoint, typed.dataset.root, typed.missed) == ("val", "last", None, None)


@pytest.mark.parametrize("file", FILES, ids=OPTIONS.values())
def test_every_file_says_what_it_is_or_is_shorter_than_saying_it(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert len(comments) >= 1 or len(lines) <= 2
    assert file.stem not in ("None", "null")  # which stand for no option


def test_no_experiment_is_called_as_the_runs_without_one() -> None:
    assert not (CONF / "experiment" / "default.yaml").exists()


def test_the_settings_of_a_group_are_the_same_in_all_its_files() -> None:
    for group in ("dataset", "schedule", "strategy", "augment", "trainer"):
        options = [f"{group}={file.stem}" for file in FILES if file.parent == CONF / group]
        options = [option for option in options if not option.endswith(f"={CUSTOM}")]
        keys = {tuple(sorted(compose("train", [option])[0][group].keys())) for option in options}
        assert len(keys) == 1, group
