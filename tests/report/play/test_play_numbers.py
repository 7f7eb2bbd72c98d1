"""What the page computes, in Node.js and in Chromium, beside what rwseg computes."""

import json
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from engines import Evaluate
from scipy import ndimage
from skimage import measure
from skimage.morphology import skeletonize
from torch import Tensor

from rwseg.losses import region_wise_loss
from rwseg.losses.hausdorff import squared_region_wise_loss
from rwseg.losses.theory import right_for_every_softmax, wrong_sign_pixels, wrong_sign_share
from rwseg.maps import BASES, MODIFIERS, Composition, RectifiedMap, composed_map, expand

pytestmark = pytest.mark.xdist_group("play")


class Scene(NamedTuple):
    """Labels `(1, H, W)` as integers, number of classes, and mm per row and column."""

    labels: Tensor
    classes: int
    spacing: tuple[float, float] = (1.0, 1.0)

    @property
    def plain(self) -> str:
        height, width = self.labels.shape[1:]
        values = {"height": height, "width": width, "classes": self.classes, "spacing": self.spacing}
        return f"{{...{json.dumps(values)}, labels: Uint8Array.from({self.labels.flatten().tolist()})}}"


def scattered(seed: int, classes: int, height: int, width: int) -> Tensor:
    """Random blocks of 3 pixels, so that distances are of all lengths."""
    coarse = torch.randint(classes, (height, width), generator=torch.Generator().manual_seed(seed))
    return coarse.repeat_interleave(3, 0).repeat_interleave(3, 1)[None, :height, :width]


def disc(height: int, width: int, radius: float, label: int = 1) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (((y - height / 2) ** 2 + (x - width / 2) ** 2 <= radius**2) * label).long()[None]


def vessel() -> Tensor:
    labels = torch.zeros(1, 20, 33, dtype=torch.long)
    labels[0, 9, 2:30] = 1
    labels[0, 3:17, 15] = 1
    return labels


DRAWINGS = {
    "two classes": Scene(scattered(1, 2, 24, 24), 2),
    "three classes": Scene(scattered(2, 3, 24, 31), 3),
    "four classes": Scene(scattered(3, 4, 31, 24), 4),
    "anisotropic": Scene(scattered(4, 4, 20, 28), 4, (0.7, 2.3)),
    "an absent class": Scene(disc(24, 24, 7), 3),
    "a full class": Scene(torch.ones(1, 12, 17, dtype=torch.long), 3),
    "a rare class": Scene(disc(30, 30, 11).index_put((torch.tensor([0]),) * 3, torch.tensor(2)), 3),
    "a thin vessel": Scene(vessel(), 2, (1.5, 0.5)),
    "a single row": Scene(torch.tensor([[[0, 0, 0, 1, 2, 2, 0, 3, 3, 3]]]), 4),
    "rings": Scene(disc(48, 48, 18).where(disc(48, 48, 9) == 0, torch.tensor(2)), 3),
}
COMPOSITIONS: tuple[list[Any], ...] = (
    ["boundary"],
    ["boundary_kervadec"],
    ["rrw"],
    ["active_contour"],
    [{"hausdorff": 2}],
    [{"hausdorff": 0.7}, "rectify"],
    [{"edge_emphasis": 2.5}],
    ["boundary", {"anneal": 0.4}],
    ["boundary", {"anneal": 1}],
    ["boundary_kervadec", {"anneal": 0.6}, {"normalise": "per_item"}],
    ["boundary", "rectify", {"normalise": "per_class"}],
    ["boundary", {"power": 0.5}, {"normalise": "per_class"}, {"class_weights": "weights"}, "rectify"],
    [{"edge_emphasis": 4}, {"class_weights": "weights"}, {"power": 2}],
    [{"constant": {"alpha": -0.5, "beta": -2}}],
    ["skeleton"],
    ["border_between_instances"],
    [{"border_between_instances": {"w0": 4, "sigma": 1.5}}, {"clip": 3}],
    ["boundary", {"clip": 2.5}, {"mix": {"map": ["skeleton", {"power": 2}], "weight": 0.3}}],
)


