"""The part of the gallery that shows compositions of maps, and the pictures of docs/maps.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rwseg.losses import ComposedMapLoss
from rwseg.report.figures.loss_gallery import Scene, draw_gradient, gradient
from rwseg.report.figures.map_gallery import draw_choice, draw_heart_slices, draw_weight, felt_weight


class Composed(NamedTuple):
    """A row of the gallery: a composition as it is typed and as a list, its weights, source, and use."""

    name: str
    typed: str
    parts: Sequence[Any]
    formula: str
    source: str
    rewards: str


COMPOSED = (
    Composed(
        "edge_emphasis",
        "[{edge_emphasis: 3}]",
        [{"edge_emphasis": 3}],
        "z = -exp(-d / width) inside a class, 1 elsewhere",
        "after Calivá et al. 2019",
        "A pixel counts up to double, the more the nearer a border is.",
    ),
    Composed(
        "skeleton",
        "[skeleton]",
        ["skeleton"],
        "z = -d / (d + s) inside a foreground class, s the distance to its centreline; else as RRW",
        "thinning by Lee et al. 1994",
        "A pixel counts up to double, the more the nearer it is to the centreline, in thin parts and thick.",
    ),
    Composed(
        "border_between_instances",
        "[{border_between_instances: {w0: 10, sigma: 3}}]",
        [{"border_between_instances": {"w0": 10, "sigma": 3}}],
        "z = 0 inside a class, 1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2)) elsewhere",
        "after Ronneberger et al. 2015, Eq. 2",
        "Pixels between two instances cost most where they are wrong.",
    ),
    Composed(
        "anneal",
        "[boundary,{anneal: 0.5}]",
        ["boundary", {"anneal": 0.5}],
        "z = -d / (max d)^t inside a class, d^(1 - t) elsewhere",
        "t = 0 Eq. 3, t = 1 Eq. 4 of Valverde and Tohka 2023",
        "Between a pixel's distance to a wrong class and a price that is the same for all.",
    ),
    Composed(
        "class_weights",
        "[rrw,{class_weights: [1, 1, 4]}]",
        ["rrw", {"class_weights": [1, 1, 4]}],
        "z_ik times w_m for i in class m and k another",
        "Valverde and Tohka 2023, section 3.2",
        "Missing a pixel of class 2 costs four times as much.",
    ),
    Composed(
        "power",
        "[rrw,{power: 2}]",
        ["rrw", {"power": 2}],
        "\\|z\\|^p with the sign of z",
        "-",
        "Depth counts, and mostly that of the deepest pixels.",
    ),
    Composed(
        "clip",
        "[boundary,{clip: 8},rectify]",
        ["boundary", {"clip": 8}, "rectify"],
        "z within [-c, c]",
        "-",
        "Beyond eight pixels an error is as bad as it gets.",
    ),
    Composed(
        "mix",
        "[rrw,{mix: {map: [{edge_emphasis: 3}], weight: 0.5}}]",
        ["rrw", {"mix": {"map": [{"edge_emphasis": 3}], "weight": 0.5}}],
        "(1 - w) z + w z'",
        "-",
        "Depth and borders at once.",
    ),
)

HEAD = """## Maps of `loss=rw`

`loss=rw loss.map=LIST` makes its map of a base and modifiers ([how to choose one](maps.md)). Below, `d` is
the distance to the nearest pixel of another class. The first picture is what the loss feels in a pixel: the
mean weight of the wrong classes less that of the true one, from 0 (dark) to the largest (yellow).

| `loss.map=` | weights | source | what it rewards | weight | gradient |
|---|---|---|---|---|---|"""

VOLUME = """
Maps are made of volumes too, in mm. Rows: a phantom heart slice by slice, with voxels of 9 x 1.6 x 1.6 mm;
the weight of RRW; that of `skeleton`, whose centrelines run through the slices. In 3D thinning leaves curves,
so this map is for tubes: of a shell, such as the myocardium, a few curves are weighed.

![A phantom heart in 3D: labels, RRW and skeleton weights](figures/maps_3d.png)
"""

IN_3D = {"rrw": ["rrw"], "skeleton": ["skeleton"]}

CHOICE: dict[str, list[Any]] = {
    "rrw": ["rrw"],
    "boundary, rectify": ["boundary", "rectify"],
    "edge_emphasis: 3": [{"edge_emphasis": 3}],
    "skeleton": ["skeleton"],
    "border_between_\ninstances": ["border_between_instances"],
    "rrw, class_weights:\n[1, 4, 1, 1]": ["rrw", {"class_weights": [1, 4, 1, 1]}],
}
"""The columns of figures/maps.png, by their titles."""


def maps_section(scene: Scene, docs: Path) -> str:
    """Draw the pictures of compositions below `docs`, and return their part of losses.md."""
    rows = [_row(one, scene, docs / "figures" / "losses") for one in COMPOSED]
    draw_heart_slices(IN_3D, docs / "figures" / "maps_3d.png")
    draw_choice(CHOICE, docs / "figures" / "maps.png")
    return "\n".join([HEAD, *rows, VOLUME])


def _row(one: Composed, scene: Scene, pictures: Path) -> str:
    push, wrong = gradient(ComposedMapLoss(one.parts), scene)
    names = f"map_{one.name}", f"weight_{one.name}"
    draw_gradient(scene, push, wrong, pictures / f"{names[0]}.png")
    draw_weight(scene.labels, felt_weight(one.parts, scene.labels, 3), pictures / f"{names[1]}.png")
    share = f"wrong sign: {percent(float(wrong.double().mean()))}"
    seen = (
        f"![Weight of {one.name}](figures/losses/{names[1]}.png)",
        f"![Gradient of {one.name}](figures/losses/{names[0]}.png)<br>{share}",
    )
    return f"| {' | '.join((f'`{one.typed}`', one.formula, one.source, one.rewards, *seen))} |"


def percent(share: float) -> str:
    """A share of pixels as the gallery has it."""
    return "none" if share == 0 else "< 1 %" if share < 0.01 else f"{100 * share:.0f} %"
