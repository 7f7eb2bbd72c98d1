"""SIGTERM ends a block once, wherever it comes, and leaves the handler of before."""

import signal
import threading
import warnings

import pytest
import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from rwseg.core.signals import Terminated, terminable


def test_sigterm_is_raised_once_and_then_left_to_those_of_before() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))

    def work() -> None:
        with terminable():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)  # a scheduler that repeats itself while we tidy up
                heard.append(0)

    try:
        for _ in range(2):
            with pytest.raises(Terminated):
                work()
        assert heard == [0, 0]
        signal.raise_signal(signal.SIGTERM)
        assert heard == [0, 0, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_without_a_signal_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with terminable():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_can_use_it_and_hear_nothing() -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with terminable():
                pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, this thread must tell
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed


def test_lightning_hands_the_signal_on_also_in_a_job_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            plugins=LightningEnvironment(),
        )
    users = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    with terminable():
        trainer._signal_connector.register_signal_handlers()
        assert {number: signal.getsignal(number) for number in users} == users, "no requeueing"
        try:
            with pytest.raises(Terminated):
                signal.raise_signal(signal.SIGTERM)
        finally:
            trainer._signal_connector.teardown()
    assert trainer.received_sigterm
