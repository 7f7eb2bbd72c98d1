"""Dice and Hausdorff distances against MONAI and against cases done by hand."""

from math import hypot, isnan, sqrt

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance
from scipy.ndimage import binary_erosion, gaussian_filter

from rwseg.metrics.volume_metrics import LabelVolume, _by_transform, _by_tree, _surface, case_metrics

CLASSES = ("background", "RV", "myocardium", "LV")
SPACING = (10.0, 1.25, 1.5)


def smooth_labels(shape: tuple[int, ...], seed: int) -> LabelVolume:
    """Connected regions of all four classes, some of them at the image border."""
    noise = np.random.default_rng(seed).normal(size=(len(CLASSES), *shape))
    return gaussian_filter(noise, (0, 1, 3, 3)).argmax(0).astype(np.uint8)


def monai_hausdorff(prediction: LabelVolume, reference: LabelVolume, percentile: float | None) -> list[float]:
    masks = [
        torch.from_numpy(np.stack([v == k for k in range(4)]))[None].float() for v in (prediction, reference)
    ]
    distances = compute_hausdorff_distance(*masks, percentile=percentile, spacing=SPACING)
    return [float(d) for d in distances[0]]


@pytest.mark.filterwarnings(
    "ignore:.*always_return_as_numpy:FutureWarning"
)  # MONAI's call of its own function
@pytest.mark.parametrize("shape", [(6, 24, 31), (3, 40, 17)])
def test_metrics_equal_monai(shape: tuple[int, int, int]) -> None:
    prediction, reference = smooth_labels(shape, 0), smooth_labels(shape, 1)
    rows = case_metrics(prediction, reference, CLASSES, SPACING)
    masks = [
        torch.from_numpy(np.stack([v == k for k in range(4)]))[None].float() for v in (prediction, reference)
    ]
    dice = compute_dice(*masks, include_background=False)[0]
    np.testing.assert_allclose([row["dice"] for row in rows], dice, rtol=1e-6)
    for key, percentile in (("hausdorff", None), ("hausdorff95", 95.0)):
        ours = [row[key] for row in rows]  # type: ignore[literal-required]
        np.testing.assert_allclose(ours, monai_hausdorff(prediction, reference, percentile), atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
def test_far_false_positives_equal_monai() -> None:
    """Specks in the corners make the box large; the structure at the border keeps surface voxels there."""
    reference = np.zeros((6, 60, 75), np.uint8)
    reference[1:5, 0:9, 30:41] = 1
    reference[2:4, 20:28, 30:37] = 2
    reference[2, 30:33, 40:46] = 3
    prediction = np.roll(reference, (1, 2), (1, 2))
    prediction[0, 0, 0] = prediction[5, 59, 74] = 1
    prediction[5, 57:59, 0:2] = 2
    prediction[2, 31, 41] = 3
    rows = case_metrics(prediction, reference, CLASSES, SPACING)
    for key, percentile in (("hausdorff", None), ("hausdorff95", 95.0)):
        ours = [row[key] for row in rows]  # type: ignore[literal-required]
        np.testing.assert_allclose(ours, monai_hausdorff(prediction, reference, percentile), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 9, 14), (5, 20, 13), (3, 40, 1)])
def test_tree_transform_and_all_pairs_agree(shape: tuple[int, ...]) -> None:
    first, second = (np.random.default_rng(seed).random(shape) < 0.05 for seed in (0, 1))
    first[0, 2, 0] = second[0, 4, 0] = True
    points, others = (np.argwhere(mask) * SPACING for mask in (first, second))
    expected = np.linalg.norm(points[:, None] - others, axis=-1).min(1)
    for distances in (_by_tree, _by_transform):
        np.testing.assert_allclose(distances(first, second, SPACING), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 12, 9), (6, 15, 20), (4, 1, 1)])
def test_surface_is_the_mask_without_its_erosion(shape: tuple[int, ...]) -> None:
    mask = gaussian_filter(np.random.default_rng(3).normal(size=shape), 1.5) > 0
    for one in (mask, np.ones(shape, bool), np.zeros(shape, bool)):
        surface = _surface(one, range(one.ndim))
        np.testing.assert_array_equal(surface, one ^ binary_erosion(one, border_value=0))


def test_rows_name_their_class_and_count_voxels() -> None:
    prediction, reference = smooth_labels((4, 20, 15), 0), smooth_labels((4, 20, 15), 1)
    rows = case_metrics(prediction, reference, CLASSES, SPACING)
    assert [(row["label"], row["class_name"]) for row in rows] == list(enumerate(CLASSES))[1:]
    for row in rows:
        p, r = prediction == row["label"], reference == row["label"]
        assert (row["predicted_voxels"], row["reference_voxels"]) == (p.sum(), r.sum())
        assert row["dice"] == pytest.approx(2 * (p & r).sum() / (p.sum() + r.sum()))
        assert row["missed"] == 0


