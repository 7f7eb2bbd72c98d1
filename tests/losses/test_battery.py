"""Properties of every loss that can be selected: the files of conf/loss are the registry."""

from pathlib import Path

import hydra.utils
import pytest
import torch
from monai.data import MetaTensor
from omegaconf import OmegaConf
from registered import LOSSES
from torch import Tensor

from rwseg.losses import SegmentationLoss, loss_at_perfect, perfect_logits
from rwseg.losses.battery import ROWS, check_row
from rwseg.maps import MAP_NAMES, RectifiedMap, compact, region_map

FILES = LOSSES
SHAPES = {"2d": (3, 9, 14), "3d": (2, 4, 6, 9)}
K = 4

NOT_MINIMAL = {"active_contour": "contours have a price: a speck is cheaper to leave out"}
"""Losses of which a perfect prediction is the minimum over random ones, but not over its neighbours."""

NOT_PASSED = {
    "dice": {"absent class"},  # it scores 0 whatever is predicted, so that only the other classes push
    "lovasz": {"absent class"},  # the mean over the classes present
    # An absent class has no distance, so to predict it costs nothing (C1, Prop. 3).
    "rw_hausdorff": {"gradient", "minimum", "one pixel", "direction", "absent class"},
}
"""Rows of `rwseg check-loss` that a loss does not pass, by its definition."""

SLOW = ("torch.compile",)
IN_3D = ("finite", "gradient", "minimum", "one pixel", "direction", "batch")

every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def load(file: Path) -> SegmentationLoss:
    loss = hydra.utils.instantiate(OmegaConf.load(file))
    assert isinstance(loss, SegmentationLoss)
    return loss


def make(shape: tuple[int, ...], filling: int | None = None) -> tuple[Tensor, Tensor]:
    """Random logits, and boxes of classes 1 and 2 in the background, or one class; class 3 is absent."""
    logits = 2 * torch.randn(shape[0], K, *shape[1:], generator=torch.Generator().manual_seed(2))
    labels = torch.full(shape, filling or 0)
    if filling is None:
        labels[(slice(0, 2), *(slice(1, n - 1) for n in shape[1:]))] = 1
        labels[(0, *(slice(2, n // 2 + 1) for n in shape[1:]))] = 2
    return logits, labels


@every_file
@pytest.mark.parametrize("row", [row for row in ROWS if row not in SLOW])
def test_rows_of_the_battery(file: Path, row: str) -> None:
    finding = check_row(row, load(file), K)
    assert (finding.verdict == "pass") == (row not in NOT_PASSED.get(file.stem, ())), finding


@every_file
@pytest.mark.parametrize("row", IN_3D)
def test_rows_of_the_battery_in_3d(file: Path, row: str) -> None:
    finding = ROWS[row](load(file), K, SHAPES["3d"])
    assert (finding.verdict == "pass") == (row not in NOT_PASSED.get(file.stem, ())), finding


@every_file
@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 2, 3, 4)], ids=["2d", "3d"])
def test_gradient_is_that_of_finite_differences(file: Path, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(0, 3, shape, generator=generator)
    labels[-1, :, 0] = 0
    logits = torch.randn(
        shape[0], K, *shape[1:], generator=generator, dtype=torch.float64, requires_grad=True
    )
    loss = load(file)
    assert loss(logits, labels).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), logits, eps=1e-6, atol=1e-6, rtol=1e-4)


def test_exceptions_to_the_minimum_are_selectable_and_real() -> None:
    files = {file.stem: file for file in FILES}
    labels = torch.zeros(1, 12, 17, dtype=torch.long)
    nothing = perfect_logits(labels, K)
    labels[0, 5, 8] = 1
    for name in NOT_MINIMAL:
        loss = load(files[name])
        assert loss(nothing, labels) < loss_at_perfect(loss, labels, K)


@every_file
@every_shape
def test_a_given_map_is_the_one_computed_online(file: Path, shape: tuple[int, ...]) -> None:
    logits, labels = make(shape)
    loss = load(file)
    if loss.map_name is None:
        anything = torch.full_like(logits, float("nan"))
        assert torch.equal(loss(logits, labels, anything), loss(logits, labels))
        assert not loss.rectified
        return
    assert loss.map_name in MAP_NAMES
    dense = region_map(loss.map_name, labels, K)
    torch.testing.assert_close(loss(logits, labels, dense), loss(logits, labels))
    if loss.rectified:
        torch.testing.assert_close(loss(logits, labels, compact(dense, labels)), loss(logits, labels))
        # A map precomputed from a cache must be used, not computed again.
        other = RectifiedMap(torch.zeros_like(dense[:, 0]), torch.full_like(dense[:, 0], K))
        assert loss(logits, labels, other) != loss(logits, labels)


@every_file
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_computed_in_single_precision(file: Path, dtype: torch.dtype) -> None:
    logits, labels = make(SHAPES["2d"])
    half = (20 * logits).to(dtype).requires_grad_()
    value = load(file)(half, labels)
    assert value.dtype == torch.float32
    single = half.detach().float().requires_grad_()
    expected = load(file)(single, labels)
    torch.testing.assert_close(value, expected)
    (gradient,), (exact,) = (torch.autograd.grad(x, y) for x, y in ((value, half), (expected, single)))
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient, exact.to(dtype))


