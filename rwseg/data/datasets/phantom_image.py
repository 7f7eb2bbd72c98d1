"""How the phantom looks to the scanner: tissues in and around the heart, partial volume, shading, noise.

The surroundings are there to mislead: an aorta and an atrium as bright as the ventricles, papillary muscles
as dark as myocardium inside the cavity, fat on the epicardium, liver, lung and chest wall. Only place and
shape tell them apart.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rwseg.data.datasets.phantom_geometry import (
    LV,
    MYOCARDIUM,
    RV,
    Circle,
    Heart,
    SliceCircles,
    pixel_grid,
    region,
    slice_circles,
)

Grid = NDArray[np.float64]

_SUBPIXELS = 3
_RV_WALL_MM = 3.0
_VESSEL_WALL_MM = 2.0


@dataclass(frozen=True)
class Ellipse:
    """A piece of the surroundings: centre, half axes (mm) and intensity; `rise` lifts it per slice (mm)."""

    y: float
    x: float
    half_y: float
    half_x: float
    intensity: float
    rise: float = 0.0


@dataclass(frozen=True)
class Scene:
    """What both phases of a subject share besides the heart: intensities, surroundings, shading.

    `shading`: coefficients of y, x, yx, y^2, x^2 in the logarithm of the bias field, y and x in [-1, 1].
    `fat_shift` (y, x): moves the layer of fat off the epicardium, so that it is thick on one side only.
    `papillary`: directions of the two papillary muscles. `noise`: standard deviation per complex channel.
    """

    blood: float
    rv_blood: float
    muscle: float
    fat: float
    lung: float
    surroundings: tuple[Ellipse, ...]
    aorta: Circle
    fat_shift: tuple[float, float]
    papillary: tuple[float, float]
    shading: tuple[float, float, float, float, float]
    noise: float


def draw_scene(rng: Generator) -> Scene:
    """Draw the surroundings and the contrast of one subject."""

    def near(value: float, spread: float) -> float:
        return float(rng.uniform(value - spread, value + spread))

    blood, muscle, fat, lung, liver = near(210, 20), near(78, 12), near(225, 25), near(32, 10), near(115, 20)
    chest = near(-8, 4), near(8, 4)
    surroundings = (
        Ellipse(*chest, near(78, 4), near(68, 4), muscle),  # inner chest wall, on the fat under the skin
        Ellipse(*chest, near(70, 4), near(60, 4), lung),
        Ellipse(near(58, 4), near(-14, 8), near(34, 4), near(66, 8), liver, rise=near(1.2, 0.6)),
        Ellipse(
            near(46, 4), near(-28, 10), near(2.5, 1), near(7, 2), blood, rise=near(1.2, 0.6)
        ),  # a vein of the liver
        Ellipse(
            near(54, 5), near(36, 6), near(12, 3), near(16, 4), near(165, 30), rise=near(0.8, 0.8)
        ),  # stomach
        Ellipse(near(-44, 5), near(26, 10), near(2, 0.8), near(2, 0.8), blood),  # vessels of the lung
        Ellipse(near(-34, 5), near(40, 6), near(2.5, 0.8), near(2, 0.8), blood),
    )
    direction = near(0, math.pi)
    return Scene(
        blood=blood,
        rv_blood=blood * near(0.95, 0.05),
        muscle=muscle,
        fat=fat,
        lung=lung,
        surroundings=surroundings,
        aorta=Circle(near(34, 4), near(42, 4), near(9.5, 1.5)),
        fat_shift=(2 * math.sin(direction), 2 * math.cos(direction)),
        papillary=(near(0.6, 0.5), near(2.6, 0.5)),
        shading=(near(-0.15, 0.15), near(-0.1, 0.2), near(0, 0.12), near(0, 0.12), near(0, 0.12)),
        noise=near(13, 4),
    )


def render(heart: Heart, scene: Scene, rng: Generator) -> NDArray[np.int16]:
    """The image (Z, H, W) of a heart in its scene, with noise from `rng`."""
    return np.stack([_render_slice(heart, scene, index, rng) for index in range(heart.shape[0])])


def _render_slice(heart: Heart, scene: Scene, index: int, rng: Generator) -> NDArray[np.int16]:
    _, H, W = heart.shape
    y, x = pixel_grid(heart, _SUBPIXELS)
    fine = _paint(heart, scene, index, y, x)  # (3H, 3W)
    tissue = fine.reshape(H, _SUBPIXELS, W, _SUBPIXELS).mean(axis=(1, 3))  # partial volume
    texture = gaussian_filter(rng.standard_normal((H, W)), sigma=2.0)
    tissue = gaussian_filter(tissue, sigma=0.5) * (1 + 0.06 * texture / texture.std())
    signal = tissue * _bias(scene, H, W)
    real, imaginary = scene.noise * rng.standard_normal((2, H, W))
    magnitude: Grid = np.hypot(signal + real, imaginary)
    return np.rint(magnitude).astype(np.int16)


def _bias(scene: Scene, H: int, W: int) -> Grid:
    y, x = np.linspace(-1, 1, H)[:, None], np.linspace(-1, 1, W)[None, :]
    terms = (y, x, y * x, y**2, x**2)
    return np.exp(sum(c * term for c, term in zip(scene.shading, terms, strict=True)))


def _paint(heart: Heart, scene: Scene, index: int, y: Grid, x: Grid) -> Grid:
    """Intensities of the tissues at the points (`y`, `x`) of a slice, without blur, shading or noise."""
    canvas = np.full((y.size, x.size), scene.fat)
    for piece in scene.surroundings:
        inside = ((y - piece.y + piece.rise * index) / piece.half_y) ** 2 + (
            (x - piece.x) / piece.half_x
        ) ** 2 < 1
        canvas[inside] = piece.intensity
    _paint_vessel(canvas, scene, scene.aorta, y, x)
    circles = slice_circles(heart, index)
    if circles.epicardium.radius == 0:
        if index * heart.spacing[0] < heart.base:
            _paint_atria(canvas, heart, scene, y, x)
        return canvas
    return _paint_heart(canvas, scene, circles, y, x)


def _paint_vessel(canvas: Grid, scene: Scene, lumen: Circle, y: Grid, x: Grid) -> None:
    canvas[_grown(lumen, _VESSEL_WALL_MM).holds(y, x)] = scene.muscle
    canvas[lumen.holds(y, x)] = scene.blood


def _paint_atria(canvas: Grid, heart: Heart, scene: Scene, y: Grid, x: Grid) -> None:
    """Left atrium and outflow tract above the base: blood in thin walls, all of it background."""
    centre_y, centre_x = heart.centre
    size = heart.epicardium.radius
    side_y, side_x = size * math.sin(heart.rv_angle), size * math.cos(heart.rv_angle)
    around = Circle(centre_y + 0.5 * side_y, centre_x + 0.5 * side_x, 1.2 * size)
    canvas[around.holds(y, x)] = (scene.muscle + scene.fat) / 2
    _paint_vessel(canvas, scene, Circle(centre_y, centre_x, 0.6 * size), y, x)
    _paint_vessel(canvas, scene, Circle(centre_y + 1.1 * side_y, centre_x + 1.1 * side_x, 0.4 * size), y, x)


def _paint_heart(canvas: Grid, scene: Scene, circles: SliceCircles, y: Grid, x: Grid) -> Grid:
    shift_y, shift_x = scene.fat_shift
    for circle in (circles.epicardium, circles.rv):
        layer = Circle(circle.y + shift_y, circle.x + shift_x, circle.radius + 2.5)
        if circle.radius > 0:
            canvas[layer.holds(y, x)] = (scene.muscle + scene.fat) / 2
    if circles.rv.radius > 0:
        canvas[_grown(circles.rv, _RV_WALL_MM).holds(y, x)] = scene.muscle
    labels = region(circles, y, x)
    for label, intensity in ((RV, scene.rv_blood), (MYOCARDIUM, scene.muscle), (LV, scene.blood)):
        canvas[labels == label] = intensity
    cavity = circles.cavity
    for angle in scene.papillary:
        muscle = Circle(
            cavity.y + 0.62 * cavity.radius * math.sin(angle),
            cavity.x + 0.62 * cavity.radius * math.cos(angle),
            0.17 * cavity.radius,
        )
        canvas[muscle.holds(y, x)] = (scene.muscle + scene.blood) / 2  # trabeculae: blood and muscle mixed
    return canvas


def _grown(circle: Circle, margin: float) -> Circle:
    return Circle(circle.y, circle.x, circle.radius + margin)
