"""Checkpoints: what is saved when, what a crash leaves behind, and which files are refused."""

import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from rwseg.core.errors import RunError
from rwseg.training.callbacks.checkpoints import (
    BEST,
    LAST,
    AtomicCheckpointIO,
    checkpoint_callbacks,
    load_checkpoint,
    validated,
)

DIGEST = "0123456789abcdef"

# Lightning's own use of a PyTorch name that is on its way out
lightning = pytest.mark.filterwarnings(
    "ignore:.*isinstance.treespec, LeafSpec.* is deprecated", "ignore:Checkpoint directory .* is not empty"
)


class Scripted(pl.LightningModule):
    """One weight that counts the epochs, and a validation Dice per epoch as told."""

    def __init__(self, dice: list[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.dice = dice

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return -self.weight

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/dice", self.dice[self.current_epoch], batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def train(
    folder: Path,
    dice: list[float],
    every: int = 1,
    epochs: int | None = None,
    others: Sequence[pl.Callback] = (),
) -> None:
    """Train on from `last.ckpt`, if there is one, to `epochs` epochs."""
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=len(dice) if epochs is None else epochs,
        check_val_every_n_epoch=every,
        num_sanity_val_steps=0,
        callbacks=[*others, *checkpoint_callbacks(folder, DIGEST, every)],
        plugins=AtomicCheckpointIO(),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    last = folder / LAST
    data = [torch.zeros(1)]
    trainer.fit(Scripted(dice), data, data, ckpt_path=last if last.is_file() else None, weights_only=True)


def epoch(path: Path) -> int:
    content = load_checkpoint(path, DIGEST)
    assert content["state_dict"]["weight"] == content["epoch"] + 1  # the weights of that epoch
    return int(content["epoch"])


@lightning
@pytest.mark.parametrize(
    ("dice", "every", "best"),
    [
        ([0.1, 0.7, 0.7, 0.3], 1, 1),  # the first of equals
        ([0.1, 0.2, 0.3], 1, 2),
        ([0.0, 0.0], 1, 0),
        ([9.0, 0.2, 9.0, 0.1, 9.0], 2, 1),  # epochs 0, 2 and 4 are not validated
        ([float("nan"), 0.1], 1, 1),
    ],
)
def test_last_is_the_last_epoch_and_best_that_of_the_highest_dice(
    tmp_path: Path, dice: list[float], every: int, best: int
) -> None:
    train(tmp_path, dice, every)
    assert epoch(tmp_path / LAST) == len(dice) - 1
    assert epoch(tmp_path / BEST) == best
    assert {path.name for path in tmp_path.iterdir()} == {LAST, BEST}


class Seen(pl.Callback):
    """What `validated` says at the end of each epoch, beside the epochs that were."""

    def __init__(self) -> None:
        self.validated: list[int] = []
        self.said: list[int] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validated.append(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if validated(trainer):
            self.said.append(trainer.current_epoch)


@lightning
@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 2, 3, 4]), (2, [1, 3]), (6, [])])
def test_validated_says_which_epochs_were(tmp_path: Path, every: int, expected: list[int]) -> None:
    seen = Seen()
    train(tmp_path, [0.1] * 5, every, others=[seen])
    assert seen.said == seen.validated == expected


@lightning
def test_without_validation_there_is_no_best(tmp_path: Path) -> None:
    train(tmp_path, [0.5, 0.5], every=3)
    assert not (tmp_path / BEST).exists()
    with pytest.raises(RunError, match=r"best.ckpt: expected a checkpoint, found no file"):
        load_checkpoint(tmp_path / BEST, DIGEST)


@lightning
def test_a_resumed_run_knows_its_best_dice(tmp_path: Path) -> None:
    dice = [0.2, 0.8, 0.5, 0.9]
    for epochs, best in ((2, 1), (3, 1), (4, 3)):
        train(tmp_path, dice, epochs=epochs)
        assert (epoch(tmp_path / LAST), epoch(tmp_path / BEST)) == (epochs - 1, best)


@lightning
def test_a_failure_while_writing_leaves_the_last_checkpoint_of_the_epoch_before(tmp_path: Path) -> None:
    train(tmp_path, [0.2, 0.8], epochs=1)
    (tmp_path / BEST).unlink()
    (tmp_path / BEST).mkdir()  # epoch 1 is better, and writing it fails
    with pytest.raises(IsADirectoryError):
        train(tmp_path, [0.2, 0.8])
    assert epoch(tmp_path / LAST) == 0
    assert {path.name for path in tmp_path.iterdir()} == {LAST, BEST}  # no temporary file
    (tmp_path / BEST).rmdir()
    train(tmp_path, [0.2, 0.8])
    assert (epoch(tmp_path / LAST), epoch(tmp_path / BEST)) == (1, 1)


