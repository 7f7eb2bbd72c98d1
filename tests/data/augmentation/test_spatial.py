from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from augmentation_samples import scans_with_gaps
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from small_dataset import PLAIN, write_dataset

from rwseg.data.augmentation.batches import loader_size, warped_batch
from rwseg.data.augmentation.config import SpatialSettings
from rwseg.data.augmentation.draws import Warps
from rwseg.data.augmentation.spatial import AffineTransforms, transforms_of, windows_of
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.sampling.patches import Boxes, Size
from rwseg.data.sampling.slice_cache import SPLINE_GAIN, Batch, SliceCache
from rwseg.data.sampling.stores import load_slices
from rwseg.maps import RectifiedMap, boundary_map, rrw_map

CPU = torch.device("cpu")
K = 4
Plane = NDArray[np.float64]


@pytest.fixture
def ignoring(tmp_path: Path) -> Prepared:
    """Columns of every slice are unlabelled."""
    dataset = write_dataset(tmp_path / "data", scans_with_gaps())
    return prepare(dataset, tmp_path / "data", tmp_path / "prepared", PLAIN)


def make_cache(prepared: Prepared, map_name: str | None = None, device: torch.device = CPU) -> SliceCache:
    ensure_distances(prepared, map_name)
    return load_slices(prepared, prepared.split("train"), map_name, False, device, splines=True)[0]


def many(prepared: Prepared, patch: Size) -> tuple[Boxes, Warps]:
    """Boxes at and beyond borders on all slices, each with an angle, a factor and flips of its own."""
    shapes = [entry.shape[1:] for entry in prepared.split("train") for _ in range(entry.shape[0])]
    rows = []
    for number, shape in enumerate(shapes):
        rooms = [size - length for size, length in zip(shape, patch, strict=True)]
        corners = [(-3, room + 2, room // 2) for room in rooms]
        rows += [(number, top, left) for top, left in product(*corners)]
    table = np.array(rows, dtype=np.int64)
    rng = np.random.default_rng(4)
    count = len(table)
    flips = rng.random((count, 2)) < 0.5
    angle = np.where(rng.random(count) < 0.3, 0.0, rng.uniform(-np.pi, np.pi, count))
    factor = np.where(angle == 0, rng.uniform(0.7, 1.4, count), rng.choice([0.7, 1.0, 1.4], count))
    return Boxes(table[:, 0], table[:, 1], table[:, 2], flips), Warps(np.arange(count), angle, factor)


def coordinates(boxes: Boxes, warps: Warps, sample: int, patch: Size, loader: Size) -> Plane:
    """Rows and columns `(2, h, w)` that a sample shows, as batchgenerators finds them, before flipping."""
    mesh = np.stack(np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in patch), indexing="ij"))
    cos, sin = np.cos(warps.angle[sample]), np.sin(warps.angle[sample])
    turned = mesh.reshape(2, -1).T @ np.array([[cos, -sin], [sin, cos]])
    scaled = turned.T.reshape(2, *patch) * warps.factor[sample]
    corner = [
        start[sample] - (outer - size) // 2  # of the loader's box
        for start, outer, size in zip((boxes.top, boxes.left), loader, patch, strict=True)
    ]
    return np.stack([scaled[axis] + corner[axis] + loader[axis] / 2 - 0.5 for axis in range(2)])


