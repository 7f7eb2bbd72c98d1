from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from augmentation_samples import FLIPS, NNUNET, SPATIAL, scans_with_gaps, with_probability
from small_dataset import PLAIN, write_dataset

from rwseg.data.augmentation.batches import augmented_batch, loader_size, warped_batch
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.data.augmentation.draws import STREAM, draw_intensities, draw_warps, draws_per_sample
from rwseg.data.augmentation.intensity import change_intensities
from rwseg.data.augmentation.spatial import transforms_of
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.sampling.patches import Boxes, Floats, uniforms
from rwseg.data.sampling.slice_cache import Batch, SliceCache
from rwseg.data.sampling.stores import load_slices
from rwseg.maps import RectifiedMap

CPU = torch.device("cpu")
PATCH = (12, 10)
COUNT = 40


def make_cache(prepared: Prepared, map_name: str | None, device: torch.device = CPU) -> SliceCache:
    ensure_distances(prepared, map_name)
    return load_slices(prepared, prepared.split("train"), map_name, False, device, splines=True)[0]


def drawn(prepared: Prepared, settings: AugmentConfig) -> tuple[Boxes, Floats]:
    forced = np.arange(COUNT) % 3 == 0
    loader = loader_size(settings.spatial, PATCH)
    _, sampler = load_slices(prepared, prepared.split("train"), None, False, CPU)
    boxes = sampler.boxes(uniforms(2, 0, COUNT), forced, PATCH, settings.flips, loader)
    return boxes, uniforms(2, 0, COUNT, draws_per_sample(len(prepared.channels)), STREAM)


def parts(batch: Batch) -> list[torch.Tensor]:
    maps = batch.region_map if isinstance(batch.region_map, RectifiedMap) else [batch.region_map]
    return [batch.image, batch.labels, *(part for part in maps if part is not None)]


@pytest.mark.parametrize("map_name", ["rrw", "boundary", None])
@pytest.mark.parametrize("settings", [FLIPS, with_probability(0.0)])
def test_nothing_but_the_cut_where_nothing_is_drawn(
    small: Prepared, map_name: str | None, settings: AugmentConfig
) -> None:
    slice_cache = make_cache(small, map_name)
    boxes, draws = drawn(small, settings)
    batch = augmented_batch(slice_cache, boxes, draws, settings, PATCH, masked=False)
    for part, cut in zip(parts(batch), parts(slice_cache.batch(boxes, PATCH)), strict=True):
        assert torch.equal(part, cut)


@pytest.mark.parametrize("map_name", ["rrw", "boundary", None])
def test_warped_samples_take_their_places_and_intensities_follow(
    small: Prepared, map_name: str | None
) -> None:
    slice_cache = make_cache(small, map_name)
    boxes, draws = drawn(small, NNUNET)
    assert NNUNET.intensity is not None
    warps = draw_warps(SPATIAL, draws, PATCH)
    assert 3 < len(warps.samples) < COUNT - 3
    transforms = transforms_of(boxes, warps, PATCH, loader_size(SPATIAL, PATCH))
    expected, warped = (
        slice_cache.batch(boxes, PATCH),
        warped_batch(slice_cache, transforms, PATCH, masked=False).batch,
    )
    for whole, part in zip(parts(expected), parts(warped), strict=True):
        for place, sample in enumerate(warps.samples):
            assert whole.dtype == part.dtype
            whole[sample] = part[place]
    change_intensities(expected.image, draw_intensities(NNUNET.intensity, draws, 2))
    batch = augmented_batch(slice_cache, boxes, draws, NNUNET, PATCH, masked=False)
    for got, want in zip(parts(batch), parts(expected), strict=True):
        assert torch.equal(got, want)
        assert got.is_contiguous()


