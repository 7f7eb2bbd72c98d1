"""What the check of a command line refuses and lets through, and in which words."""

import re

import pytest
from hydra.core.global_hydra import GlobalHydra

from rwseg.core.errors import ConfigError
from rwseg.experiments import composition as cli


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("los=rrw", "unknown key 'los' in 'los=rrw'; did you mean 'loss'?"),
        ("+los=rrw", "unknown key 'los' in '+los=rrw'; did you mean 'loss'?"),
        ("++los=rrw", "unknown key 'los' in '++los=rrw'; did you mean 'loss'?"),
        ("-m los=rrw,ce", "unknown key 'los' in 'los=rrw'; did you mean 'loss'?"),
        ("experimant=acdc_small", "did you mean 'experiment'?"),
        ("schedule.epoch=3", "'schedule.epoch' in 'schedule.epoch=3'; did you mean 'schedule.epochs'?"),
        ("+schedule.epoch=3", "did you mean 'schedule.epochs'?"),
        ("++schedule.epoch=3", "did you mean 'schedule.epochs'?"),
        ("schedul.epochs=3", "did you mean 'schedule.epochs'?"),
        ("epochs=3", "did you mean 'schedule.epochs'?"),
        ("-m seed=0,1 schedule.epoch=3", "did you mean 'schedule.epochs'?"),
        ("los=ce schedule.epoch=3", "in 'los=ce'; did you mean 'loss'?\nunknown key 'schedule.epoch' in"),
        ("loss=rrv", "'loss=rrv': expected one of active_contour, "),
        ("loss=rrv", "did you mean 'rrw'?"),
        ("-m loss=rrw,rrv", "'loss=rrv': expected one of"),
        ("loss=null", "'loss=null': expected one of"),
        ("loss=[rrw,ces]", "'loss=[rrw,ces]': expected one of"),
        ("experiment=acdc_smal", "did you mean 'acdc_small'?"),
        ("schedule={epochs:3}", "expected one of acdc, brats18, folder, isles, kits19, kits19_paper, nnunet"),
        ("loss=rrw loss.rectify=true", "'loss.rectify' in 'loss.rectify=true'; loss=rrw takes loss.spacing"),
        ("loss=rrw ++loss.rectify=true", "unknown key 'loss.rectify'"),
        ("loss=rw_boundary loss.rectifi=true", "did you mean 'loss.rectify'?"),
        ("loss=rw_boundary loss.gamma=2", "loss=rw_boundary takes loss.region_map, loss.rectify"),
        ("-m loss=rw_boundary,rrw loss.rectify=true", "loss=rrw takes loss.spacing"),
        ("logger.project=mine", "in 'logger.project=mine'; logger=csv takes no settings"),
        ("strategy.partner.gamma=2", "strategy.partner takes no settings"),
        ("strategy.mode=equall", "got equall; did you mean 'equal'?"),
        ("loss=focal loss.gamma=two", "loss.gamma: expected a number such as 2.0, got 'two'"),
        ("loss=rw_boundary loss.rectify=1", "loss.rectify: expected true or false such as False, got 1"),
        ("loss=rw_boundary loss.region_map=3", "loss.region_map: expected a text such as boundary, got 3"),
        ("+loss=ce", "'+loss=ce': a group is chosen as loss=OPTION, without + and @"),
        ("loss@other=ce", "'loss@other=ce': a group is chosen as loss=OPTION"),
        ("+experiment=acdc_small", "a group is chosen as experiment=OPTION"),
        ("~loss", "'~loss': nothing can be removed"),
        ("~seed", "'~seed': nothing can be removed, every setting is needed; give seed another value"),
        ("evaluation=3", "'evaluation=3': expected a value for one of evaluation.every"),
        ("seed", "'seed': expected KEY=VALUE in Hydra's grammar, https"),
        ("loss=rrw,ce", "'loss=rrw,ce': expected one value, got several; add -m"),
        ("-m seed=interval(0,1)", "Can only enumerate CHOICE and RANGE sweeps"),
        ("-m loss=glob(z*)", "'loss=glob(z*)': expected at least one value, got none"),
        ("+seed=1", "'+seed=1': expected a key that is not there yet; give seed=1"),
        ("hydra.foo=1", "unknown key 'hydra.foo'; see https://hydra.cc/docs/configure_hydra/intro"),
        ("seed=-1 model.norm=none", "got none\nseed: expected greater than or equal to 0"),
        ("-m seed=1,-2", "seed=-2: seed: expected greater than or equal to 0, got -2"),
        ("-m loss=rrw,ce strategy=alone,equal_ce", "loss=ce strategy=equal_ce: strategy.mode=equal:"),
    ],
)  # fmt: skip
def test_refused_by_the_preflight(arguments: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        cli.preflight("train", arguments.split())


def test_a_sweep_under_torchrun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(ConfigError, match=r"-m: expected one run under torchrun, .* hydra/launcher=ray"):
        cli.preflight("train", ["-m", "seed=0,1"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "run_dir: expected a directory that a training wrote, such as outputs/"),
        ("rundir=x", "unknown key 'rundir' in 'rundir=x'; did you mean 'run_dir'?"),
        ("run_dir=x +datset.root=y", "did you mean 'dataset.root'?"),
        ("run_dir=x dataset=acdc", "'dataset=acdc': expected a value for one of dataset.root"),
        ("run_dir=x loss=ce", "unknown key 'loss'"),
        ("run_dir=x split=tran", "did you mean 'train'?"),
        (
            "run_dir=x trainer=gpuu",
            "'trainer=gpuu': expected one of auto, cpu, gpu; did you mean 'gpu'?",
        ),
    ],
)
def test_refused_by_the_preflight_of_an_evaluation(arguments: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        cli.preflight("evaluate", arguments.split())


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("train", ""),
        ("train", "experiment=acdc_small loss=rw_boundary loss.rectify=true seed=3"),
        ("train", "++seed=3 hydra.job.chdir=false"),
        ("train", "loss=focal loss.gamma=3"),
        ("train", "strategy=equal_ce strategy.partner._target_=rwseg.losses.DiceLoss"),
        ("train", "logger=wandb logger.wandb.entity=us"),
        ("train", "logger=[wandb,tensorboard,csv] +logger.wandb.log_model=all"),
        ("train", "+callbacks.lr._target_=pytorch_lightning.callbacks.LearningRateMonitor"),
        ("train", "~callbacks.progress trainer.profiler=simple trainer.max_time=00:01:00:00"),
        ("train", "-m loss=glob(rw*) seed=range(0,2)"),
        ("train", "-m loss=choice(rrw,ce)"),
        ("train", "--cfg job strategy.mode=equal"),  # shown as it is
        ("train", "--help los=rrw"),
        ("evaluate", "run_dir=x split=test dataset.root=y missed=diagonal"),
        ("evaluate", "--cfg job"),
    ],
)
def test_let_through_by_the_preflight(command: str, arguments: str) -> None:
    cli.preflight(command, arguments.split())