def reference_label(plane: NDArray[np.uint8], where: Plane) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The label, and whether rounding cannot change it."""
    label, sure = np.zeros(where.shape[1:], np.int64), np.ones(where.shape[1:], bool)
    for k in np.unique(plane):
        share = map_coordinates((plane == k).astype(float), where, order=1, mode="constant", cval=0.0)
        label[share >= 0.5] = k
        sure &= np.abs(share - 0.5) > 1e-4
    for axis, size in enumerate(plane.shape):
        sure &= (np.abs(where[axis]) > 1e-4) & (np.abs(where[axis] - (size - 1)) > 1e-4)
    return label, sure


def reference_map(plane: Plane, label: NDArray[np.uint8], where: Plane) -> Plane:
    """Linear in the slice; beyond it, along its nearest edge, where a foreground pixel counts as 0."""
    edge = plane * (label == 0)
    inner, outer = (map_coordinates(m, where, order=1, mode="nearest") for m in (plane, edge))
    inside = np.all([(w >= 0) & (w <= n - 1) for w, n in zip(where, plane.shape, strict=True)], axis=0)
    return np.where(inside, inner, outer)


def planes_of(prepared: Prepared, kind: str) -> list[NDArray[np.float32]]:
    volumes = [np.asarray(getattr(prepared, kind)(entry)) for entry in prepared.split("train")]
    return [volume[..., z, :, :] for volume in volumes for z in range(volume.shape[-3])]


def flipped(array: NDArray[np.float64], boxes: Boxes, sample: int) -> NDArray[np.float64]:
    rows, columns = (-1 if flip else 1 for flip in boxes.flips[sample])
    return array[..., ::rows, ::columns]


def warp(slice_cache: SliceCache, boxes: Boxes, warps: Warps, patch: Size, loader: Size) -> Batch:
    return warped_batch(slice_cache, transforms_of(boxes, warps, patch, loader), patch, masked=False).batch


def rounding(small: Prepared) -> float:
    """The most that half a code of the stored coefficients makes of a value: their weights add up to 1."""
    return SPLINE_GAIN / 2 * max(scale.step for entry in small.entries for scale in entry.scales)


@pytest.mark.parametrize(("patch", "loader"), [((8, 10), (8, 10)), ((9, 6), (14, 14)), ((24, 30), (35, 35))])
def test_images_and_labels_are_what_scipy_gives_sample_by_sample(
    small: Prepared, patch: Size, loader: Size
) -> None:
    boxes, warps = many(small, patch)
    batch = warp(make_cache(small), boxes, warps, patch, loader)
    assert batch.region_map is None
    assert (batch.image.dtype, batch.labels.dtype) == (torch.float32, torch.int64)
    images, labels = planes_of(small, "image"), planes_of(small, "label")
    unsure = 0.0
    for i, number in enumerate(boxes.slices):
        where = coordinates(boxes, warps, i, patch, loader)
        label, sure = (flipped(a, boxes, i) for a in reference_label(labels[number].astype(np.uint8), where))
        np.testing.assert_array_equal(np.where(sure, batch.labels[i], 0), np.where(sure, label, 0))
        unsure += float(1 - sure.mean()) / len(boxes.slices)
        for channel, plane in enumerate(images[number].astype(np.float64)):
            image = flipped(map_coordinates(plane, where, order=3, mode="constant", cval=0.0), boxes, i)
            difference = np.abs(batch.image[i, channel].numpy() - image)
            assert difference[sure].max() < 2e-4 + rounding(small)
    assert unsure < 0.02, "nearly every pixel is compared"


@pytest.mark.parametrize("map_name", ["rrw", "boundary"])
@pytest.mark.parametrize(("patch", "loader"), [((8, 10), (8, 10)), ((24, 30), (35, 35))])
def test_maps_are_interpolated_and_go_on_beyond_background(
    small: Prepared, map_name: str, patch: Size, loader: Size
) -> None:
    boxes, warps = many(small, patch)
    precomputed = warp(make_cache(small, map_name), boxes, warps, patch, loader).region_map
    labels = planes_of(small, "label")
    dense = []
    for entry in small.split("train"):
        volume = torch.from_numpy(np.array(small.label(entry)))[None]
        z = {"rrw": rrw_map, "boundary": boundary_map}[map_name](volume, K, entry.spacing)
        if map_name == "rrw":
            inside = z.gather(1, volume[:, None].long())
            z = torch.cat([inside, torch.ones_like(inside)], dim=1)
        dense += list(z[0].numpy().astype(np.float64).swapaxes(0, 1))  # (M, H, W) per slice
    if isinstance(precomputed, RectifiedMap):
        precomputed = torch.stack(precomputed, dim=1)
    assert precomputed is not None
    for i, number in enumerate(boxes.slices):
        where = coordinates(boxes, warps, i, patch, loader)
        _, sure = reference_label(labels[number].astype(np.uint8), where)
        for channel, plane in enumerate(dense[number]):
            expected = np.where(sure, reference_map(plane, labels[number].astype(np.uint8), where), 0)
            got = np.where(sure, flipped(precomputed[i, channel].numpy(), boxes, i), 0)
            np.testing.assert_allclose(got, expected, atol=1e-4 * max(1.0, np.abs(plane).max()))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_move_pixels_and_nothing_else(small: Prepared, turns: int) -> None:
    patch = (11, 11)
    slice_cache = make_cache(small, "rrw")
    slices = np.arange(9)
    boxes = Boxes(slices, slices - 3, 2 - slices, np.zeros((9, 2), bool))
    straight = slice_cache.batch(boxes, patch)
    warps = Warps(slices, np.full(9, turns * np.pi / 2), np.ones(9))
    turned = warp(slice_cache, boxes, warps, patch, patch)
    assert torch.equal(turned.labels.rot90(-turns, (1, 2)), straight.labels)
    torch.testing.assert_close(
        turned.image.rot90(-turns, (2, 3)), straight.image, rtol=0, atol=2e-5 + rounding(small)
    )
    for part, whole in zip(turned.region_map or (), straight.region_map or (), strict=True):
        torch.testing.assert_close(part.rot90(-turns, (1, 2)), whole, rtol=0, atol=1e-5)


def test_flips_of_warped_samples_are_exact(small: Prepared) -> None:
    slice_cache, patch, loader = make_cache(small, "boundary"), (13, 8), (19, 19)
    boxes, warps = many(small, patch)
    plain = Boxes(boxes.slices, boxes.top, boxes.left, np.zeros_like(boxes.flips))
    one, other = (warp(slice_cache, b, warps, patch, loader) for b in (boxes, plain))
    for i, (rows, columns) in enumerate(boxes.flips):
        axes = [axis for axis, flip in ((-2, rows), (-1, columns)) if flip]
        for a, b in zip(one, other, strict=True):
            assert (a is None) == (b is None)  # the weights of pixels, where there are none
            assert a is None or torch.equal(a[i], b[i].flip(axes))


def test_a_sample_does_not_depend_on_its_batch(small: Prepared) -> None:
    slice_cache, patch, loader = make_cache(small, "rrw"), (12, 7), (17, 17)
    boxes, warps = many(small, patch)
    transforms = transforms_of(boxes, warps, patch, loader)
    together = warped_batch(slice_cache, transforms, patch, masked=False).batch
    for i in range(0, len(boxes.slices), 5):
        one = slice(i, i + 1)
        view = AffineTransforms(transforms.slices[one], transforms.centre[one], transforms.matrix[one])
        alone = warped_batch(slice_cache, view, patch, masked=False).batch
        assert torch.equal(alone.labels, together.labels[one])
        assert torch.equal(alone.image, together.image[one])
        for part, whole in zip(alone.region_map or (), together.region_map or (), strict=True):
            assert torch.equal(part, whole[one])


def test_windows_hold_a_patch_wherever_it_lies() -> None:
    """Also far outside a slice, and in a slice of one pixel."""
    centre = np.array([[5.0, 5.0], [-40.0, 3.0], [90.0, 90.0], [0.0, 0.0]])
    transforms = AffineTransforms(np.arange(4), centre, np.repeat(np.eye(2)[None], 4, axis=0))
    sizes = np.array([[10, 12], [10, 12], [10, 12], [1, 1]])
    windows, (height, width) = windows_of(transforms, sizes, (4, 6))
    assert (windows.top >= -2).all()
    assert (windows.left >= -2).all()
    assert (windows.top <= sizes[:, 0] - 2).all()
    assert height >= 4
    assert width <= 12 + 4


def test_what_nobody_labelled_is_a_label_of_its_own_and_weighs_nothing(ignoring: Prepared) -> None:
    patch = (12, 9)
    boxes, warps = many(ignoring, patch)
    for map_name in ("rrw", "boundary"):
        batch = warp(make_cache(ignoring, map_name), boxes, warps, patch, patch)
        ignored = batch.labels == 255
        assert set(batch.labels.unique().tolist()) == {0, 1, 2, 3, 255}
        maps = batch.region_map if isinstance(batch.region_map, RectifiedMap) else [batch.region_map]
        for part in maps:
            assert part is not None
            weights = part if part.ndim == 3 else part.abs().sum(1)
            assert (weights[ignored] == 0).all()
            assert (weights[~ignored] != 0).float().mean() > 0.5


def test_the_loaders_square_is_nnunets() -> None:
    spatial = SpatialSettings(0.2, 180.0, 0.2, (0.7, 1.4), loader_margin=0.85)
    assert loader_size(spatial, (256, 224)) == (301, 301)
    assert loader_size(spatial, (192, 160)) == (225, 225)
    assert loader_size(None, (256, 224)) == (256, 224)


@pytest.mark.cuda
def test_a_gpu_warps_as_a_cpu_does(small: Prepared) -> None:
    patch, loader = (24, 30), (35, 35)
    boxes, warps = many(small, patch)
    here, there = (
        warp(make_cache(small, "boundary", device), boxes, warps, patch, loader)
        for device in (CPU, torch.device("cuda"))
    )
    assert (here.labels != there.labels.cpu()).float().mean() < 1e-3
    torch.testing.assert_close(there.image.cpu(), here.image, rtol=0, atol=1e-3)
    torch.testing.assert_close(there.region_map.cpu(), here.region_map, rtol=0, atol=1e-3)
