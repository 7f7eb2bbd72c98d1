import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.tables import count_classes
from rwseg.data.sampling.patches import DRAWS, Boxes, Ragged, Sampler, oversampled_samples, uniforms

K = 4
Volumes = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def volumes() -> Volumes:
    """Sizes differ and are not square; case 1 lacks class 2, case 2 has no foreground at all."""
    rng = np.random.default_rng(3)
    first = rng.integers(0, K, (3, 14, 9)).astype(np.uint8)
    second = rng.choice(np.array([0, 1, 3], np.uint8), (5, 8, 17), p=[0.8, 0.15, 0.05])
    second[0] = 0
    second[4][second[4] == 3] = 0
    return [first, second, np.zeros((2, 11, 11), np.uint8)]


@pytest.fixture(scope="module")
def sampler(volumes: Volumes) -> Sampler:
    return sampler_of(volumes)


def sampler_of(volumes: Volumes) -> Sampler:
    """The sampler of label volumes `(Z, H, W)`, one per case."""
    every = planes(volumes)
    counts = np.concatenate([count_classes(volume, K) for volume in volumes])
    sizes = np.array([plane.shape for plane in every])
    return Sampler.from_counts(counts, cases(volumes), sizes, every.__getitem__)


def planes(volumes: Volumes) -> list[NDArray[np.uint8]]:
    return [plane for volume in volumes for plane in volume]


def cases(volumes: Volumes) -> NDArray[np.int64]:
    """The case of each slice."""
    return np.repeat(np.arange(len(volumes)), [len(volume) for volume in volumes])


def nothing_forced(count: int) -> NDArray[np.bool_]:
    return np.zeros(count, bool)


def same(one: Boxes, other: Boxes) -> None:
    for field in ("slices", "top", "left", "flips"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)


def nnunet_bounds(size: int, loader: int, patch: int) -> tuple[int, int]:
    """Lowest and highest corner of the loader's box in nnU-Net's DataLoader2D; `patch` is the final one.

    Its `need_to_pad` also remembers the smallest slice met so far; that is an accident and is left out.
    """
    need_to_pad = loader - patch
    if need_to_pad + size < loader:
        need_to_pad = loader - size
    lowest = -need_to_pad // 2
    highest = size + need_to_pad // 2 + need_to_pad % 2 - loader
    return lowest, highest


@given(
    seed=st.integers(0, 2**63), first=st.integers(0, 10**12), count=st.integers(1, 9), shift=st.integers(0, 5)
)
def test_the_numbers_of_a_sample_do_not_depend_on_its_batch(
    seed: int, first: int, count: int, shift: int
) -> None:
    draws = uniforms(seed, first, count + shift)
    assert draws.shape == (count + shift, DRAWS)
    assert ((draws >= 0) & (draws < 1)).all()
    np.testing.assert_array_equal(draws[shift:], uniforms(seed, first + shift, count))
    assert not np.isin(uniforms(seed + 1, first, count), draws).any()


@pytest.mark.parametrize("draws", [4, 32])
def test_streams_of_a_seed_differ_and_are_reproducible(draws: int) -> None:
    first = uniforms(3, 10, 50, draws, stream=1)
    np.testing.assert_array_equal(first[20:], uniforms(3, 30, 30, draws, stream=1))
    assert not np.isin(uniforms(3, 10, 50, draws), first).any()
    with pytest.raises(ValueError, match="multiple of 4, got 30"):
        uniforms(3, 10, 50, 30)


def test_the_numbers_of_neighbouring_samples_are_independent_and_uniform() -> None:
    draws = uniforms(5, 0, 20_000)
    correlations = np.corrcoef(np.hstack([draws[:-1], draws[1:]]).T) - np.eye(2 * DRAWS)
    assert np.abs(correlations).max() < 5 / np.sqrt(len(draws))
    for column in draws.T:
        assert chisquare(np.histogram(column, 20, (0, 1))[0]).pvalue > 1e-3


def test_a_box_does_not_depend_on_the_batch(sampler: Sampler) -> None:
    draws = uniforms(0, 0, 64)
    oversampled = np.arange(64) % 3 == 0
    batch = sampler.boxes(draws, oversampled, (6, 8), flip=True)
    for i in range(64):
        alone = sampler.boxes(draws[i : i + 1], oversampled[i : i + 1], (6, 8), flip=True)
        same(
            alone,
            Boxes(
                batch.slices[i : i + 1], batch.top[i : i + 1], batch.left[i : i + 1], batch.flips[i : i + 1]
            ),
        )