def test_two_single_voxels_are_as_far_apart_as_their_centres() -> None:
    prediction, reference = np.zeros((2, 5, 9, 12), np.int64)
    prediction[1, 2, 3] = reference[3, 5, 11] = 1
    (row,) = case_metrics(prediction, reference, CLASSES[:2], SPACING)
    assert row["dice"] == 0
    assert row["hausdorff"] == pytest.approx(sqrt(20**2 + 3.75**2 + 12**2), abs=1e-4)


def test_hausdorff95_is_the_larger_of_the_two_directed_percentiles() -> None:
    reference = np.zeros((1, 2, 40), np.uint8)
    reference[0, :, :20] = 1
    prediction = reference.copy()
    prediction[0, :, 20:22] = 1  # every voxel of two rows is surface: distances 0 (40 times), 1, 1, 2, 2
    (row,) = case_metrics(prediction, reference, CLASSES[:2], (1.0, 1.0, 1.0))
    assert row["hausdorff"] == 2.0
    assert row["hausdorff95"] == pytest.approx(np.percentile([0] * 40 + [1, 1, 2, 2], 95))


def test_perfect_prediction_and_symmetry() -> None:
    a, b = smooth_labels((4, 20, 15), 0), smooth_labels((4, 20, 15), 1)
    for row in case_metrics(a, a.astype(np.int32), CLASSES, SPACING):
        assert (row["dice"], row["hausdorff"], row["hausdorff95"]) == (1, 0, 0)
    for one, other in zip(
        case_metrics(a, b, CLASSES, SPACING), case_metrics(b, a, CLASSES, SPACING), strict=True
    ):
        assert one["hausdorff"] == other["hausdorff"]
        assert one["hausdorff95"] == other["hausdorff95"]


def test_the_image_border_is_surface() -> None:
    prediction, reference = np.ones((2, 1, 7, 9), np.uint8)
    reference[0, 3, 4] = 0  # a hole in the middle of a mask that fills the image
    (row,) = case_metrics(prediction, reference, CLASSES[:2], (1.0, 1.0, 1.0))
    assert row["hausdorff"] == 3.0  # from the hole's rim to the border in plane, the only one of a slice
    prediction, reference = np.ones((2, 5, 7, 9), np.uint8)
    reference[2, 3, 4] = 0
    (row,) = case_metrics(prediction, reference, CLASSES[:2], (1.0, 1.0, 1.0))
    assert row["hausdorff"] == 2.0  # from the hole's rim at [2, 2, 4] to the border at [0, 2, 4]


def disc(radius: float, shift: int = 0) -> LabelVolume:
    y, x = np.mgrid[:1, :140, :151][1:]
    return (np.hypot(y - 70, x - 70 - shift) <= radius).astype(np.uint8)


def in_plane(prediction: LabelVolume, reference: LabelVolume, spacing: tuple[float, ...]) -> list[float]:
    """MONAI's Hausdorff distance and hausdorff95 of two masks `(H, W)`."""
    masks = [torch.from_numpy(mask)[None, None].float() for mask in (prediction, reference)]
    return [
        float(compute_hausdorff_distance(*masks, include_background=True, percentile=q, spacing=spacing))
        for q in (None, 95.0)
    ]


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize("prediction", [disc(50, shift=4), disc(53), disc(50) - disc(20), disc(50, shift=60)])
def test_the_surface_of_a_single_slice_is_its_contour_in_plane(prediction: LabelVolume) -> None:
    """Whichever axis has the length of one; a disc at the image's border, a ring and a shift among them."""
    (row,) = case_metrics(prediction, disc(50), CLASSES[:2], SPACING)
    measured = [row["hausdorff"], row["hausdorff95"]]
    np.testing.assert_allclose(measured, in_plane(prediction[0], disc(50)[0], SPACING[1:]), atol=1e-4)
    turned = [np.moveaxis(mask, 0, -1) for mask in (prediction, disc(50))]
    (row,) = case_metrics(turned[0], turned[1], CLASSES[:2], (*SPACING[1:], 10.0))
    assert [row["hausdorff"], row["hausdorff95"]] == pytest.approx(measured)


def test_a_shifted_disc_is_as_far_as_its_shift() -> None:
    (row,) = case_metrics(disc(50, shift=4), disc(50), CLASSES[:2], (1.0, 1.0, 1.0))
    assert (row["hausdorff"], row["hausdorff95"]) == (4.0, 4.0)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
