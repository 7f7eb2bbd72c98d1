"""Messages advise nothing that another rule refuses: what they say is done, and then accepted."""

import re

import pytest

from rwseg.core.errors import ConfigError
from rwseg.experiments import composition as cli
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.overrides import SET_ELSEWHERE
from rwseg.experiments.config.rules import PARTNERS
from rwseg.experiments.config.schema import FOR_TRAINING


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        ("loss=dice strategy.mode=equal", "strategy=equal_ce"),
        ("loss=ce strategy.mode=gradual", "strategy=gradual_dice"),
        ("strategy.mode=equal", "strategy=equal_dice"),
        ("strategy.mode=equal", "strategy=equal_ce"),
        ("strategy=equal_dice strategy.mode=alone", "strategy.mode=equal"),
        ("trainer.accelerator=cpu trainer.precision=16-mixed", "trainer.precision=32-true"),
        ("loss.spacing=[1,1]", "map.source=online"),
        ("dataset.patch_size=null", "dataset.plan=auto"),
        ("dataset.plan=auto dataset.spacing=null", "dataset.spacing=median"),
        (
            "dataset=isles dataset.plan=auto dataset.spacing=null dataset.size=[64,64]",
            "dataset.spacing=median dataset.size=null",
        ),
        ("trainer.devices=2 model.norm=batch trainer.sync_batchnorm=false", "trainer.sync_batchnorm=true"),
    ],
)
def test_what_a_rule_of_training_advises_is_accepted(overrides: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cli.preflight("train", overrides.split())
    assert all(word in str(caught.value) for word in advice.split())
    given = dict(word.split("=") for word in [*overrides.split(), *advice.split()])
    cli.preflight("train", [f"{key}={value}" for key, value in given.items()])


@pytest.mark.parametrize("mode", ["equal", "gradual"])
@pytest.mark.parametrize(("loss", "partner"), [("dice", "ce"), ("ce", "dice")])
def test_no_partner_is_advised_that_is_the_loss_itself(mode: str, loss: str, partner: str) -> None:
    with pytest.raises(ConfigError, match=f"got none; choose strategy={mode}_{partner}$"):
        cli.preflight("train", [f"loss={loss}", f"strategy.mode={mode}"])
    assert f"_target_: {PARTNERS[partner]}\n" in (CONF / f"strategy/{mode}_{partner}.yaml").read_text()


VALUES = {"logger": "csv", "+callbacks.NAME._target_": "pytorch_lightning.callbacks.LearningRateMonitor"}


@pytest.mark.parametrize("key", SET_ELSEWHERE)
def test_arguments_of_lightning_are_where_the_message_says(key: str) -> None:
    place = SET_ELSEWHERE[key]
    with pytest.raises(ConfigError, match=rf"is set by {re.escape(place)}=\.\.\. here"):
        cli.preflight("train", [f"{key}=1"])
    cli.preflight("train", [f"{place}={VALUES.get(place, '1')}"])
    with pytest.raises(ConfigError, match=f"unknown key '{key}'"):
        cli.preflight("evaluate", ["run_dir=x", f"{key}=1"])


@pytest.mark.parametrize("key", [*SET_ELSEWHERE, *FOR_TRAINING, "trainer.max_tim", "trainer.precisio"])
def test_an_evaluation_proposes_nothing_that_it_refuses(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cli.preflight("evaluate", ["run_dir=x", f"{key}=1"])
    advice = str(caught.value).partition(f"'{key}=1'")[2]
    named = re.findall(r"trainer\.\w+", advice)
    assert named
    assert not set(named) & {*SET_ELSEWHERE, *FOR_TRAINING}


def test_a_group_without_another_option_is_not_to_be_given_one() -> None:
    with pytest.raises(ConfigError, match=r"nothing can be removed, .* remove its entries, ~callbacks\.N"):
        cli.preflight("train", ["~callbacks"])
    cli.preflight("train", ["~callbacks.progress"])