@pytest.mark.parametrize("patch", [(6, 8), (14, 17), (15, 20), (16, 19), (3, 40)])
def test_free_boxes_reach_exactly_the_corners_of_nnunet(
    sampler: Sampler, volumes: Volumes, patch: tuple[int, int]
) -> None:
    boxes = sampler.boxes(uniforms(1, 0, 20_000), nothing_forced(20_000), patch, flip=False)
    for number, plane in enumerate(planes(volumes)):
        here = boxes.slices == number
        for corners, size, length in zip((boxes.top, boxes.left), plane.shape, patch, strict=True):
            lowest, highest = nnunet_bounds(size, length, length)
            assert set(corners[here].tolist()) == set(range(lowest, highest + 1)), (size, length)
            inside = (corners[here] >= 0) & (corners[here] + length <= size)
            covers = (corners[here] <= 0) & (corners[here] + length >= size)
            assert (inside if size >= length else covers).all()


@pytest.mark.parametrize("patch", [(6, 8), (7, 5), (14, 17), (12, 20)])
def test_patches_are_the_middles_of_the_boxes_of_nnunets_loader(
    sampler: Sampler, volumes: Volumes, patch: tuple[int, int]
) -> None:
    side = int(max(patch) / 0.85)
    oversampled = np.arange(20_000) % 2 == 1
    boxes = sampler.boxes(uniforms(1, 0, 20_000), oversampled, patch, flip=False, loader=(side, side))
    for number, plane in enumerate(planes(volumes)):
        here = boxes.slices == number
        for corners, size, length in zip((boxes.top, boxes.left), plane.shape, patch, strict=True):
            lowest, highest = nnunet_bounds(size, side, length)
            of_loader = corners - (side - length) // 2
            assert set(of_loader[here & ~oversampled].tolist()) == set(range(lowest, highest + 1))
            assert (of_loader[here & oversampled] >= lowest).all()
    straight = sampler.boxes(uniforms(1, 0, 20_000), oversampled, patch, flip=False)
    same(straight, sampler.boxes(uniforms(1, 0, 20_000), oversampled, patch, flip=False, loader=patch))


def test_nothing_is_forced_onto_what_nobody_labelled() -> None:
    label = np.zeros((2, 9, 11), np.uint8)
    label[0, 4, 5], label[0, 6:], label[1] = 2, IGNORE, IGNORE
    sampler = sampler_of([label])
    boxes = sampler.boxes(uniforms(0, 0, 100), ~nothing_forced(100), (1, 1), flip=False)
    assert set(zip(boxes.slices, boxes.top, boxes.left, strict=True)) == {(0, 4, 5)}


def test_free_boxes_are_uniform_over_cases_their_slices_and_corners(
    sampler: Sampler, volumes: Volumes
) -> None:
    boxes = sampler.boxes(uniforms(2, 0, 30_000), nothing_forced(30_000), (6, 8), flip=True)
    found = cases(volumes)[boxes.slices]
    assert chisquare(np.bincount(found, minlength=len(volumes))).pvalue > 1e-3
    for case in range(len(volumes)):
        of_case = boxes.slices[found == case]
        assert chisquare(np.bincount(of_case - of_case.min(), minlength=len(volumes[case]))).pvalue > 1e-3
    first = boxes.slices == 0  # 14 x 9: 9 rows times 2 columns of corners
    corners = np.ravel_multi_index((boxes.top[first], boxes.left[first]), (9, 2))
    assert chisquare(np.bincount(corners, minlength=18)).pvalue > 1e-3
    flips = boxes.flips[:, 0] * 2 + boxes.flips[:, 1]
    assert chisquare(np.bincount(flips, minlength=4)).pvalue > 1e-3


