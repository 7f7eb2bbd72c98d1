from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.preprocessing.tables import COUNTS
from rwseg.data.sampling.patches import Boxes, Sampler, uniforms
from rwseg.data.sampling.slice_cache import Batch, SliceCache
from rwseg.data.sampling.stores import load_slices
from rwseg.maps import RectifiedMap, boundary_map, rectify, rrw_map

CPU = torch.device("cpu")
K = 4
FAR = 40  # padding beyond any box of these tests


def make_cache(prepared: Prepared, map_name: str | None, rectified: bool = False) -> SliceCache:
    return with_sampler(prepared, map_name, rectified)[0]


def with_sampler(prepared: Prepared, map_name: str | None, rectified: bool) -> tuple[SliceCache, Sampler]:
    ensure_distances(prepared, map_name)
    return load_slices(prepared, prepared.split("train"), map_name, rectified, CPU)


def every_border(prepared: Prepared, patch: tuple[int, int]) -> Boxes:
    """All slices, corners before, at and behind each border and inside, all flips."""
    rows = []
    shapes = [entry.shape[1:] for entry in prepared.split("train") for _ in range(entry.shape[0])]
    for number, shape in enumerate(shapes):
        sizes = zip(patch, shape, strict=True)
        corners = [(1 - length, -2, 0, 3, size - length, size - 1) for length, size in sizes]
        rows += [(number, top, left, y, x) for top, left, y, x in product(*corners, (0, 1), (0, 1))]
    table = np.array(rows, dtype=np.int64)
    return Boxes(table[:, 0], table[:, 1], table[:, 2], table[:, 3:].astype(bool))