def composition(parts: list[Any], classes: int) -> list[Any]:
    """With one weight per class where weights are asked for."""
    weights = [1, 2.5, 0.5, 4][:classes]
    return [{"class_weights": weights} if part == {"class_weights": "weights"} else part for part in parts]


def dense(parts: list[Any], scene: Scene) -> Tensor:
    made = composed_map(Composition.of(parts), scene.labels, scene.classes, scene.spacing)
    return expand(made, scene.labels, scene.classes) if isinstance(made, RectifiedMap) else made


@pytest.mark.parametrize("name", DRAWINGS)
def test_maps_are_those_of_rwseg(name: str, evaluate: Evaluate) -> None:
    scene = DRAWINGS[name]
    all_parts = [composition(parts, scene.classes) for parts in COMPOSITIONS]
    found = evaluate(f"{json.dumps(all_parts)}.map((parts) => composeMap({scene.plain}, parts))")
    for parts, values in zip(all_parts, found, strict=True):
        expected = dense(parts, scene).numpy().ravel()
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5, err_msg=str(parts))


def test_the_page_has_the_maps_and_modifiers_of_rwseg(evaluate: Evaluate) -> None:
    assert {*evaluate("Object.keys({...BASES, ...MODIFIERS})")} == {*BASES, *MODIFIERS}


