import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from rwseg.data.datasets.phantom import SUBJECTS, draw_hearts
from rwseg.data.datasets.phantom_geometry import (
    LV,
    MYOCARDIUM,
    RV,
    Heart,
    Ventricle,
    crescent_area,
    disc_area,
    label_volume,
    lens_area,
    ring_area,
    slice_areas,
    slice_circles,
)

HEARTS = [
    (subject, phase, heart)
    for subject in range(1, SUBJECTS + 1)
    for phase, heart in draw_hearts(subject).items()
]
LENGTHS = st.floats(0.5, 40)


def areas(heart: Heart) -> np.ndarray:
    """Closed-form areas (Z, 3) of RV, myocardium, LV in mm2."""
    return np.array([slice_areas(heart, index) for index in range(heart.shape[0])])


@given(r=LENGTHS, s=LENGTHS, distance=st.floats(0, 90))
def test_lens_area_equals_the_integral_of_the_common_chord(r: float, s: float, distance: float) -> None:
    def chord(x: float) -> float:
        half = min(r**2 - x**2, s**2 - (x - distance) ** 2)
        return 2 * math.sqrt(max(half, 0.0))

    low, high = max(-r, distance - s), min(r, distance + s)
    kink = (distance**2 + r**2 - s**2) / (2 * distance) if distance > 1e-9 else 0.0
    inner = [kink] if low < kink < high else None
    expected = quad(chord, low, high, points=inner, limit=200)[0] if low < high else 0.0
    assert lens_area(r, s, distance) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert lens_area(s, r, distance) == pytest.approx(lens_area(r, s, distance), abs=1e-9)


@pytest.mark.parametrize(
    ("area", "expected"),
    [
        (disc_area(3), 9 * math.pi),
        (ring_area(2, 3), 5 * math.pi),
        (crescent_area(2, 3, 5), 4 * math.pi),  # apart
        (crescent_area(2, 5, 3), 0),  # swallowed
        (crescent_area(5, 2, 3), 21 * math.pi),  # a hole
        (crescent_area(1, 1, 1), math.pi / 3 + math.sqrt(3) / 2),  # each centre on the other circle
        (crescent_area(2, 2, 0), 0),
    ],
)
def test_areas_in_special_positions(area: float, expected: float) -> None:
    assert area == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("subject", [1, 2, 11])
def test_voxels_times_pixel_area_give_the_closed_form_areas(subject: int) -> None:
    for heart in draw_hearts(subject).values():
        labels = label_volume(heart)
        pixel = heart.spacing[1] * heart.spacing[2]
        counted = np.stack([(labels == k).sum(axis=(1, 2)) for k in (RV, MYOCARDIUM, LV)], axis=1) * pixel
        expected = areas(heart)
        # The rounding error of a region grows with its rim, and so with the square root of its area.
        np.testing.assert_allclose(
            counted, expected, rtol=0, atol=0.5 * pixel + 0.9 * pixel * np.sqrt(expected.max())
        )
        large = expected > 600
        assert large.any(axis=0).any()
        np.testing.assert_allclose(counted[large], expected[large], rtol=0.04)
        np.testing.assert_allclose(counted.sum(axis=0), expected.sum(axis=0), rtol=0.02)


def test_finer_pixels_converge_to_the_closed_form_areas() -> None:
    heart = draw_hearts(3)["ED"]
    slices, rows, columns = heart.shape
    z, y, x = heart.spacing
    fine = replace(heart, shape=(slices, rows * 8, columns * 4), spacing=(z, y / 8, x / 4))
    labels = label_volume(fine)
    for column, label in enumerate((RV, MYOCARDIUM, LV)):
        counted = (labels == label).sum(axis=(1, 2)) * fine.spacing[1] * fine.spacing[2]
        np.testing.assert_allclose(counted, areas(fine)[:, column], rtol=0.005, atol=2)