def test_200_random_single_slices_equal_monai_in_plane() -> None:
    """Smooth blobs with holes and parts at the border, non-square, anisotropic spacing."""
    generator = np.random.default_rng(15)
    largest = 0.0
    for _ in range(200):
        shape, spacing = (1, *generator.integers(12, 48, 2)), (5.0, *generator.uniform(0.4, 3, 2))
        smooth = gaussian_filter(generator.normal(size=(2, *shape)), (0, 0, *generator.uniform(1, 3, 2)))
        prediction, reference = (smooth > np.quantile(smooth, generator.uniform(0.3, 0.9))).astype(np.uint8)
        prediction[0, 3, 4] = reference[0, 7, 2] = 1  # neither mask is empty
        (row,) = case_metrics(prediction, reference, CLASSES[:2], spacing)
        expected = in_plane(prediction[0], reference[0], spacing[1:])
        measured = row["hausdorff"], row["hausdorff95"]
        largest = max(largest, float(np.abs(np.subtract(measured, expected)).max()))
    print(f"largest difference {largest:.1e} mm")
    assert largest < 1e-4


def test_a_structure_in_one_slice_of_a_volume_is_all_surface() -> None:
    """The neighbours above and below are in the image and outside the mask."""
    prediction, reference = np.zeros((2, 3, 9, 9), np.uint8)
    prediction[1, 2:7, 2:7] = reference[1, 2:7, 2:7] = 1
    reference[1, 4, 4] = 0
    (row,) = case_metrics(prediction, reference, CLASSES[:2], (1.0, 1.0, 1.0))
    assert row["hausdorff"] == 1.0


def test_the_diagonal_of_a_single_slice_lies_in_plane() -> None:
    empty, full = np.zeros((1, 30, 40), np.uint8), np.ones((1, 30, 40), np.uint8)
    (row,) = case_metrics(empty, full, CLASSES[:2], (9.0, 1.0, 1.0), missed="diagonal")
    assert row["hausdorff"] == pytest.approx(50.0)


@pytest.mark.parametrize("empty", ["prediction", "reference"])
@pytest.mark.parametrize("policy", ["nan", "diagonal"])
def test_a_structure_of_one_side_is_missed_or_spurious(empty: str, policy: str) -> None:
    full = np.zeros((3, 8, 10), np.uint8)
    full[1, 2:5, 3:6] = 1
    volumes = {"prediction": full, "reference": full, empty: np.zeros_like(full)}
    (row,) = case_metrics(**volumes, classes=CLASSES[:2], spacing=SPACING, missed=policy)
    assert (row["missed"], row["spurious"]) == ((1, 0) if empty == "prediction" else (0, 1))
    assert row["dice"] == 0.0
    if policy == "nan":
        assert isnan(row["hausdorff"])
        assert isnan(row["hausdorff95"])
    else:
        diagonal = hypot(3 * 10.0, 8 * 1.25, 10 * 1.5)
        assert row["hausdorff"] == row["hausdorff95"] == pytest.approx(diagonal)


@pytest.mark.parametrize("policy", ["nan", "diagonal"])
def test_a_structure_that_neither_side_holds_is_nan_and_neither(policy: str) -> None:
    empty = np.zeros((3, 8, 10), np.uint8)
    (row,) = case_metrics(empty, empty, CLASSES[:2], SPACING, missed=policy)  # type: ignore[arg-type]
    assert isnan(row["dice"])
    assert isnan(row["hausdorff"])
    assert isnan(row["hausdorff95"])
    assert (row["missed"], row["spurious"]) == (0, 0)
    assert (row["reference_voxels"], row["predicted_voxels"]) == (0, 0)


V = np.zeros((3, 8, 10), np.int64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((V, V[:2], CLASSES, SPACING), r"got \(3, 8, 10\) and \(2, 8, 10\)"),
        ((V[0], V[0], CLASSES, SPACING), r"\(Z, H, W\)"),
        ((V, V, CLASSES, SPACING, "inf"), "nan, diagonal, got 'inf'"),
        ((V + 4, V, CLASSES, SPACING), r"prediction: expected labels in \[0, 4\), got values in \[4, 4\]"),
        ((V, V - 1, CLASSES, SPACING), "reference: expected labels"),
        ((V.astype(float), V, CLASSES, SPACING), "prediction: expected integer"),
        ((V, V, CLASSES, SPACING[1:]), "spacing: expected 3"),
    ],
)
def test_wrong_input_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        case_metrics(*arguments)  # type: ignore[arg-type]