def test_a_wrong_argument_in_a_sweep_is_said_once() -> None:
    with pytest.raises(ConfigError) as caught:
        cli.preflight("train", ["-m", "seed=0,1,2", "schedule.epoch=3"])
    assert len(str(caught.value).splitlines()) == 1


def test_all_faults_of_a_command_line_are_told_at_once() -> None:
    line = "schedul.epochs=3 loss=focl model.norm=instanc seed=-1 dataset.folds=many ~output_root a=b=c"
    with pytest.raises(ConfigError) as caught:
        cli.preflight("train", line.split())
    lines = str(caught.value).splitlines()
    named = ["a=b=c", "loss=focl", "~output_root", "schedul.epochs", "dataset.folds", "model.norm", "seed"]
    assert len(lines) == len(named)
    assert all(sum(name in line.partition("expected")[0] for line in lines) == 1 for name in named)


def test_a_fault_of_many_jobs_is_told_once_with_the_first_of_them() -> None:
    line = "-m loss=rrw,dice,ce strategy=alone,equal_ce seed=0,1 trainer.threads=0"
    with pytest.raises(ConfigError) as caught:
        cli.preflight("train", line.split())
    of_all, of_some = str(caught.value).splitlines()
    assert of_all == "trainer.threads: expected auto, or 1 or more, got 0"
    assert of_some.startswith(
        "loss=ce strategy=equal_ce seed=0 and 1 more: strategy.mode=equal: expected two"
    )


def test_a_running_hydra_application_keeps_its_own_state() -> None:
    assert not GlobalHydra.instance().is_initialized()
    cli.compose("train", [])
    assert not GlobalHydra.instance().is_initialized()
    marker = object()
    GlobalHydra.instance().hydra = marker  # type: ignore[assignment]
    try:
        cli.compose("train", [])
        with pytest.raises(ConfigError):
            cli.compose("train", ["nothing=1"])
        assert GlobalHydra.instance().hydra is marker
    finally:
        GlobalHydra.instance().clear()
