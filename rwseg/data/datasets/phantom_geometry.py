"""The phantom heart in closed form: circles per slice, areas in mm2, and which region holds a point.

Across the long axis the left ventricle is a half ellipsoid, open at the base: its cavity has radius
`R sqrt(1 - t^2)` at depth `t` (as a fraction of its length) below the base. So is its epicardium, with its
own radius and length; the myocardium lies between them. The right ventricle is what a third half ellipsoid,
beside the left ventricle, has outside the epicardium: a crescent in every slice.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RV, MYOCARDIUM, LV = 1, 2, 3


@dataclass(frozen=True)
class Circle:
    """A circle in a slice: centre (`y`, `x`) and `radius`, in mm from the middle of the image."""

    y: float
    x: float
    radius: float

    def holds(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the points (`y`, `x`), arrays that broadcast, lie inside; nothing is inside radius 0."""
        return (y - self.y) ** 2 + (x - self.x) ** 2 < self.radius**2


@dataclass(frozen=True)
class Ventricle:
    """A half ellipsoid below the base: `radius` at the base and `length` to its apex, in mm."""

    radius: float
    length: float

    def radius_at(self, depth: float) -> float:
        """Radius in mm at `depth` mm below the base, 0 outside."""
        if not 0 <= depth < self.length:
            return 0.0
        return self.radius * math.sqrt(1 - (depth / self.length) ** 2)


@dataclass(frozen=True)
class Heart:
    """One subject in one phase; lengths in mm, slices along z from base to apex.

    `base`: z of the base (slice 0 is at z = 0). `centre` (y, x): the long axis at the base, from the middle
    of the image; `tilt` (y, x): its shift per mm of z. `rv_angle`: direction from LV to RV, radians from +x
    towards +y. `rv_offset`: distance of the RV's centre from the LV's, in epicardial radii of the slice.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    base: float
    centre: tuple[float, float]
    tilt: tuple[float, float]
    cavity: Ventricle
    epicardium: Ventricle
    rv: Ventricle
    rv_angle: float
    rv_offset: float


@dataclass(frozen=True)
class SliceCircles:
    """The three circles of a slice; one that the slice does not cut has radius 0."""

    cavity: Circle
    epicardium: Circle
    rv: Circle


def slice_circles(heart: Heart, index: int) -> SliceCircles:
    """The circles that slice `index` cuts out of the heart."""
    depth = index * heart.spacing[0] - heart.base
    y, x = (centre + tilt * depth for centre, tilt in zip(heart.centre, heart.tilt, strict=True))
    epicardium = heart.epicardium.radius_at(depth)
    offset = heart.rv_offset * epicardium
    return SliceCircles(
        Circle(y, x, heart.cavity.radius_at(depth)),
        Circle(y, x, epicardium),
        Circle(
            y + offset * math.sin(heart.rv_angle),
            x + offset * math.cos(heart.rv_angle),
            heart.rv.radius_at(depth),
        ),
    )


def disc_area(radius: float) -> float:
    """Area of a disc."""
    return math.pi * radius**2


def ring_area(inner: float, outer: float) -> float:
    """Area between two concentric circles."""
    return disc_area(outer) - disc_area(inner)


def lens_area(r: float, s: float, distance: float) -> float:
    """Area common to two discs of radii `r` and `s` whose centres are `distance` apart.

    Two circular segments: `r^2 (a - sin(a) cos(a)) + s^2 (b - sin(b) cos(b))`, with `a` and `b` the half
    angles under which the common chord is seen from the centres.
    """
    if distance >= r + s:
        return 0.0
    if distance <= abs(r - s):
        return disc_area(min(r, s))
    a = math.acos((distance**2 + r**2 - s**2) / (2 * distance * r))
    b = math.acos((distance**2 + s**2 - r**2) / (2 * distance * s))
    return r**2 * (a - math.sin(a) * math.cos(a)) + s**2 * (b - math.sin(b) * math.cos(b))


def crescent_area(radius: float, removed: float, distance: float) -> float:
    """Area of a disc of `radius` outside another of radius `removed` whose centre is `distance` away."""
    return disc_area(radius) - lens_area(radius, removed, distance)


def slice_areas(heart: Heart, index: int) -> tuple[float, float, float]:
    """Areas (RV, myocardium, LV) of slice `index` in mm2, in closed form."""
    circles = slice_circles(heart, index)
    distance = math.hypot(circles.rv.y - circles.epicardium.y, circles.rv.x - circles.epicardium.x)
    return (
        crescent_area(circles.rv.radius, circles.epicardium.radius, distance),
        ring_area(circles.cavity.radius, circles.epicardium.radius),
        disc_area(circles.cavity.radius),
    )


def region(circles: SliceCircles, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The label of the region that holds each point (`y`, `x`) in mm."""
    labels = np.where(circles.rv.holds(y, x), RV, 0)
    labels = np.where(circles.epicardium.holds(y, x), MYOCARDIUM, labels)
    return np.where(circles.cavity.holds(y, x), LV, labels).astype(np.uint8)


def pixel_grid(heart: Heart, subpixels: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres of the n = `subpixels` by n parts of all pixels: y (H n, 1), x (1, W n), mm from the middle."""
    (_, height, width), (_, step_y, step_x) = heart.shape, heart.spacing
    y, x = (
        ((np.arange(size * subpixels) + 0.5) / subpixels - size / 2) * step
        for size, step in ((height, step_y), (width, step_x))
    )
    return y[:, None], x[None, :]


def label_volume(heart: Heart) -> NDArray[np.uint8]:
    """Labels (Z, H, W): the region that holds each pixel's centre."""
    y, x = pixel_grid(heart)
    return np.stack([region(slice_circles(heart, index), y, x) for index in range(heart.shape[0])])
