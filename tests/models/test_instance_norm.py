"""Instance norm against `torch.nn.InstanceNorm2d`: results, gradients, precision, memory formats, names."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rwseg.models.instance_norm import InstanceNorm

SHAPES = [(3, 5, 12, 20), (1, 8, 7, 3), (2, 1, 6, 5), (4, 16, 1, 2), (2, 33, 9, 1)]


def pair(channels: int, dtype: torch.dtype = torch.float32) -> tuple[InstanceNorm, nn.InstanceNorm2d]:
    """Ours and PyTorch's, with the same weights, which are neither 1 nor 0."""
    torch.manual_seed(channels)
    own, reference = InstanceNorm(channels), nn.InstanceNorm2d(channels, affine=True)
    reference.load_state_dict({name: torch.randn_like(value) for name, value in own.state_dict().items()})
    own.load_state_dict(reference.state_dict())
    return own.to(dtype), reference.to(dtype)


def images(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    """Channels-last images far from mean 0 and deviation 1, each channel at its own scale."""
    generator = torch.Generator().manual_seed(sum(shape))
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    x = (
        x * torch.linspace(0.1, 9, shape[1])[:, None, None]
        + torch.linspace(-20, 30, shape[0])[:, None, None, None]
    )
    return x.to(dtype).to(memory_format=torch.channels_last)


def outcome(norm: nn.Module, x: Tensor) -> list[Tensor]:
    """Result, and gradients of image, scale and shift."""
    leaf = x.detach().requires_grad_()
    result = norm(leaf)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = torch.autograd.grad(result, [leaf, *norm.parameters()], weights.to(result.dtype))
    return [result.detach(), *gradients]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_result_and_gradients_are_those_of_pytorchs_layer(shape: tuple[int, ...], training: bool) -> None:
    own, reference = (norm.train(training) for norm in pair(shape[1], torch.float64))
    x = images(shape, torch.float64)
    for got, expected in zip(outcome(own, x), outcome(reference, x), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [*SHAPES, (1, 3, 256, 224)])
def test_single_precision_is_exact_to_rounding(shape: tuple[int, ...]) -> None:
    """Of images as convolutions give them: their mean is no hundreds of deviations away from 0."""
    own, _ = pair(shape[1])
    x = (torch.randn(shape) + 0.5).contiguous(memory_format=torch.channels_last)
    exact = outcome(pair(shape[1], torch.float64)[1], x.double())
    for got, expected in zip(outcome(own, x), exact, strict=True):
        assert (got - expected).abs().max() <= 2e-5 * expected.abs().max()


def test_gradients_are_those_of_finite_differences() -> None:
    own, _ = pair(3, torch.float64)
    x = images((2, 3, 4, 3), torch.float64).requires_grad_()
    weight, bias = own.weight.detach().requires_grad_(), own.bias.detach().requires_grad_()

    def normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        return torch.func.functional_call(own, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(normed, (x, weight, bias))


def test_a_constant_channel_gives_the_shift() -> None:
    own, _ = pair(4)
    x = images((2, 4, 6, 5))
    x[:, 2] = 7.0
    result = own(x)
    torch.testing.assert_close(result[:, 2], own.bias[2].expand(2, 6, 5), rtol=0, atol=1e-3)


def test_each_image_is_normed_by_itself() -> None:
    own, _ = pair(6)
    x = images((3, 6, 8, 10))
    alone = torch.cat([own(image[None].contiguous(memory_format=torch.channels_last)) for image in x])
    assert torch.equal(own(x), alone)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_memory_format_stays(layout: Any) -> None:
    own, _ = pair(6)
    x = images((2, 6, 8, 10)).contiguous(memory_format=layout).requires_grad_()
    result = own(x)
    assert result.is_contiguous(memory_format=layout)
    (gradient,) = torch.autograd.grad(result.square().sum(), x)
    assert gradient.is_contiguous(memory_format=layout)


def test_a_gradient_of_another_memory_format_is_the_same_gradient() -> None:
    own, _ = pair(6)
    x = images((2, 6, 8, 10)).requires_grad_()
    incoming = torch.randn(x.shape)
    one, other = (
        torch.autograd.grad(own(x), x, incoming.contiguous(memory_format=layout))[0]
        for layout in (torch.channels_last, torch.contiguous_format)
    )
    assert torch.equal(one, other)


def test_channels_last_images_are_never_copied_to_another_format() -> None:
    """The optimisation itself: no operator but those of the norm touches an image."""
    own, _ = pair(6)
    x = images((2, 6, 8, 10)).requires_grad_()
    incoming = images((2, 6, 8, 10))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        own(x).backward(incoming)
    names = {event.key for event in profile.key_averages()}
    assert "aten::native_batch_norm" in names
    assert not names & {"aten::contiguous", "aten::clone"}


def test_low_precision_is_normed_in_full_precision_and_handed_on_in_low() -> None:
    own, reference = pair(6)
    x = images((2, 6, 16, 12), torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, expected = outcome(own, x), outcome(reference, x)
    assert [part.dtype for part in got] == [part.dtype for part in expected]
    for one, other in zip(got, expected, strict=True):
        assert (one.double() - other.double()).abs().max() <= 2**-6 * other.double().abs().max()


def test_names_and_shapes_are_those_of_pytorchs_layer() -> None:
    own, reference = InstanceNorm(5), nn.InstanceNorm2d(5, affine=True)
    for (name, got), (other, expected) in zip(
        own.state_dict().items(), reference.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(got, expected)


def test_gradients_of_gradients_are_refused() -> None:
    own, _ = pair(3)
    x = images((1, 3, 4, 5)).requires_grad_()
    (gradient,) = torch.autograd.grad(own(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("shape", [(2, 4, 8, 8), (2, 3, 1, 1), (3, 8, 8)])
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected shape \(B, 3, H, W\) of more than a pixel, got"):
        InstanceNorm(3)(torch.zeros(shape))
