"""Every file of conf/ can be selected, with every dataset: nothing stands there that does not work."""

from pathlib import Path

import pytest
from hydra.utils import get_object

from rwseg.core.errors import ConfigError
from rwseg.data.case import Dataset
from rwseg.experiments.composition import compose
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.schema import EvaluateConfig
from rwseg.experiments.config.targets import CUSTOM
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import dataset_of
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


def chosen(dataset: str) -> list[str]:
    """The overrides that choose a dataset; an own one needs an adapter."""
    own = ["dataset.adapter=rwseg.data.datasets.folder.FOLDER"] if dataset == CUSTOM else []
    return [f"dataset={dataset}", *own]


def test_the_groups_are_those_of_contract_c4() -> None:
    assert {option.partition("=")[0] for option in OPTIONS.values()} == GROUPS
    _, choices = compose("train", [])
    assert choices.keys() == GROUPS


@pytest.mark.parametrize("plan", ["fixed", "auto"])
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_has_a_fixed_plan_or_leaves_it_to_its_data(dataset: str, plan: str) -> None:
    cfg, _ = compose("train", chosen(dataset))
    own = cfg.dataset.plan
    if (own, plan) == ("auto", "fixed") and cfg.dataset.adapter.endswith(("NNUNET", "FOLDER")):
        return  # nothing is known of the data
    cfg, _ = compose("train", [*chosen(dataset), f"dataset.plan={plan}"])
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
    overrides = chosen(option) if group == "dataset" else [OPTIONS[file]]
    if option == CUSTOM and group != "dataset":
        overrides.append(f"{group.replace('/', '.')}._target_={OWN[group]}")
    if group == "model":  # a network goes with patches of its own
        overrides += chosen(option) if option in DATASETS and option != CUSTOM else []
    cfg, choices = compose("train", overrides)
    typed = check(cfg)
    assert choices[group] == option
    assert build_loss(typed).mode == typed.strategy.mode


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name != CUSTOM])
def test_every_dataset_names_an_adapter_of_its_own(dataset: str) -> None:
    cfg, _ = compose("train", chosen(dataset))
    adapter = get_object(cfg.dataset.adapter)
    assert isinstance(adapter, Dataset)
    assert adapter.name == dataset == cfg.dataset.name


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (
            "mine_of_nobody.CELLS",
            "dataset.adapter=mine_of_nobody.CELLS: expected a module 'mine_of_nobody' in",
        ),
        ("rwseg.data.datasets.folder.FOLDERS", "expected a 'FOLDERS' in .* did you mean FOLDER"),
        ("rwseg.losses.RRWLoss", "expected a rwseg.data.case.Dataset, got rwseg.losses.RRWLoss"),
    ],
)
def test_an_adapter_that_is_none_is_named(adapter: str, message: str) -> None:
    cfg, choices = compose("train", ["dataset=custom", f"dataset.adapter={adapter}"])
    assert [choices[group] for group in ("schedule", "model", "augment")] == ["nnunet"] * 3
    with pytest.raises(ConfigError, match=message):
        dataset_of(check(cfg))


def test_a_dataset_of_ones_own_needs_an_adapter() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.adapter: expected a value, got none"):
        check(compose("train", ["dataset=custom"])[0])


def test_no_argument_is_rrw_alone_on_the_phantom() -> None:
    cfg, choices = compose("train", [])
    assert (choices["dataset"], choices["loss"], choices["strategy"]) == ("phantom", "rrw", "alone")
    assert choices["experiment"] == "None"
    assert not cfg.logger
    assert (cfg.seed, cfg.output_root, cfg.force) == (0, "outputs", False)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_data_folder_comes_from_the_environment(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RWSEG_DATA", raising=False)
    assert check(compose("train", chosen(dataset))[0]).dataset.root == f"data/{dataset}"
    monkeypatch.setenv("RWSEG_DATA", "/elsewhere")
    assert check(compose("train", chosen(dataset))[0]).dataset.root == f"/elsewhere/{dataset}"


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
