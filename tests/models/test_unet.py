"""The network against a hand count, a functional re-implementation, and its contract of shapes and errors."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from monai.networks.blocks.convolutions import Convolution
from torch import Tensor, nn

from rwseg.models.unet import UNet

ACDC_POOLS = [(2, 2)] * 5 + [(2, 1)]
SMALL: dict[str, Any] = {
    "in_channels": 2,
    "num_classes": 3,
    "features": 4,
    "max_features": 10,
    "pools": [(2, 2), (1, 2), (2, 1)],
    "convs_per_stage": 2,
    "norm": "instance",
    "deep_supervision": True,
}


def small(**changes: Any) -> UNet:
    torch.manual_seed(0)
    return UNet(**(SMALL | changes))


@pytest.fixture(scope="module")
def acdc_net() -> UNet:
    torch.manual_seed(0)
    return UNet(1, 4, 32, 480, ACDC_POOLS, 2, "instance", True)


def test_paper_network_has_the_parameters_of_the_plan(acdc_net: UNet) -> None:
    def block(wide_in: int, wide_out: int) -> int:  # convolution, its bias, the norm's scale and shift
        return 9 * wide_in * wide_out + wide_out + 2 * wide_out

    widths = [32, 64, 128, 256, 480, 480, 480]
    encoder = sum(block(a, b) + block(b, b) for a, b in zip([1, *widths[:-1]], widths, strict=True))
    up = sum(
        h * w * below * width for (h, w), width, below in zip(ACDC_POOLS, widths, widths[1:], strict=False)
    )
    decoder = sum(block(2 * width, width) + block(width, width) for width in widths[:6])
    heads = sum(4 * width for width in widths[:6])
    assert sum(p.numel() for p in acdc_net.parameters()) == encoder + up + decoder + heads


def test_paper_network_has_six_heads_at_their_resolutions(acdc_net: UNet) -> None:
    with torch.no_grad():
        shapes = [tuple(logits.shape) for logits in acdc_net.train()(torch.randn(1, 1, 256, 224))]
    sizes = [(256, 224), (128, 112), (64, 56), (32, 28), (16, 14), (8, 7)]
    assert shapes == [(1, 4, *size) for size in sizes]
    assert acdc_net.strides == (64, 32)


def test_weights_start_as_he_normal(acdc_net: UNet) -> None:
    checked = 0
    for module in acdc_net.modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            continue
        assert module.bias is None or not module.bias.any()
        weight = module.weight.detach()
        if weight.numel() < 5000:
            continue
        expected = math.sqrt(2 / ((1 + 0.01**2) * weight.shape[1] * weight.shape[2] * weight.shape[3]))
        assert weight.std().item() == pytest.approx(expected, rel=0.05)  # 5 sigma at 5000 samples
        assert abs(weight.mean().item()) < 0.08 * expected
        checked += 1
    assert checked >= 28


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_block_is_monais_with_its_names_weights_and_outcome(norm: str) -> None:
    """Checkpoints of version 0.1 were written with MONAI's block."""
    own = small(norm=norm).encoder[1][0]
    block = Convolution(
        spatial_dims=2,
        in_channels=4,
        out_channels=8,
        strides=(2, 2),
        kernel_size=3,
        adn_ordering="NA",
        norm=(norm, {"affine": True, "eps": 1e-5}),
        act=("leakyrelu", {"negative_slope": 0.01, "inplace": True}),
    )
    assert list(own.state_dict()) == list(block.state_dict())
    block.load_state_dict(own.state_dict())
    x = torch.randn(3, 4, 12, 10)
    torch.testing.assert_close(own(x), block(x), rtol=0, atol=0)


