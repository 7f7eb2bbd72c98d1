"""The schema and the rules of a configuration: what is refused, in which words."""

import re

import pytest
from omegaconf import DictConfig, OmegaConf

from rwseg.core.errors import ConfigError
from rwseg.experiments.composition import compose
from rwseg.experiments.config.names import keys_of, suggestion
from rwseg.experiments.config.schema import EvaluateConfig, TrainConfig
from rwseg.experiments.config.validation import check, plain, resolved

SCHEMAS = {"train": TrainConfig, "evaluate": EvaluateConfig}


def composed(command: str, overrides: list[str]) -> DictConfig:
    cfg, _ = compose(command, overrides if command == "train" else ["run_dir=somewhere", *overrides])
    return cfg


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["schedule.epochs=0"], "schedule.epochs: expected greater than 0, got 0"),
        (["schedule.batches_per_epoch=-1"], "schedule.batches_per_epoch: expected greater than 0, got -1"),
        (["schedule.learning_rate=nan"], "schedule.learning_rate: expected a finite number, got nan"),
        (["schedule.learning_rate=inf"], "schedule.learning_rate: expected a finite number, got inf"),
        (["schedule.clip_norm=0"], "schedule.clip_norm: expected greater than 0"),
        (["schedule.weight_decay=-1e-5"], "schedule.weight_decay: expected greater than or equal to 0"),
        (["schedule.weight_decay=inf"], "schedule.weight_decay: expected a finite number, got inf"),
        (["schedule.poly_power=-1"], "schedule.poly_power: expected greater than or equal to 0"),
        (["schedule.foreground=1.5"], "schedule.foreground: expected less than or equal to 1, got 1.5"),
        (["dataset.batch_size=0"], "dataset.batch_size: expected greater than 0"),
        (["dataset.zoom=0"], "dataset.zoom: expected greater than 0"),
        (["dataset.zoom=2"], "dataset.zoom: expected less than or equal to 1, got 2.0"),
        (["dataset.patch_size=[64]"], "dataset.patch_size: expected [height, width], got [64]"),
        (["dataset.patch_size=[64,60]"], "dataset.patch_size[1]=60: expected a multiple of 8"),
        (["dataset.patch_size=[0,64]"], "dataset.patch_size[0]=0: expected a multiple of 8"),
        (["dataset.patch_size=[8,8]"], "model.pools leaves one pixel of it"),
        (["dataset.patch_size=[8,8]", "model.norm=batch", "dataset.batch_size=1"], "leaves one pixel"),
        (["model.pools=[]"], "model.pools: expected kernels [2, 2], [2, 1] or [1, 2], at least one"),
        (["model.pools=[[2,2],[1,1]]"], "model.pools: expected kernels"),
        (["model.pools=[[3,2]]"], "model.pools: expected kernels"),
        (["model.pools=[[2]]"], "model.pools: expected kernels"),
        (["dataset.patch_size=null"], "dataset.patch_size: expected a value with dataset.plan=fixed"),
        (["dataset.batch_size=null"], "dataset.batch_size: expected a value with dataset.plan=fixed"),
        (["model.pools=null"], "model.pools: expected a value with dataset.plan=fixed"),
        (["dataset.plan=autom"], "expected one of fixed, auto, got autom; did you mean 'auto'?"),
        (["dataset.plan=auto", "dataset.spacing=null"], "dataset.plan=auto: expected dataset.spacing=median"),
        (
            ["dataset.spacing=mean"],
            "dataset.spacing: expected null, median or [y, x] in mm above 0, got mean",
        ),
        (["dataset.spacing=[1]"], "dataset.spacing: expected null, median or [y, x]"),
        (["dataset.spacing=[1,0]"], "dataset.spacing: expected null, median or [y, x]"),
        (["dataset.size=[64]"], "dataset.size: expected null, or [height, width]"),
        *(
            ([f"dataset.center_crop={value}"], f"dataset.center_crop: expected null, or {words}, got ")
            for words in ["[height, width] in whole native pixels above 0"]
            for value in ("128", "[128]", "[1,2,3]", "[128,0]", "[128,-1]", "[128,64.5]", "[true,4]", "[a,4]")
        ),
        (["dataset.size=[64,64]", "dataset.spacing=median"], "dataset.size: expected null, or"),
        (["dataset.interpolation=cubic"], "dataset.interpolation: expected one of spline, area, got cubic"),
        (["dataset.normalisation=none"], "expected one of zscore, zscore_nonzero, ct, minmax, got none"),
        (["dataset.fold=-1"], "dataset.fold: expected null (the data set's own split), all, or 0 and more"),
        (["dataset.fold=first"], "dataset.fold: expected null"),
        (["dataset.fold=true"], "dataset.fold: expected null"),
        (["dataset.folds=0"], "dataset.folds: expected 2 or more (1 where that many are published), got 0"),
        (["map.source=disk"], "map.source: expected one of cached, online, got disk"),
        (["loss.spacing=[1,1]"], "loss.spacing=[1, 1]: expected null with map.source=cached"),
        (["loss=rw_boundary", "loss.spacing=[1,1]"], "expected null with map.source=cached"),
        (["loss=rw", "loss.spacing=[1,1]"], "expected null with map.source=cached"),
        (["loss=rw", "loss.map=[bondary]"], "loss.map: expected a base map first, one of active_contour"),
        (["loss=rw", "loss.map=[rrw,{anneal: 0.5}]"], "loss.map: anneal: expected after boundary or"),
        (["workers=0"], "workers: expected greater than 0, got 0"),
        (
            ["augment=nnunet", "augment.spatial.rotate=2"],
            "rotate: expected less than or equal to 1, got 2.0",
        ),
        (
            ["augment=nnunet", "augment.spatial.degrees=200"],
            "degrees: expected less than or equal to 180, got 200.0",
        ),
        (
            ["augment=nnunet", "augment.spatial.loader_margin=0"],
            "loader_margin: expected greater than 0, got 0.0",
        ),
        (
            ["augment=nnunet", "augment.intensity.noise=-1"],
            "noise: expected greater than or equal to 0, got -1.0",
        ),
        (["augment=nnunet", "augment.intensity.blur_sigma=[1,0.5]"], "blur_sigma: expected [low, high]"),
        (
            ["augment=nnunet", "augment.intensity.blur_sigma=[0,1]"],
            "blur_sigma: expected [low, high] with 0 < low <= high",
        ),
        (["augment=nnunet", "augment.intensity.blur_sigma=[1]"], "blur_sigma: expected [low, high]"),
        (
            ["augment=nnunet", "augment.spatial.factor=[1.1,1.4]"],
            "[low, high] with 0 < low <= high, around 1",
        ),
        (
            ["augment=nnunet", "augment.intensity.gamma_exponent=[0,2]"],
            "gamma_exponent: expected [low, high]",
        ),
        (
            ["augment=nnunet", "augment.intensity.low_resolution_zoom=[0.5,2]"],
            "expected [low, high] with 0 < low <= high <= 1, got [0.5, 2.0]",
        ),
        (["model.features=0"], "model.features: expected greater than 0"),
        (["model.max_features=8"], "model.max_features: expected 12 or more, got 8"),
        (["model.convs_per_stage=0"], "model.convs_per_stage: expected greater than 0"),
        (
            ["model.norm=instanc"],
            "expected one of instance, batch, got instanc; did you mean 'instance'?",
        ),
        (["evaluation.every=0"], "evaluation.every: expected greater than 0"),
        (["evaluation.missed=zero"], "evaluation.missed: expected one of nan, diagonal, got zero"),
        (["seed=-1"], "seed: expected greater than or equal to 0, got -1"),
        (["seed=4294967296"], "seed: expected less than 4294967296, got 4294967296"),
        (["trainer.accelerator=tpu"], "trainer.accelerator: expected one of auto, cpu, gpu, got tpu"),
        (["trainer.threads=0"], "trainer.threads: expected auto, or 1 or more, got 0"),
        (["trainer.precision=16"], "trainer.precision: expected one of auto, 32-true, 16-mixed, bf16-mixed"),
        (["trainer=cpu", "trainer.precision=16-mixed"], "precision 16-mixed needs a GPU"),
        (
            ["strategy.mode=equall"],
            "one of alone, equal, gradual, got equall; did you mean 'equal'?",
        ),
        (
            ["strategy.mode=equal"],
            "expected a strategy.partner, got none; choose strategy=equal_dice",
        ),
        (["strategy=equal_ce", "strategy.mode=alone"], "strategy.mode=alone: expected no strategy.partner"),
        (["strategy=equal_ce", "loss=ce"], "expected two different losses, got rwseg.losses.Cross"),
        (
            ["strategy=gradual_ce", "strategy.alpha_step=-1"],
            "alpha_step: expected greater than or equal to 0",
        ),
        (
            ["strategy=gradual_ce", "strategy.alpha_floor=2"],
            "alpha_floor: expected less than or equal to 1",
        ),
        (
            ["strategy=equal_ce", "strategy.partner=dice"],
            "strategy.partner: expected a loss, given by",
        ),
    ],
)
def test_broken_rules_of_training(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        check(composed("train", overrides))
    assert len(str(caught.value).splitlines()) == 1  # the one rule and nothing that follows from it


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["split=tran"], "split: expected one of train, val, test, got tran; did you mean 'train'?"),
        (["split=null"], "split: "),
        (["checkpoint=bst"], "checkpoint: expected one of last, best, got bst; did you mean 'best'?"),
        (["missed=zero"], "missed: expected one of nan, diagonal, null, got zero"),
        (["overlays=-1"], "overlays: expected greater than or equal to 0, got -1"),
        (["run_dir=[]"], "run_dir: expected a run directory or a list of them, got []"),
        (["run_dir=[a,null]"], "run_dir: expected a run directory or a list of them"),
        (["name=.."], "name: expected a plain folder name"),
        (["name=a/b"], "name: expected a plain folder name"),
        (["trainer.accelerator=tpu"], "trainer.accelerator: expected one of auto, cpu, gpu, got tpu"),
        (["trainer.threads=0"], "trainer.threads: expected auto, or 1 or more, got 0"),
        (["trainer=cpu", "trainer.precision=16-mixed"], "precision 16-mixed needs a GPU"),
    ],
)
def test_broken_rules_of_evaluation(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check(composed("evaluate", overrides), EvaluateConfig)


@pytest.mark.parametrize(
    "overrides",
    [
        ["schedule.foreground=0", "schedule.weight_decay=0", "dataset.zoom=1", "seed=4294967295"],
        ["evaluation.every=1000"],  # the last epoch is always validated
        ["dataset.patch_size=[8,16]"],
        ["dataset.patch_size=[8,8]", "model.norm=batch"],
        ["dataset.patch_size=[64,20]", "model.pools=[[2,2],[2,1],[2,2]]"],
        ["trainer=cpu", "trainer.precision=bf16-mixed"],
        ["strategy=gradual_ce", "strategy.partner._target_=rwseg.losses.FocalLoss"],
        ["loss=rw_boundary", "loss.rectify=true", "strategy=equal_dice"],
        ["dataset=acdc", "dataset.plan=auto", "dataset.batch_size=4", "model.features=8"],
        ["dataset.size=[64,48]", "dataset.fold=all", "workers=1", "map.source=online"],
        ["dataset.spacing=[1.5,2]", "dataset.fold=4", "dataset.normalisation=ct"],
        ["augment=nnunet", "augment.spatial=null"],
        ["loss.spacing=[1,1]", "map.source=online"],
        ["loss=rw_hausdorff", "loss.spacing=[1,1]"],
        ["loss=rw_boundary", "loss.region_map=boundary_kervadec", "loss.spacing=[1,1]"],
    ],
)
def test_the_limits_themselves_are_allowed(overrides: list[str]) -> None:
    check(composed("train", overrides))


def test_all_broken_rules_are_listed_together() -> None:
    overrides = ["seed=-1", "model.norm=none", "schedule.epochs=0", "dataset.patch_size=[63,62]"]
    with pytest.raises(ConfigError) as caught:
        check(composed("train", overrides))
    lines = str(caught.value).splitlines()
    keys = sorted(line.split(":")[0].split("=")[0] for line in lines)
    assert keys == sorted(
        ["dataset.patch_size[0]", "dataset.patch_size[1]", "model.norm", "schedule.epochs", "seed"]
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.epochs=many", "schedule.epochs: Value 'many' of type 'str' could not be converted to Int"),
        ("schedule.epochs=2.5", "schedule.epochs: Value '2.5'"),
        ("schedule.epochs=[2]", "schedule.epochs: "),
        ("seed=null", "seed: field 'seed' is not Optional"),
        ("augment.flips=perhaps", "augment.flips: Value 'perhaps' is not a valid bool"),
        ("model.pools=[[2,x]]", "model.pools[0]: Value 'x' (str) is incompatible with type hint 'int'"),
        ("dataset.root=${oc.env:NOT_SET_ANYWHERE}", "Environment variable 'NOT_SET_ANYWHERE' not found"),
        ("output_root=${nowhere}", "output_root: Interpolation key 'nowhere' not found"),
    ],
)
def test_values_of_a_wrong_type_are_refused_under_their_name(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check(composed("train", [override]))


def test_missing_values_are_named_with_what_to_give() -> None:
    cfg, _ = compose("evaluate", [])
    with pytest.raises(ConfigError, match=r"^run_dir: expected a directory .* got none; give run_dir="):
        check(cfg, EvaluateConfig)
    with pytest.raises(ConfigError, match=r"seed: expected a value, got none; give seed=\.\.\.$"):
        check(composed("train", ["seed=???"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"schedul": {}}, "unknown key 'schedul'; did you mean 'schedule'?"),
        ({"schedule": {"epoch": 3}}, "unknown key 'schedule.epoch'; did you mean 'schedule.epochs'?"),
        ({"epochs": 3}, "unknown key 'epochs'; did you mean 'schedule.epochs'?"),
        ({"qqqq": 3}, "unknown key 'qqqq'"),
    ],
)
def test_a_configuration_from_elsewhere_may_not_hold_unknown_keys(
    content: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check(OmegaConf.create(content))


def test_check_resolves_types_and_leaves_its_argument_alone() -> None:
    cfg = composed("train", ["schedule.learning_rate=1", "dataset.root=${output_root}/x"])
    before = OmegaConf.to_yaml(cfg)
    checked = check(cfg)
    assert checked.schedule.learning_rate == 1.0
    assert isinstance(checked.schedule.learning_rate, float)
    assert checked.dataset.root == "outputs/x"
    assert OmegaConf.to_yaml(cfg) == before
    assert check(checked) == checked
    assert plain(checked) == resolved(cfg, TrainConfig)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("los", "loss"),
        ("shcedule", "schedule"),
        ("schedule.epoch", "schedule.epochs"),
        ("schedul.epochs", "schedule.epochs"),
        ("epochs", "schedule.epochs"),
        ("loss.epochs", "schedule.epochs"),
        ("rectify", None),
        ("loss.rectify", None),
        ("zzz.yyy", None),
    ],
)
def test_the_nearest_key(name: str, nearest: str | None) -> None:
    known = keys_of(composed("train", []))
    assert suggestion(name, known) == (f"; did you mean '{nearest}'?" if nearest else "")


def test_keys_are_those_that_select_finds() -> None:
    cfg = composed("train", ["loss=rw_boundary", "strategy=equal_ce"])
    found = keys_of(cfg)
    assert {"loss", "loss.rectify", "strategy.partner._target_", "seed"} <= set(found)
    absent = object()  # a key may hold null
    assert all(OmegaConf.select(cfg, key, default=absent) is not absent for key in found)
