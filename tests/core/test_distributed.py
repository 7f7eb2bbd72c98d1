"""What world a process is in, which worlds are refused, and who is missed in one."""

import os
import signal
import sys

import pytest
import torch

from rwseg.core.distributed import ALONE, Peers, World, check_world, find_world, joined, naming_the_lost
from rwseg.core.errors import ConfigError, RunError
from rwseg.core.signals import terminable
from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import EvaluateConfig
from rwseg.experiments.config.validation import check
from rwseg.models.unet import UNet


def test_batch_norm_of_the_network_is_one_that_can_be_synchronised() -> None:
    """Which PyTorch does on GPUs: Lightning's `sync_batchnorm` exchanges these layers."""
    network = UNet(1, 3, 4, 8, [(2, 2)], 2, "batch", deep_supervision=True)
    layers = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network).modules()
    kinds = [type(layer).__name__ for layer in layers if "BatchNorm" in type(layer).__name__]
    assert kinds
    assert set(kinds) == {"SyncBatchNorm"}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer.devices=0"], "trainer.devices: expected auto, or 1 or more, got 0"),
        (["trainer.devices=some"], "trainer.devices: expected auto, or 1 or more, got some"),
        (["trainer.devices=2", "dataset.batch_size=3"], "dataset.batch_size=3: expected a multiple of the 2"),
        (
            ["trainer.num_nodes=2", "model.norm=batch", "trainer.sync_batchnorm=false"],
            "model.norm=batch: expected trainer.sync_batchnorm=true",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused(overrides: list[str], words: str) -> None:
    cfg, _ = compose("train", overrides)
    with pytest.raises(ConfigError, match=words):
        check(cfg)


@pytest.mark.parametrize(
    ("devices", "nodes", "words"),
    [
        (2, "auto", r"trainer\.devices=2: .* which is 1: .* torchrun --nproc_per_node=2 train\.py"),
        (4, 2, r"trainer\.devices=4: .* torchrun --nnodes=2 --nproc_per_node=4 train\.py"),
        ("auto", 2, r"trainer\.num_nodes=2: .* which is 1: .* torchrun --nnodes=2 --nproc_per_node=1"),
    ],
)
def test_a_world_that_nobody_started_is_refused(
    devices: int | str, nodes: int | str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    with pytest.raises(ConfigError, match=words):
        check_world(ALONE, devices, nodes)
    check_world(World(0, 8, 0, 4), 4, 2)


def test_an_evaluation_on_several_devices_is_refused() -> None:
    cfg, _ = compose("evaluate", ["trainer.devices=2", "run_dir=there"])
    with pytest.raises(ConfigError, match=r"trainer\.devices=2: expected 1, images are predicted on one"):
        check(cfg, EvaluateConfig)


def test_settings_of_a_training_are_refused_by_an_evaluation() -> None:
    cfg, _ = compose("evaluate", ["trainer.max_time=00:01:00:00", "run_dir=there", "trainer.threads=2"])
    with pytest.raises(ConfigError, match=r"trainer\.max_time=.* an evaluation takes trainer\.acc"):
        check(cfg, EvaluateConfig)


def test_variables_of_slurm_alone_make_no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell or script inside a job has them; only a step of several tasks is a world."""
    for name, value in {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    assert find_world() == ALONE
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(ConfigError, match="ntasks-per-node"):
        find_world()
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    step = {"STEP_NUM_TASKS": "4", "STEP_NUM_NODES": "2", "LOCALID": "1", "NODEID": "1", "PROCID": "3"}
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert find_world() == World(rank=3, size=4, local_rank=1, local_size=2)
    assert find_world().num_nodes == 2


def test_one_process_exchanges_nothing() -> None:
    with joined(ALONE, torch.device("cpu")) as peers:
        content = object()
        assert peers.broadcast(content) is content
        assert peers.lost() is None


def test_shares_make_up_the_batch() -> None:
    samples = list(range(12))
    assert [number for rank in range(3) for number in samples[World(rank, 3).share(12)]] == samples


def test_a_lost_rank_is_named_also_where_sigterm_comes_while_it_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """torchrun sends it to the others as soon as it sees that one is gone."""
    store = torch.distributed.HashStore()
    store.set("heartbeat/1", "7")
    store.set("name/1", "host node, process 1")
    monkeypatch.setattr("time.sleep", lambda seconds: os.kill(os.getpid(), signal.SIGTERM))
    with (
        terminable(),
        pytest.raises(RunError, match=r"rank 1 .host node, process 1. of the 2"),
        naming_the_lost(Peers(World(0, 2), store), pytest.fail),
    ):
        raise RuntimeError("Connection closed by peer")


def test_ranks_whose_heartbeat_stands_still_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    store = torch.distributed.HashStore()
    for rank in (1, 2, 3):
        store.set(f"heartbeat/{rank}", "7")
        store.set(f"name/{rank}", f"host node{rank}, process {rank}")
    monkeypatch.setattr("time.sleep", lambda seconds: store.set("heartbeat/2", "8"))
    said = Peers(World(0, 4), store).lost()
    assert said is not None
    assert said.startswith("rank 1 (host node1, process 1), 3 (host node3, process 3) of the 4 processes")