def cut(
    plane: NDArray[np.float32], boxes: Boxes, sample: int, patch: tuple[int, int], mode: str
) -> NDArray[np.float32]:
    """One sample the slow way: pad the slice `(..., H, W)` far, cut, flip."""
    around = [(0, 0)] * (plane.ndim - 2) + [(FAR, FAR)] * 2
    padded = np.pad(plane, around, mode=mode)  # type: ignore[call-overload]
    top, left = boxes.top[sample] + FAR, boxes.left[sample] + FAR
    box = padded[..., top : top + patch[0], left : left + patch[1]]
    flip_rows, flip_columns = boxes.flips[sample]
    return box[..., :: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def slices_of(prepared: Prepared, volumes: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Volumes `(..., Z, H, W)` of the training cases as a list of slices `(..., H, W)`."""
    return [volume[..., z, :, :] for volume in volumes for z in range(volume.shape[-3])]


def expected(
    prepared: Prepared, maps: list[NDArray[np.float32]] | None, boxes: Boxes, patch: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
    """Images, labels and dense maps of a batch, sample by sample."""
    entries = prepared.split("train")
    images = slices_of(prepared, [np.asarray(prepared.image(entry)) for entry in entries])
    labels = slices_of(prepared, [np.asarray(prepared.label(entry)) for entry in entries])
    samples = list(enumerate(boxes.slices))
    image = np.stack([cut(images[s], boxes, i, patch, "constant") for i, s in samples])
    label = np.stack([cut(labels[s], boxes, i, patch, "constant") for i, s in samples])
    if maps is None:
        return image, label, None
    of_slice = slices_of(prepared, maps)
    region_map = np.stack([cut(of_slice[s], boxes, i, patch, "edge") for i, s in samples])
    edge_label = np.stack([cut(labels[s], boxes, i, patch, "edge") for i, s in samples])
    outside = np.stack(
        [cut(np.zeros_like(labels[s]) + 1, boxes, i, patch, "constant") == 0 for i, s in samples]
    )
    unknown = outside & (edge_label > 0)
    return image, label, np.where(unknown[:, None], 0, region_map)


def dense_maps(prepared: Prepared, map_name: str, rectified: bool) -> list[NDArray[np.float32]]:
    """The map of each training volume `(K, Z, H, W)`, in mm on the whole volume."""
    make = {"rrw": rrw_map, "boundary": boundary_map}[map_name]
    maps = []
    for entry in prepared.split("train"):
        labels = torch.from_numpy(np.array(prepared.label(entry)))[None]
        dense = make(labels, K, entry.spacing)
        maps.append((rectify(dense, labels) if rectified else dense)[0].numpy())
    return maps


def check(batch: Batch, reference: tuple[NDArray[np.float32], ...], true_class: NDArray[np.int64]) -> None:
    """Compare a batch with its slow form; a compact map with the entries that it stands for."""
    image, label, region_map = reference
    np.testing.assert_array_equal(batch.image, image)
    np.testing.assert_array_equal(batch.labels, label)
    assert (batch.image.dtype, batch.labels.dtype) == (torch.float32, torch.int64)
    if region_map is None:
        assert batch.region_map is None
    elif isinstance(batch.region_map, RectifiedMap):
        right = np.take_along_axis(region_map, true_class[:, None], axis=1)[:, 0]
        wrong = np.take_along_axis(region_map, (true_class[:, None] + 1) % K, axis=1)[:, 0]
        np.testing.assert_allclose(batch.region_map.inside, right, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.region_map.outside, wrong, rtol=1e-5, atol=1e-6)
    else:
        assert batch.region_map.dtype == torch.float32
        np.testing.assert_allclose(batch.region_map, region_map, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("patch", [(6, 8), (13, 5), (24, 30)])
@pytest.mark.parametrize(
    ("map_name", "rectified"),
    [("rrw", True), ("boundary", False), ("boundary", True), ("active_contour", True), (None, False)],
)
def test_a_batch_is_what_padding_cutting_and_flipping_each_sample_gives(
    small: Prepared, map_name: str | None, rectified: bool, patch: tuple[int, int]
) -> None:
    batch_of = make_cache(small, map_name, rectified)
    boxes = every_border(small, patch)
    maps = dense_maps(small, map_name, rectified) if map_name in ("rrw", "boundary") else None
    image, label, region_map = expected(small, maps, boxes, patch)
    assert (label == 0).any()
    check(batch_of.batch(boxes, patch), (image, label, region_map), label.astype(np.int64))


@pytest.mark.parametrize("map_name", ["rrw", "boundary"])
def test_the_map_of_a_box_inside_is_cut_from_the_map_of_the_whole_volume_in_mm(
    small: Prepared, map_name: str
) -> None:
    slice_cache = make_cache(small, map_name)
    boxes = Boxes(np.array([2, 4, 8]), np.array([1, 0, 5]), np.array([2, 11, 0]), np.zeros((3, 2), bool))
    precomputed = slice_cache.batch(boxes, (8, 10))
    whole = slices_of(small, dense_maps(small, map_name, rectified=False))
    for i, number in enumerate(boxes.slices):
        top, left = boxes.top[i], boxes.left[i]
        box = whole[number][:, top : top + 8, left : left + 10]
        if map_name == "rrw":
            assert isinstance(precomputed.region_map, RectifiedMap)
            y = precomputed.labels[i].numpy()[None]
            np.testing.assert_allclose(
                precomputed.region_map.inside[i], np.take_along_axis(box, y, 0)[0], rtol=1e-5
            )
            assert (precomputed.region_map.outside[i] == 1).all()
        else:
            assert isinstance(precomputed.region_map, torch.Tensor)
            np.testing.assert_allclose(precomputed.region_map[i], box, rtol=1e-5)


def test_beyond_a_border_the_map_goes_on_where_background_touches_it_and_is_0_elsewhere(
    small: Prepared,
) -> None:
    slice_cache = make_cache(small, "rrw")
    labels = slices_of(small, [np.asarray(small.label(entry)) for entry in small.split("train")])
    number = next(i for i, label in enumerate(labels) if 0 < (label[0] > 0).sum() < label.shape[1])
    label, width = labels[number], labels[number].shape[1]
    boxes = Boxes(np.array([number]), np.array([-4]), np.array([0]), np.zeros((1, 2), bool))
    precomputed = slice_cache.batch(boxes, (5, width)).region_map
    assert isinstance(precomputed, RectifiedMap)
    edge = precomputed.inside[0, 4].numpy()
    for y in range(4):
        np.testing.assert_array_equal(precomputed.inside[0, y], np.where(label[0] > 0, 0, edge))
        np.testing.assert_array_equal(precomputed.outside[0, y], np.where(label[0] > 0, 0, 1))


@pytest.mark.parametrize(("map_name", "rectified"), [("rrw", True), ("boundary", False), (None, False)])
def test_a_batch_equals_its_samples(small: Prepared, map_name: str | None, rectified: bool) -> None:
    slice_cache, sampler = with_sampler(small, map_name, rectified)
    draws, oversampled = uniforms(0, 0, 20), np.arange(20) > 12
    together = slice_cache.batch(sampler.boxes(draws, oversampled, (10, 14), flip=True), (10, 14))
    for i in range(20):
        one = slice(i, i + 1)
        alone = slice_cache.batch(sampler.boxes(draws[one], oversampled[one], (10, 14), flip=True), (10, 14))
        torch.testing.assert_close(alone.image, together.image[one], rtol=0, atol=0)
        torch.testing.assert_close(alone.labels, together.labels[one], rtol=0, atol=0)
        if isinstance(together.region_map, RectifiedMap):
            assert isinstance(alone.region_map, RectifiedMap)
            for part, whole in zip(alone.region_map, together.region_map, strict=True):
                torch.testing.assert_close(part, whole[one], rtol=0, atol=0)
        elif together.region_map is not None:
            torch.testing.assert_close(alone.region_map, together.region_map[one], rtol=0, atol=0)


@pytest.mark.parametrize(("map_name", "rectified"), [("rrw", True), ("boundary", False), ("boundary", True)])
def test_what_nobody_labelled_weighs_nothing_and_the_rest_keeps_its_weight(
    small: Prepared, map_name: str, rectified: bool
) -> None:
    """Distances are those of a volume whose unlabelled voxels are background."""
    patch, background = (24, 30), make_cache(small, map_name, rectified)
    boxes = every_border(small, patch)
    before = background.batch(boxes, patch)
    for entry in small.split("train"):
        path = small.folder / "label" / f"{entry.name}.npy"
        label = np.load(path)
        # Not where a class, or the background, is deepest: the largest distances stay.
        label[(label == 0) & (np.arange(label.shape[2]) == 3)] = IGNORE
        np.save(path, label)
    (small.folder / COUNTS).unlink()  # as where an older version prepared the data
    after = make_cache(small, map_name, rectified).batch(boxes, patch)
    ignored = after.labels == IGNORE
    assert 0 < ignored.float().mean() < 0.2
    assert torch.equal(after.labels[~ignored], before.labels[~ignored])
    parts = zip(planes(after), planes(before), strict=True)
    for part, whole in parts:
        assert (part[ignored] == 0).all()
        changed = (part != whole) & ~ignored
        assert changed.float().mean() < 0.05


def planes(batch: Batch) -> list[torch.Tensor]:
    if isinstance(batch.region_map, RectifiedMap):
        return list(batch.region_map)
    assert batch.region_map is not None
    return list(batch.region_map.unbind(1))


def test_what_is_served_can_be_changed_without_changing_the_data(small: Prepared) -> None:
    slice_cache, sampler = with_sampler(small, "boundary", False)
    boxes = sampler.boxes(uniforms(0, 0, 5), np.zeros(5, bool), (8, 8), flip=False)
    first = slice_cache.batch(boxes, (8, 8))
    kept = [part.clone() for part in (first.image, first.labels, first.region_map) if part is not None]
    for part in (first.image, first.labels, first.region_map):
        assert isinstance(part, torch.Tensor)
        assert part.is_contiguous()
        part.zero_()
    again = slice_cache.batch(boxes, (8, 8))
    for part, old in zip((again.image, again.labels, again.region_map), kept, strict=True):
        assert isinstance(part, torch.Tensor)
        torch.testing.assert_close(part, old, rtol=0, atol=0)
