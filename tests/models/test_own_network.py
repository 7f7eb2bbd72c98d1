"""Networks that know nothing of rwseg: what comes of them, and what is said of those that do not fit."""

import re
from collections.abc import Callable
from typing import Any

import mine
import pytest
import torch
from monai.networks.nets import DynUNet, SegResNet
from torch import Tensor, nn

from rwseg.core.errors import ConfigError
from rwseg.models.own_network import OwnNetwork, check_network, materialise


class Made(nn.Module):
    """A convolution, and what `change` makes of its logits."""

    def __init__(self, change: Callable[[Tensor], Any], channels: int = 4) -> None:
        super().__init__()
        self.conv, self.change = nn.Conv2d(1, channels, 1), change

    def forward(self, images: Tensor) -> Any:
        return self.change(self.conv(images))


def check(module: nn.Module, size: tuple[int, int] = (16, 24)) -> None:
    check_network(OwnNetwork(module), 1, 4, size, 2)


def test_a_tensor_a_list_and_monais_stack_are_lists_full_resolution_first() -> None:
    images = torch.rand(2, 1, 64, 96)
    plain, deep = mine.Net(1, 4), mine.Deep(1, 4)
    stack = DynUNet(
        2, 1, 4, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[4] * 4, deep_supervision=True, deep_supr_num=2
    )
    for module, shapes in (
        (plain, [(64, 96)]),
        (deep, [(64, 96), (32, 48)]),
        (stack, [(64, 96)] * 3),
    ):
        network = OwnNetwork(module)
        assert [tuple(logits.shape) for logits in network(images)] == [(2, 4, *shape) for shape in shapes]
        network.eval()
        (logits,) = network(images)
        given = module(images)
        assert torch.equal(logits, given[0] if isinstance(given, list) else given)


@pytest.mark.parametrize("module", [mine.Net(1, 4), mine.Deep(1, 4), SegResNet(2, 8, 1, 4)])
def test_the_check_leaves_no_trace(module: nn.Module) -> None:
    network = OwnNetwork(module)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    check_network(network, 1, 4, (16, 24), 2)
    assert torch.equal(torch.rand(3), expected)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Made(lambda x: x[:, :3]), "returned [[2, 3, 16, 24]]: expected logits (B, 4, 16, 24), or a list"),
        (Made(lambda x: x[..., 1:, :]), "returned [[2, 4, 15, 24]]: expected logits (B, 4, 16, 24)"),
        (Made(lambda x: [x[..., ::2, ::2], x]), "the first of the images' size"),
        (Made(lambda x: [x, x[..., :9, :]]), "whose sizes divide the images'"),
        (Made(lambda x: x / 0), "returned NaN or infinite logits for random images"),
        (Made(lambda x: {"out": x}), "returned ['dict']: expected logits"),
        (Made(lambda x: x.mean()), "returned"),
        (Made(lambda x: x.argmax(1)), "returned [[2, 16, 24]]: expected logits"),
        (nn.Conv2d(3, 4, 1), "Conv2d refused patches of [16, 24] with 1 channel(s): RuntimeError: "),
    ],
)  # fmt: skip
def test_what_is_no_segmentation_is_refused_in_a_sentence(module: nn.Module, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^model: .*{re.escape(message)}"):
        check(module)


@pytest.mark.parametrize(
    ("module", "size", "fits"),
    [
        (mine.Deep(1, 4), (15, 24), "[16,24]"),
        (SegResNet(2, 8, 1, 4), (12, 16), "[16,16]"),
        (DynUNet(2, 1, 4, [3] * 6, [1, *[2] * 5], [2] * 5, filters=[4] * 6), (40, 56), "[64,64]"),
    ],
)
def test_a_size_that_is_refused_is_told_with_one_that_is_taken(
    module: nn.Module, size: tuple[int, int], fits: str
) -> None:
    with pytest.raises(
        ConfigError, match=re.escape(f"refused patches of {list(size)} with 1 channel(s): ")
    ) as caught:
        check(module, size)
    assert str(caught.value).endswith(f"; it takes {fits}: give dataset.patch_size={fits}")
    check(module, tuple(map(int, fits[1:-1].split(","))))  # type: ignore[arg-type]


def test_what_an_own_network_raised_is_told_with_its_line() -> None:
    class Faulty(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise KeyError("no such thing")

    with pytest.raises(ConfigError, match=r"KeyError: 'no such thing' \(test_own_network.py, line \d+\)$"):
        check(Faulty())


def test_lazy_layers_get_their_weights_before_the_optimizer_sees_them() -> None:
    network = OwnNetwork(nn.Sequential(nn.LazyConv2d(4, 1), nn.LazyBatchNorm2d()))
    materialise(network, 3, (8, 12))
    assert [tuple(weight.shape) for weight in network.parameters()] == [(4, 3, 1, 1), (4,), (4,), (4,)]
    assert network.training
    norm = network.module[1]  # type: ignore[index]
    assert torch.equal(norm.running_mean, torch.zeros(4))