@lightning
def test_a_run_directory_that_was_moved_knows_its_best_dice(tmp_path: Path) -> None:
    train(tmp_path / "old", [0.8, 0.5], epochs=1)
    shutil.move(tmp_path / "old", tmp_path / "new")
    train(tmp_path / "new", [0.8, 0.5])
    assert (epoch(tmp_path / "new" / BEST), epoch(tmp_path / "new" / LAST)) == (0, 1)
    assert not (tmp_path / "old").exists()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / LAST
    mark = {"config_digest": DIGEST, "best": 0.5}
    torch.save({"rwseg": mark, "epoch": 3, "state_dict": {"w": torch.arange(5000.0)}}, path)
    return path


def test_a_sound_checkpoint_is_read(checkpoint: Path) -> None:
    content = load_checkpoint(checkpoint, DIGEST)
    assert content["epoch"] == 3
    assert torch.equal(content["state_dict"]["w"], torch.arange(5000.0))


def test_a_checkpoint_of_another_configuration_is_refused(checkpoint: Path) -> None:
    with pytest.raises(RunError, match=f"this run's configuration .fedc., found one of another .{DIGEST}."):
        load_checkpoint(checkpoint, "fedc")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(checkpoint: Path, share: float) -> None:
    os.truncate(checkpoint, int(checkpoint.stat().st_size * share))
    with pytest.raises(RunError, match=r"last.ckpt: expected a checkpoint of rwseg, found a file that"):
        load_checkpoint(checkpoint, DIGEST)


def test_a_changed_byte_is_noticed_wherever_it_is(checkpoint: Path) -> None:
    sound = checkpoint.read_bytes()
    expected = torch.arange(5000.0)
    refused = 0
    for place in [*range(0, len(sound), 331), *range(len(sound) - 1200, len(sound), 23)]:
        damaged = bytearray(sound)
        damaged[place] ^= 0x40
        checkpoint.write_bytes(damaged)
        try:
            content = load_checkpoint(checkpoint, DIGEST)
        except RunError:
            refused += 1
        else:  # padding, names and dates of the archive: nothing that is read
            assert torch.equal(content["state_dict"]["w"], expected)
            assert content["epoch"] == 3
    assert refused > 60  # the tensor alone is two thirds of the places


@pytest.mark.parametrize("content", [b"", b"\x00" * 1000, b"not a checkpoint\n" * 50, pickle.dumps({"a": 1})])
def test_another_kind_of_file_is_refused(checkpoint: Path, content: bytes) -> None:
    checkpoint.write_bytes(content)
    with pytest.raises(RunError, match="found a file that cannot be read"):
        load_checkpoint(checkpoint, DIGEST)


class Code:
    """Runs a command when it is unpickled carelessly."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.proof,)


def test_code_in_a_checkpoint_is_refused_and_not_run(checkpoint: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    torch.save({"rwseg": {"config_digest": DIGEST}, "payload": Code(proof)}, checkpoint)
    with pytest.raises(RunError, match="found other objects, which could run code"):
        load_checkpoint(checkpoint, DIGEST)
    assert not proof.exists()
    torch.load(checkpoint, weights_only=False)
    assert proof.exists()  # it would have run


def test_files_of_other_programs_are_refused(checkpoint: Path) -> None:
    contents: list[object] = [{"state_dict": {}}, {"rwseg": 3}, torch.zeros(3), [1, 2]]
    for content in contents:
        torch.save(content, checkpoint)
        with pytest.raises(RunError, match="expected a checkpoint of rwseg, found a file of another program"):
            load_checkpoint(checkpoint, DIGEST)
    with ZipFile(checkpoint, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(RunError, match="cannot be read"):
        load_checkpoint(checkpoint, DIGEST)


def test_a_missing_file_and_a_folder_are_refused(checkpoint: Path) -> None:
    checkpoint.unlink()
    with pytest.raises(RunError, match=r"found no file; train the run first"):
        load_checkpoint(checkpoint, DIGEST)
    shutil.rmtree(checkpoint, ignore_errors=True)
    checkpoint.mkdir()
    with pytest.raises(RunError, match=r"found no file"):
        load_checkpoint(checkpoint, DIGEST)