@every_file
def test_bfloat16_and_autocast_stay_within_2_percent(file: Path) -> None:
    logits, labels = make((3, 40, 62))
    logits.requires_grad_()
    loss = load(file)
    # Distance from the minimum, because the value of a region-wise loss may lie anywhere around 0.
    best = loss_at_perfect(loss, labels, K)
    gap = loss(logits, labels) - best
    with torch.autocast("cpu", torch.bfloat16):
        cast = loss(logits, labels) - best
        half = loss(logits.bfloat16(), labels) - best
    assert cast.dtype == half.dtype == torch.float32
    torch.testing.assert_close(cast, gap)
    torch.testing.assert_close(half, gap, rtol=0.02, atol=0)
    (under_autocast,), (plain,) = (torch.autograd.grad(value, logits) for value in (cast, gap))
    torch.testing.assert_close(under_autocast, plain)


@every_file
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_integer_types_of_labels_agree(file: Path, dtype: torch.dtype) -> None:
    logits, labels = make(SHAPES["2d"])
    assert torch.equal(load(file)(logits, labels.to(dtype)), load(file)(logits, labels))


@every_file
@every_shape
def test_whole_numbers_of_a_floating_type_and_a_channel_axis_agree(
    file: Path, shape: tuple[int, ...]
) -> None:
    logits, labels = make(shape)
    loss = load(file)
    expected = loss(logits, labels)
    for given in (labels.float(), labels[:, None], labels[:, None].double(), labels[:, None].to(torch.uint8)):
        assert torch.equal(loss(logits, given), expected)


@every_file
def test_wrong_shapes_are_refused(file: Path) -> None:
    logits, labels = make(SHAPES["2d"])
    with pytest.raises(ValueError, match=r"expected logits \(B, K, \*S\) and labels \(B, \*S\)"):
        load(file)(logits, labels.transpose(1, 2))
    with pytest.raises(
        ValueError, match=r"labels: expected class indices, whole numbers, got 0\.5 among torch"
    ):
        load(file)(logits, labels + 0.5)
    with pytest.raises(ValueError, match=r"labels: expected class indices, whole numbers, got torch.bool"):
        load(file)(logits, labels > 0)
    with pytest.raises(ValueError, match="expected at least 2 channels"):
        load(file)(logits[:, :1], 0 * labels)


@every_file
def test_a_label_that_is_no_class_is_refused(file: Path) -> None:
    logits, labels = make(SHAPES["2d"])
    loss = load(file)
    precomputed = region_map(loss.map_name or "rrw", labels, K)
    for value in (-100, -1, K, 255):
        labels[0, 0, 0] = value
        for given in (None, precomputed):
            with pytest.raises(ValueError, match=r"labels: expected values in \[0, 4\), got values in"):
                loss(logits, labels, given)


@every_file
def test_tensors_of_monai_give_the_same_value_and_gradient(file: Path) -> None:
    logits, labels = make(SHAPES["2d"])
    loss = load(file)
    results = []
    for x, y in ((logits, labels), (MetaTensor(logits), MetaTensor(labels.float()[:, None])[:, 0].long())):
        value = loss(x.requires_grad_(), y)
        results.append((value.item(), torch.as_tensor(torch.autograd.grad(value, x)[0])))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    assert torch.equal(results[0][1], results[1][1])


@every_file
def test_file_starts_with_what_it_is_and_names_its_target_first(file: Path) -> None:
    comment, target, *options = file.read_text().splitlines()
    assert comment.startswith("# ")
    assert target.startswith("_target_: rwseg.losses.")
    assert len(options) <= 5


@every_file
def test_docstring_starts_with_one_line_and_names_a_year(file: Path) -> None:
    lines = (type(load(file)).__doc__ or "").splitlines()
    assert lines[0].endswith(".")
    assert not any(lines[1:2])
    assert "20" in file.read_text().splitlines()[0]


@every_file
@pytest.mark.cuda
def test_value_on_a_gpu_equals_that_on_the_cpu(file: Path) -> None:
    logits, labels = make(SHAPES["2d"])
    torch.testing.assert_close(load(file)(logits.cuda(), labels.cuda()).cpu(), load(file)(logits, labels))


@every_file
@pytest.mark.cuda
def test_a_loss_with_its_map_at_hand_never_waits_for_the_gpu(file: Path) -> None:
    if file.stem in ("hausdorff", "log_hausdorff"):
        pytest.skip("measures the distances of the prediction, new at every step")
    logits, labels = (tensor.cuda() for tensor in make(SHAPES["2d"]))
    logits.requires_grad_()
    loss = load(file)
    dense = None if loss.map_name is None else region_map(loss.map_name, labels, K)
    given = compact(dense, labels) if dense is not None and loss.rectified else dense
    loss(logits, labels, given)
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss(logits, labels, given).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