@pytest.mark.parametrize("map_name", ["rrw", "boundary"])
def test_a_sample_does_not_depend_on_its_batch(small: Prepared, map_name: str) -> None:
    slice_cache, settings = make_cache(small, map_name), with_probability(0.6)
    boxes, draws = drawn(small, settings)
    together = augmented_batch(slice_cache, boxes, draws, settings, PATCH, masked=True)
    for i in range(COUNT):
        one = slice(i, i + 1)
        box = Boxes(boxes.slices[one], boxes.top[one], boxes.left[one], boxes.flips[one])
        alone = augmented_batch(slice_cache, box, draws[one], settings, PATCH, masked=True)
        assert torch.equal(alone.labels, together.labels[one])
        for part, whole in zip(parts(alone), parts(together), strict=True):
            torch.testing.assert_close(part, whole[one], rtol=0, atol=1e-4)


@pytest.fixture
def gaps(tmp_path: Path) -> Prepared:
    """Standardised where it is not 0, with rows of 0 and columns that nobody labelled."""
    dataset = write_dataset(tmp_path / "data", scans_with_gaps())
    preparation = replace(PLAIN, normalisation="zscore_nonzero")
    return prepare(dataset, tmp_path / "data", tmp_path / "prepared", preparation)


def test_background_without_a_signal_stays_0(gaps: Prepared) -> None:
    slice_cache = make_cache(gaps, "rrw")
    assert (slice_cache.flat.image[:, slice_cache.flat.labels == 0] == 0).any()
    everything = with_probability(1.0)
    still = replace(everything, spatial=None)
    boxes, draws = drawn(gaps, still)
    cut = slice_cache.batch(boxes, PATCH)
    empty = (cut.image == 0).all(1) & (cut.labels == 0)
    for settings in (everything, still):
        batch = augmented_batch(slice_cache, boxes, draws, settings, PATCH, masked=True)
        zero = (batch.image == 0).all(1)
        assert 0.05 < zero.float().mean() < 0.8
        assert (batch.labels[zero] == 0).all()
        if settings is still:
            assert torch.equal(zero, empty)
        unmasked = augmented_batch(slice_cache, boxes, draws, settings, PATCH, masked=False)
        assert (unmasked.image == 0).float().mean() < 0.01
        torch.testing.assert_close(batch.image, unmasked.image * ~zero[:, None], rtol=0, atol=0)
        assert torch.equal(batch.labels, unmasked.labels)


def test_what_is_empty_is_warped_like_a_label(gaps: Prepared) -> None:
    """Where a slice is only turned by half, empty pixels are those of the slice, turned."""
    slice_cache = make_cache(gaps, None)
    boxes = Boxes(np.arange(9), np.full(9, -2), np.full(9, 1), np.zeros((9, 2), bool))
    cut = slice_cache.batch(boxes, PATCH)
    empty = (cut.image == 0).all(1) & (cut.labels == 0)
    half = draw_warps(replace(SPATIAL, rotate=1.0, scale=0.0), np.full((9, 64), 0.5), PATCH)
    half = replace(half, angle=np.full(9, np.pi))
    warped = warped_batch(slice_cache, transforms_of(boxes, half, PATCH, PATCH), PATCH, masked=True)
    assert empty.any()
    assert torch.equal(warped.empty.flip(1, 2), empty)
    assert set(warped.batch.labels.unique().tolist()) <= {0, 1, 2, 3, 255}


@pytest.mark.cuda
def test_a_gpu_makes_the_batches_of_a_cpu(small: Prepared) -> None:
    settings = with_probability(0.6)
    here, there = (make_cache(small, "boundary", device) for device in (CPU, torch.device("cuda")))
    boxes, draws = drawn(small, settings)
    one, other = (
        augmented_batch(slice_cache, boxes, draws, settings, PATCH, masked=False)
        for slice_cache in (here, there)
    )
    assert (one.labels != other.labels.cpu()).float().mean() < 1e-3
    torch.testing.assert_close(other.image.cpu(), one.image, rtol=0, atol=2e-3)
    torch.testing.assert_close(other.region_map.cpu(), one.region_map, rtol=0, atol=1e-3)