@pytest.mark.parametrize("patch", [(6, 8), (5, 7), (1, 1), (30, 30), (16, 4)])
def test_forced_boxes_show_the_chosen_class_in_their_centre(
    sampler: Sampler, volumes: Volumes, patch: tuple[int, int]
) -> None:
    count = 3000
    draws = uniforms(3, 0, count)
    boxes = sampler.boxes(draws, ~nothing_forced(count), patch, flip=True)
    all_planes, of_slice = planes(volumes), cases(volumes)
    chosen: dict[tuple[int, int], int] = {}
    for i in range(count):
        case, plane = int(of_slice[boxes.slices[i]]), all_planes[boxes.slices[i]]
        present = np.setdiff1d(np.unique(volumes[case]), [0])
        if present.size == 0:
            continue
        label = present[int(draws[i, 2] * present.size)]
        chosen[case, label] = chosen.get((case, label), 0) + 1
        centre, at_lowest = [], []
        for corner, size, length in zip((boxes.top[i], boxes.left[i]), plane.shape, patch, strict=True):
            lowest, _ = nnunet_bounds(size, length, length)
            assert corner >= lowest
            at_lowest.append(corner == lowest)
            centre.append(int(corner) + length // 2)
        # A box that nnU-Net clamps at the lower bound has the pixel anywhere from there to its centre.
        rows = slice(0 if at_lowest[0] else centre[0], centre[0] + 1)
        columns = slice(0 if at_lowest[1] else centre[1], centre[1] + 1)
        assert (plane[rows, columns] == label).any()
    assert set(chosen) == {(0, 1), (0, 2), (0, 3), (1, 1), (1, 3)}
    assert chisquare([chosen[0, k] for k in (1, 2, 3)]).pvalue > 1e-3
    assert chisquare([chosen[1, k] for k in (1, 3)]).pvalue > 1e-3


def test_forced_boxes_are_uniform_over_slices_and_pixels_of_the_class(
    sampler: Sampler, volumes: Volumes
) -> None:
    boxes = sampler.boxes(uniforms(4, 0, 40_000), ~nothing_forced(40_000), (1, 1), flip=False)
    all_planes, of_slice = planes(volumes), cases(volumes)
    shown = np.array(
        [all_planes[s][y, x] for s, y, x in zip(boxes.slices, boxes.top, boxes.left, strict=True)]
    )
    three = (of_slice[boxes.slices] == 1) & (shown == 3)  # class 3 of case 1 lies in its slices 1, 2 and 3
    assert chisquare(np.bincount(boxes.slices[three] - 4, minlength=3)).pvalue > 1e-3
    here = three & (boxes.slices == 4)
    pixels = np.flatnonzero(all_planes[4] == 3)
    drawn = boxes.top[here] * all_planes[4].shape[1] + boxes.left[here]
    np.testing.assert_array_equal(np.unique(drawn), pixels)
    assert chisquare(np.unique(drawn, return_counts=True)[1]).pvalue > 1e-3


@given(seed=st.integers(0, 2**32 - 1), shares=st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_a_pixel_of_a_class_is_the_one_that_a_table_of_all_of_them_has(
    seed: int, shares: list[float]
) -> None:
    """The tables that there were before, 8 bytes for each foreground pixel."""
    rng = np.random.default_rng(seed)
    weights = np.array(shares) + 1e-9
    values = np.array([0, 1, 2, 3, IGNORE], np.uint8)
    volumes = [
        rng.choice(values, tuple(rng.integers(1, 9, 3)), p=weights / weights.sum())
        for _ in range(rng.integers(1, 5))
    ]
    keys, pixels = [], []
    for number, plane in enumerate(planes(volumes)):
        found = np.flatnonzero((plane != 0) & (plane != IGNORE))
        keys.append(number * K + plane.ravel()[found].astype(np.int64))
        pixels.append(found)
    table = Ragged.from_groups(np.concatenate(keys), np.concatenate(pixels), len(planes(volumes)) * K)
    present = np.flatnonzero(table.count)
    rows, uniform = rng.permutation(present), rng.random(len(present))
    row, column = sampler_of(volumes).pixels(rows // K, rows % K, uniform)
    widths = np.array([plane.shape[1] for plane in planes(volumes)])[rows // K]
    np.testing.assert_array_equal(row * widths + column, table.pick(rows, uniform))


def test_a_forced_sample_of_a_case_without_foreground_is_a_free_one(
    sampler: Sampler, volumes: Volumes
) -> None:
    draws = uniforms(6, 0, 500)
    free = sampler.boxes(draws, nothing_forced(500), (6, 8), flip=True)
    oversampled = sampler.boxes(draws, ~nothing_forced(500), (6, 8), flip=True)
    empty = cases(volumes)[free.slices] == 2
    assert empty.sum() > 100
    same(*(Boxes(b.slices[empty], b.top[empty], b.left[empty], b.flips[empty]) for b in (free, oversampled)))


def test_a_dataset_without_any_foreground_can_be_sampled() -> None:
    sampler = sampler_of([np.zeros((2, 5, 7), np.uint8)])
    boxes = sampler.boxes(uniforms(0, 0, 50), ~nothing_forced(50), (3, 3), flip=False)
    assert set(boxes.slices.tolist()) == {0, 1}


def test_nothing_is_flipped_unless_asked(sampler: Sampler) -> None:
    draws = uniforms(7, 0, 100)
    flipped = sampler.boxes(draws, nothing_forced(100), (6, 8), flip=True)
    plain = sampler.boxes(draws, nothing_forced(100), (6, 8), flip=False)
    assert not plain.flips.any()
    same(plain, Boxes(flipped.slices, flipped.top, flipped.left, np.zeros((100, 2), bool)))


@pytest.mark.parametrize("batch_size", [1, 2, 8, 10, 38, 50])
@pytest.mark.parametrize("share", [0.0, 0.33, 1 / 3, 0.5, 1.0])
def test_forced_samples_are_the_last_of_a_batch_as_in_the_paper(batch_size: int, share: float) -> None:
    expected = [not index < round(batch_size * (1 - share)) for index in range(batch_size)]
    assert oversampled_samples(batch_size, share).tolist() == expected


def test_a_third_of_the_papers_batch_is_forced() -> None:
    assert oversampled_samples(38, 0.33).sum() == 38 - round(0.67 * 38) == 13