@pytest.mark.parametrize("seed", range(4))
def test_centrelines_are_those_of_any_drawing(seed: int, evaluate: Evaluate) -> None:
    """Blocks, and pixels strewn as densely as makes holes, loops, squares and single pixels."""
    generator = torch.Generator().manual_seed(seed)
    strewn = (torch.rand(1, 23, 31, generator=generator) < 0.2 * (seed + 1)).long()
    for labels in (scattered(seed, 2, 34, 23), strewn):
        scene = Scene(labels, 2, (1.0, 1.7))
        mask = labels[0].numpy() == 1
        lines = np.array(evaluate(f"centrelines({scene.plain})")).reshape(mask.shape) == 1
        thin = skeletonize(mask, method="lee") > 0
        components = measure.label(mask, connectivity=2)
        np.testing.assert_array_equal(lines, thin | (mask & ~np.isin(components, components[thin])))
        found = evaluate(f"composeMap({scene.plain}, ['skeleton'])")
        np.testing.assert_allclose(found, dense(["skeleton"], scene).ravel(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("corners", [False, True])
def test_components_are_those_of_scipy(corners: bool, evaluate: Evaluate) -> None:
    mask = torch.rand(1, 17, 26, generator=torch.Generator().manual_seed(1)) < 0.45
    drawing = Scene(mask.long(), 2).plain
    found = evaluate(
        f"(({{labels, ...size}}) => componentsOf(labels, size, {json.dumps(corners)}))({drawing})"
    )
    expected, count = ndimage.label(mask[0].numpy(), np.ones((3, 3)) if corners else None)
    assert found["count"] == count
    np.testing.assert_array_equal(found["numbers"], expected.ravel())


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("name", DRAWINGS)
def test_gradients_losses_and_wrong_signs_are_those_of_rwseg(
    name: str, squared: bool, evaluate: Evaluate
) -> None:
    scene = DRAWINGS[name]
    parts = [{"hausdorff": 1.5}] if squared else ["boundary"]
    shape = (1, scene.classes, *scene.labels.shape[1:])
    logits = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    z = dense(parts, scene).double()
    leaf = logits.clone().requires_grad_()
    loss = squared_region_wise_loss(leaf, scene.labels, z) if squared else region_wise_loss(leaf, z)
    (gradient,) = torch.autograd.grad(loss, leaf)
    gradient = gradient * gradient.numel()
    found = evaluate(
        f"((drawing, softmax) => {{ const map = composeMap(drawing, {json.dumps(parts)});"
        f" const gradient = gradientOf(softmax, map, drawing.classes, {json.dumps(squared)});"
        f" const faults = faultsOf(gradient, drawing);"
        f" return {{ gradient, faults, loss: lossOf(softmax, map, {json.dumps(squared)}),"
        f" shares: sharesOf(gradient, faults, drawing) }}; }})"
        f"({scene.plain}, softmaxOf(Float64Array.from({logits.flatten().tolist()}), {scene.classes}))"
    )
    np.testing.assert_allclose(found["gradient"], gradient.flatten(), rtol=1e-5, atol=1e-5)
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-5, abs=1e-7)
    wrong = wrong_sign_pixels(gradient, scene.labels)
    np.testing.assert_array_equal((np.array(found["faults"]) & 3) > 0, wrong.flatten())
    check_shares(found["shares"], gradient, wrong, scene)


def check_shares(shares: list[dict[str, float]], gradient: Tensor, wrong: Tensor, scene: Scene) -> None:
    pull = gradient.abs().sum(1)
    for k, row in enumerate(shares[:-1]):
        own = scene.labels == k
        assert row["pixels"] == own.sum()
        assert row["wrong"] == wrong[own].sum()
        if pull.sum() > 0:
            assert row["pull"] == pytest.approx(float(pull[own].sum() / pull.sum()), rel=1e-5)
    assert shares[-1]["wrong"] == wrong.sum()


def test_a_rectified_map_has_no_wrong_sign_however_sure_the_prediction(evaluate: Evaluate) -> None:
    scene = DRAWINGS["four classes"]
    generator = torch.Generator().manual_seed(6)
    logits = 30 * torch.randn(scene.classes * scene.labels.numel(), generator=generator)
    for parts in (["rrw"], ["boundary", "rectify"], ["boundary", {"anneal": 1}]):
        assert right_for_every_softmax(dense(parts, scene).movedim(1, -1), scene.labels).all()
        faults, rectified = evaluate(
            f"((drawing, map, p) => [faultsOf(gradientOf(p, map, 4, false), drawing),"
            f" isRectified(map, drawing)])"
            f"({scene.plain}, composeMap({scene.plain}, {json.dumps(parts)}),"
            f" softmaxOf(Float64Array.from({logits.tolist()}), 4))"
        )
        assert rectified
        assert not np.any(np.array(faults) & 3)


@pytest.mark.parametrize("z", [[12.0, 4.0, -3.0], [10.0, 10.0, -3.0], [5.0, 0.0, -1.0]])
def test_the_triangle_has_the_closed_forms_share_of_wrong_signs(z: list[float], evaluate: Evaluate) -> None:
    shares = evaluate(f"simplexShares({z}, 2, cornersOf(3, 2, null), [0.2, 0.3, 0.5], false)")
    assert shares["any"] == pytest.approx(wrong_sign_share(z, 2), abs=5e-3)
    assert shares["trueDown"] == 0


def test_a_step_moves_the_softmax_as_the_arrow_says(evaluate: Evaluate) -> None:
    logits = torch.tensor([0.3, -1.0, 0.8, 0.1], dtype=torch.float64)
    gradient = torch.tensor([0.5, -0.2, -0.4, 0.1], dtype=torch.float64)
    softmax = torch.softmax(logits, 0)
    moved = (torch.softmax(logits - 1e-6 * gradient, 0) - softmax) / 1e-6
    found = evaluate(f"softmaxMotion({softmax.tolist()}, {gradient.tolist()})")
    np.testing.assert_allclose(found, moved, atol=1e-5)


def test_the_prediction_knows_the_shifted_labels_and_errs_by_its_seed(evaluate: Evaluate) -> None:
    scene = DRAWINGS["three classes"]
    settings = {"confidence": 2.5, "down": 2, "right": -3, "noise": 0, "seed": 4}
    noisy = {**settings, "confidence": 0, "noise": 1.5}
    clean, first, again, other = evaluate(
        f"((drawing) => [{json.dumps(settings)}, {json.dumps(noisy)}, {json.dumps(noisy)},"
        f" {json.dumps({**noisy, 'seed': 5})}].map((one) => logitsOf(drawing, one)))({scene.plain})"
    )
    labels = np.pad(scene.labels[0].numpy(), 5, "edge")[3:-7, 8:-2]
    expected = 2.5 * (labels == np.arange(3)[:, None, None])
    np.testing.assert_array_equal(np.reshape(clean, expected.shape), expected)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    noise = np.reshape(first, (3, -1))
    np.testing.assert_allclose(np.sqrt((noise**2).mean(1)), 1.5, rtol=1e-9)
