"""Overrides set on a composed configuration give what Hydra composes with them."""

import itertools
import math
import shlex

import pytest

from rwseg.experiments import composition as cli
from rwseg.experiments.config.validation import check


@pytest.mark.parametrize(
    "arguments",
    [
        "seed=1,2 schedule.epochs=3,4",
        "experiment=acdc_small loss=rw_boundary,rrw dataset.spacing=[2,1.5] dataset.zoom=1",
        "loss=focal loss.gamma=1,2.5 'dataset.root=a b' ++seed=3",
        "dataset=acdc dataset.plan=auto dataset.patch_size=null dataset.batch_size=4,5",
        "strategy=equal_ce strategy.partner._target_=rwseg.losses.DiceLoss output_root=${prepared_root}/x",
        "logger=wandb logger.wandb.entity=us hydra.job.chdir=false augment.flips=true,false",
    ],
)
def test_the_jobs_of_a_sweep_are_those_that_hydra_composes(arguments: str) -> None:
    words = shlex.split(arguments)
    jobs = cli.preflight("train", ["-m", *words])
    assert len(jobs) == math.prod(word.split("[")[0].count(",") + 1 for word in words)
    values = [
        [f"{key}={one}" for one in (value.split(",") if "[" not in value else [value])]
        for key, _, value in (word.partition("=") for word in words)
    ]
    for (cfg, choices), overrides in zip(jobs, itertools.product(*values), strict=True):
        whole, chosen = cli.compose("train", list(overrides))
        assert (cfg, choices) == (check(whole), chosen)