def reference_logits(net: UNet, image: Tensor) -> list[Tensor]:
    """The plan's network with plain functions, from the weights by name."""
    weights = net.state_dict()

    def block(x: Tensor, name: str, stride: tuple[int, int]) -> Tensor:
        x = F.conv2d(x, weights[f"{name}.conv.weight"], weights[f"{name}.conv.bias"], stride, padding=1)
        mean = x.mean((2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean((2, 3), keepdim=True)
        scale, shift = (weights[f"{name}.adn.N.{part}"][:, None, None] for part in ("weight", "bias"))
        x = (x - mean) / (variance + 1e-5).sqrt() * scale + shift
        return torch.where(x > 0, x, 0.01 * x)

    skips, x = [], image
    for level, stride in enumerate([(1, 1), *SMALL["pools"]]):
        x = block(block(x, f"encoder.{level}.0", stride), f"encoder.{level}.1", (1, 1))
        skips.append(x)
    logits = []
    for level in (2, 1, 0):
        x = F.conv_transpose2d(x, weights[f"upsamplers.{level}.weight"], stride=SMALL["pools"][level])
        x = torch.cat([x, skips[level]], 1)
        x = block(block(x, f"decoder.{level}.0", (1, 1)), f"decoder.{level}.1", (1, 1))
        logits.append(torch.einsum("bchw,kc->bkhw", x, weights[f"heads.{level}.weight"][:, :, 0, 0]))
    return logits[::-1]


def test_forward_equals_the_plan_written_with_plain_functions() -> None:
    net, image = small(), torch.randn(2, 2, 12, 20)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias") or ".N." in name:
                parameter.add_(torch.randn_like(parameter))  # 0 and 1 at the start would hide a swap
        for got, expected in zip(net(image), reference_logits(net, image), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("convs", [1, 3])
@pytest.mark.parametrize(
    ("training", "deep", "heads"), [(True, True, 3), (True, False, 1), (False, True, 1), (False, False, 1)]
)
def test_heads_and_resolutions(norm: str, convs: int, training: bool, deep: bool, heads: int) -> None:
    net = small(norm=norm, convs_per_stage=convs, deep_supervision=deep).train(training)
    logits = net(torch.randn(2, 2, 8, 12))
    assert [tuple(x.shape) for x in logits] == [(2, 3, 8, 12), (2, 3, 4, 6), (2, 3, 4, 3)][:heads]


def test_instance_norm_makes_a_batch_equal_its_items_in_both_modes() -> None:
    net, images = small(), torch.randn(3, 2, 8, 12)
    alone = torch.cat([net(image[None])[0] for image in images])
    torch.testing.assert_close(net(images)[0], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net.eval()(images)[0], alone, rtol=1e-4, atol=1e-5)


def test_batch_norm_keeps_running_statistics_and_instance_norm_does_not() -> None:
    assert not list(small().buffers())
    net = small(norm="batch")
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    net(torch.randn(4, 2, 8, 12))
    assert before
    assert all(not torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())


@pytest.mark.parametrize("deep", [True, False])
def test_gradient_reaches_every_parameter(deep: bool) -> None:
    net = small(deep_supervision=deep)
    losses = [F.cross_entropy(x, torch.randint(3, (2, *x.shape[2:]))) for x in net(torch.randn(2, 2, 8, 12))]
    torch.autograd.backward(losses)
    gradients = {name: p.grad for name, p in net.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    # A bias before instance norm cancels: its gradient exists and is numerically zero.
    used = {name: gradient for name, gradient in gradients.items() if not name.endswith("conv.bias")}
    assert [name for name, gradient in used.items() if gradient is not None and not gradient.any()] == []


def _graph(result: Tensor) -> set[str]:
    """Names of the operators that gave `result`."""
    found, todo = set(), [result.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in found:
            found.add(node)
            todo += [before for before, _ in node.next_functions]
    return {node.name() for node in found}


def test_channels_last_changes_no_result() -> None:
    net, image = small(), torch.randn(2, 2, 16, 12)
    expected = [x.detach() for x in net(image)]
    nn.utils.convert_conv2d_weight_memory_format(net, torch.channels_last)
    got = net(image.to(memory_format=torch.channels_last))
    assert got[0].is_contiguous(memory_format=torch.channels_last)
    assert any("ImageByImage" in name for name in _graph(got[0]))  # else the formats were not told apart
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_autocast_gives_low_precision_logits_close_to_full_precision() -> None:
    net, image = small().eval(), torch.randn(2, 2, 32, 24)
    expected = net(image)[0].detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = net(image)[0]
    assert logits.dtype == torch.bfloat16
    assert (logits.float() - expected).abs().mean() < 0.05 * expected.std()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": "layer"}, "norm: expected one of .*instance.*batch.*got 'layer'"),
        ({"pools": []}, r"pools: expected a list of .* got \[\]"),
        ({"pools": [(3, 2)]}, r"pools: .* got \[\(3, 2\)\]"),
        ({"pools": [(1, 1)]}, r"pools: .* got \[\(1, 1\)\]"),
        ({"pools": [(2, 2), (2,)]}, r"pools: .* got \[\(2, 2\), \(2,\)\]"),
        ({"max_features": 3}, "max_features: expected at least 4, got 3"),
        ({"features": 0}, "features: expected at least 1, got 0"),
        ({"in_channels": 0}, "in_channels: expected at least 1, got 0"),
        ({"num_classes": 1}, "num_classes: expected at least 2, got 1"),
        ({"convs_per_stage": 0}, "convs_per_stage: expected at least 1, got 0"),
    ],
)
def test_faulty_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 2, 10, 12), r"multiples of \(4, 4\), got \(10, 12\)"),
        ((1, 2, 12, 10), r"multiples of \(4, 4\), got \(12, 10\)"),
        ((1, 3, 8, 8), r"expected shape \(B, 2, H, W\), got \(1, 3, 8, 8\)"),
        ((2, 8, 8), r"expected shape \(B, 2, H, W\), got \(2, 8, 8\)"),
        ((1, 2, 4, 4), r"\(4, 4\) leaves a single pixel in the bottleneck"),
    ],
)
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small()(torch.zeros(shape))


def test_batch_norm_accepts_a_bottleneck_of_one_pixel() -> None:
    assert small(norm="batch")(torch.randn(2, 2, 4, 4))[0].shape == (2, 3, 4, 4)
