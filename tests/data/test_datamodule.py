from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from augmentation_samples import FLIPS, NNUNET
from small_batches import CPU, equal, make_module, tensors

from rwseg.core.errors import DataError
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.data.datamodule import SliceDataModule, ValidationVolume
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.sampling.patches import oversampled_samples
from rwseg.data.sampling.slice_cache import Batch
from rwseg.maps import RectifiedMap


class Recorder(pl.LightningModule):
    """Keeps what a trainer hands to its steps; trains one number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches: list[Batch] = []
        self.volumes: list[ValidationVolume] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.batches.append(batch)
        return self.weight * batch.image.mean()

    def validation_step(self, volumes: list[ValidationVolume], batch_idx: int) -> None:
        self.volumes += volumes


def fit(module: SliceDataModule, epochs: int) -> Recorder:
    recorder = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(recorder, datamodule=module)
    return recorder


@pytest.mark.parametrize("augment", [FLIPS, NNUNET])
def test_a_batch_is_a_function_of_seed_and_step_alone(small: Prepared, augment: AugmentConfig) -> None:
    module = make_module(small, augment=augment)
    in_order = [module.training_batch(step, CPU) for step in range(6)]
    backwards = make_module(small, batches_per_epoch=50, augment=augment)
    torch.manual_seed(99)
    for step in reversed(range(6)):
        assert equal(in_order[step], backwards.training_batch(step, CPU))
    assert not any(equal(in_order[0], other) for other in in_order[1:])
    assert not equal(in_order[0], make_module(small, seed=12, augment=augment).training_batch(0, CPU))


@pytest.mark.parametrize("augment", [FLIPS, NNUNET])
def test_steps_cut_one_stream_of_samples(small: Prepared, augment: AugmentConfig) -> None:
    """Batches of 5 and of 10 hold the same samples where none is oversampled, which goes by place."""
    fives, ten = (make_module(small, foreground=0.0, batch_size=b, augment=augment) for b in (5, 10))
    parts = [tensors(fives.training_batch(step, CPU)) for step in (2, 3)]
    for first, second, both in zip(*parts, tensors(ten.training_batch(1, CPU)), strict=True):
        torch.testing.assert_close(torch.cat([first, second]), both, rtol=0, atol=1e-5)


@pytest.mark.parametrize("map_name", ["rrw", "boundary"])
def test_an_online_map_is_left_to_the_loss(small: Prepared, map_name: str) -> None:
    online = make_module(small, map_name=map_name, source="online", augment=NNUNET)
    assert [path.name for path in small.folder.iterdir() if path.name in ("inside", "signed")] == []
    cached = make_module(small, map_name=map_name, augment=NNUNET)
    for step in range(3):
        one, other = (module.training_batch(step, CPU) for module in (online, cached))
        assert one.region_map is None
        assert other.region_map is not None
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.labels, other.labels)


def test_background_without_a_signal_is_kept_where_the_nonzero_voxels_are_standardised(
    small: Prepared,
) -> None:
    nonzero = replace(small, preprocessing=replace(small.preprocessing, normalisation="zscore_nonzero"))
    shares = []
    for prepared in (small, nonzero):
        module = make_module(prepared, augment=NNUNET, patch_size=(40, 40), batch_size=40)
        shares.append((module.training_batch(0, CPU).image == 0).all(1).float().mean())
    beyond = shares[1]  # patches are larger than slices
    assert beyond > shares[0] + 0.05


@pytest.mark.parametrize(
    ("map_name", "rectified", "channels"),
    [("rrw", True, None), ("boundary", True, None), ("boundary", False, 4), ("active_contour", True, 0)],
)
def test_a_batch_has_the_shapes_and_the_map_that_the_loss_asks_for(
    small: Prepared, map_name: str, rectified: bool, channels: int | None
) -> None:
    batch = make_module(small, map_name=map_name, rectified=rectified).training_batch(0, CPU)
    assert batch.image.shape == (5, 2, 8, 6)
    assert batch.labels.shape == (5, 8, 6)
    if channels is None:
        assert isinstance(batch.region_map, RectifiedMap)
        assert batch.region_map.inside.shape == batch.region_map.outside.shape == (5, 8, 6)
    elif channels == 0:
        assert batch.region_map is None, "cheaper to compute than to keep: left to the loss"
    else:
        assert isinstance(batch.region_map, torch.Tensor)
        assert batch.region_map.shape == (5, channels, 8, 6)


def test_autocast_changes_no_batch(small: Prepared) -> None:
    modules = [make_module(small, augment=NNUNET, batch_size=16) for _ in range(2)]
    plain = [modules[0].training_batch(step, CPU) for step in range(4)]
    with torch.autocast("cpu", torch.bfloat16):
        under_it = [modules[1].training_batch(step, CPU) for step in range(4)]
    assert all(equal(one, other) for one, other in zip(plain, under_it, strict=True))


def test_forced_samples_show_foreground(small: Prepared) -> None:
    module = make_module(small, batch_size=20, foreground=0.5, patch_size=(1, 1))
    oversampled = torch.from_numpy(oversampled_samples(20, 0.5))
    for step in range(10):
        assert (module.training_batch(step, CPU).labels[oversampled] > 0).all()


def test_training_takes_the_training_cases_and_validation_the_others(small: Prepared) -> None:
    module = make_module(small)
    assert [entry.name for entry in module.train_entries] == ["case0", "case1", "case2"]
    assert [entry.name for entry in module.val_entries] == ["case3"]
    assert len(module.train_dataloader()) == 3
    assert len(module.val_dataloader()) == 1
    trained = np.concatenate([np.unique(small.image(entry)) for entry in module.train_entries])
    for step in range(10):
        image = module.training_batch(step, CPU).image.numpy()
        assert np.isin(image[image != 0], trained).all()


@pytest.mark.filterwarnings(r"ignore:The `srun` command is available")  # on some machines
@pytest.mark.filterwarnings(r"ignore:.*isinstance.treespec, LeafSpec.* is deprecated")
def test_a_trainer_sees_the_batches_of_its_steps_and_whole_volumes(small: Prepared) -> None:
    module = make_module(small)
    recorder = fit(module, epochs=2)
    assert len(recorder.batches) == 6
    for step, batch in enumerate(recorder.batches):
        assert equal(batch, make_module(small).training_batch(step, CPU))
    assert 0 < module.data_seconds < 10
    assert len(recorder.volumes) == 2, "one volume in each of two epochs"
    for volume in recorder.volumes:
        assert volume.entry.name == "case3"
        np.testing.assert_array_equal(volume.image, small.image(volume.entry))
        np.testing.assert_array_equal(volume.reference, small.reference(volume.entry))
    recorder.volumes[0].image.zero_()
    np.testing.assert_array_equal(recorder.volumes[1].image, small.image(small.entries[3]))


@pytest.mark.parametrize("lost", ["train", "val"])
def test_an_empty_split_is_an_error(small: Prepared, lost: str) -> None:
    entries = tuple(entry for entry in small.entries if entry.split != lost)
    with pytest.raises(DataError, match=f"the split '{lost}' is empty"):
        make_module(replace(small, entries=entries))


@pytest.mark.parametrize("number", [1, 3])
def test_a_case_without_label_is_an_error_where_one_is_needed(small: Prepared, number: int) -> None:
    entries = list(small.entries)
    entries[number] = replace(entries[number], has_label=False)
    split = entries[number].split
    with pytest.raises(
        DataError, match=f"every case of the split '{split}', found none for case{number}; add"
    ):
        make_module(replace(small, entries=tuple(entries)))
    test = replace(entries[0], name="case9", split="test", has_label=False)
    assert len(make_module(replace(small, entries=(*small.entries, test))).val_entries) == 1


def test_pictures_of_one_size_are_validated_together_and_volumes_one_by_one(small: Prepared) -> None:
    def entry(number: int, *shape: int) -> Entry:
        return replace(small.entries[3], name=f"v{number}", shape=shape)

    shapes = [*[(1, 9, 7)] * 10, (1, 7, 9), (1, 9, 7), (3, 9, 7), (3, 9, 7), (1, 9, 7), (1, 9, 7)]
    validating = [entry(number, *shape) for number, shape in enumerate(shapes)]
    prepared = replace(small, entries=(*small.entries[:3], *validating))
    module = make_module(prepared, source="online")
    assert list(module.val_dataloader()) == [[*range(8)], [8, 9], [10], [11], [12], [13], [14, 15]]