def test_circles_of_a_slice_by_hand() -> None:
    heart = Heart(
        shape=(4, 9, 8),
        spacing=(10.0, 1.0, 1.0),
        base=4.0,
        centre=(1.0, -2.0),
        tilt=(0.5, 0.25),
        cavity=Ventricle(10, 15),
        epicardium=Ventricle(20, 20),
        rv=Ventricle(25, 16.5),
        rv_angle=math.pi / 2,
        rv_offset=0.5,
    )
    # Slice 1 lies 6 mm below the base, slice 2 16 mm: below the cavity's apex, above the epicardium's.
    circles = slice_circles(heart, 1)
    outer = 20 * math.sqrt(0.91)
    assert (circles.cavity.y, circles.cavity.x) == (4.0, -0.5)
    assert (circles.cavity.radius, circles.epicardium.radius) == pytest.approx((10 * math.sqrt(0.84), outer))
    assert (circles.rv.y, circles.rv.x) == pytest.approx((4 + 0.5 * outer, -0.5))
    assert circles.rv.radius == pytest.approx(25 * math.sqrt(1 - (6 / 16.5) ** 2))
    below = slice_circles(heart, 2)
    assert (below.cavity.radius, below.epicardium.radius) == (0, pytest.approx(12))
    for outside in (0, 3):
        assert slice_areas(heart, outside) == (0, 0, 0)


def test_a_label_is_the_region_that_holds_the_centre_of_the_pixel() -> None:
    heart = replace(draw_hearts(5)["ES"], shape=(7, 61, 44), spacing=(10.0, 1.9, 2.6))
    labels, index = label_volume(heart), 3
    circles = slice_circles(heart, index)
    for row, column in np.ndindex(61, 44):
        y, x = (row - 30) * 1.9, (column - 21.5) * 2.6
        to_lv = math.hypot(y - circles.cavity.y, x - circles.cavity.x)
        to_rv = math.hypot(y - circles.rv.y, x - circles.rv.x)
        expected = RV if to_rv < circles.rv.radius else 0
        expected = MYOCARDIUM if to_lv < circles.epicardium.radius else expected
        expected = LV if to_lv < circles.cavity.radius else expected
        assert labels[index, row, column] == expected


def test_the_heart_tapers_from_base_to_apex_and_lies_inside_the_image() -> None:
    for subject, phase, heart in HEARTS:
        by_slice = areas(heart)
        assert (by_slice[0] == 0).all(), "slice 0 lies above the base"
        first = int(np.argmax(by_slice[:, 2] > 0))
        for column in (0, 2):
            below = by_slice[first:, column]
            assert (np.diff(below) <= 0).all(), (subject, phase)
            assert (np.diff(below[below > 0]) < 0).all(), (subject, phase)
        assert (by_slice > 0).any(axis=0).all()
        labels = label_volume(heart)
        border = [labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]]
        assert not any(side.any() for side in border), (subject, phase)
        assert set(np.unique(labels)) == {0, RV, MYOCARDIUM, LV}


def muscle_volume(heart: Heart) -> float:
    """Volume of the myocardium in mm3: the closed-form area integrated along the long axis."""

    def ring(depth: float) -> float:
        return ring_area(heart.cavity.radius_at(depth), heart.epicardium.radius_at(depth))

    return float(quad(ring, 0, heart.epicardium.length, points=[heart.cavity.length])[0])


def test_systole_empties_the_cavities_and_keeps_the_muscle() -> None:
    for subject in range(1, SUBJECTS + 1):
        diastole, systole = draw_hearts(subject)["ED"], draw_hearts(subject)["ES"]
        assert (areas(systole).sum(axis=0)[[0, 2]] < 0.8 * areas(diastole).sum(axis=0)[[0, 2]]).all()
        full, left = (heart.cavity.radius**2 * heart.cavity.length for heart in (diastole, systole))
        assert 0.5 <= 1 - left / full <= 0.65
        walls = [heart.epicardium.radius - heart.cavity.radius for heart in (diastole, systole)]
        assert walls[1] > walls[0]
        assert muscle_volume(systole) == pytest.approx(muscle_volume(diastole), rel=1e-3)


def test_subjects_differ_in_grid_and_no_image_is_square() -> None:
    shapes = {heart.shape for _, _, heart in HEARTS}
    assert {6, 7, 8, 9} >= {shape[0] for shape in shapes}
    assert len(shapes) > SUBJECTS / 2
    assert all(height != width for _, height, width in shapes)
    assert len({(heart.shape, heart.spacing) for _, _, heart in HEARTS}) == SUBJECTS
    assert all(heart.spacing[0] > 5 * heart.spacing[1] for _, _, heart in HEARTS)
