"""Whole volumes through one network: `rwseg` against MONAI's sliding window.

    python -m benchmarks.inference [--rounds 15] [--threads 1]

A volume of 10 slices of 108x128 pixels through the laptop-size network in windows of 64x64, and one of 10
slices of 256x224 in windows of the same size through the paper's; to a label map on a native grid of twice
the resolution of the first, of 1.2 times that of the second. Both sides take softmax, Gaussian weights,
windows at most half a patch apart (as many), bilinear interpolation and the largest class. MONAI gets the
network as nnU-Net has it, with PyTorch's instance norm. `x` is how many times faster than MONAI.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn

from benchmarks.timing import Work, paired, parser, report
from rwseg.models.inference.sliding_window import most_probable, predict_slices, to_native, window_weights
from rwseg.models.inference.whole_volumes import WINDOW_BATCH
from rwseg.models.instance_norm import InstanceNorm
from rwseg.models.unet import UNet

SMALL: dict[str, Any] = {"features": 12, "pools": [(2, 2)] * 3}
PAPER: dict[str, Any] = {"features": 32, "pools": [(2, 2)] * 5 + [(2, 1)]}
MONAI = "MONAI, sliding_window_inference"
WITH_OUR_NORM = "MONAI, network of rwseg"


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser(__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(given.threads)
    tables: dict[str, list[dict[str, Any]]] = {}
    device = torch.device(given.device)
    for name, network, size, patch, native in (
        ("small", SMALL, (108, 128), (64, 64), (216, 256)),
        ("paper", PAPER, (256, 224), (256, 224), (308, 268)),
    ):
        found = works(network, size, patch, native, device)
        tables[f"{name} network, a volume on {device.type}"] = paired(found, MONAI, given.rounds)
    report(tables, given.threads, given.json)


def works(
    network: dict[str, Any],
    size: tuple[int, int],
    patch: tuple[int, int],
    native: tuple[int, int],
    device: torch.device,
) -> dict[str, Work]:
    torch.manual_seed(0)
    shape = {"max_features": 480, "convs_per_stage": 2, "norm": "instance", "deep_supervision": True}
    own, plain = (UNet(1, 4, **network, **shape).eval().to(device) for _ in range(2))
    with_pytorchs_norm(plain)
    plain.load_state_dict(own.state_dict())
    nn.utils.convert_conv2d_weight_memory_format(own, torch.channels_last)
    image = torch.randn(1, 10, *size, device=device)
    crop = ((0, 10), (0, native[0]), (0, native[1]))

    def ours() -> Any:
        slices = predict_slices(own, image, patch, False, WINDOW_BATCH)
        return most_probable([to_native(slices, (10, *native), crop)])

    def monais(network: nn.Module) -> Work:
        @torch.inference_mode()
        def work() -> Any:
            slices = sliding_window_inference(
                image.transpose(0, 1),
                roi_size=patch,
                sw_batch_size=WINDOW_BATCH,
                predictor=lambda windows: network(windows)[0].softmax(1),
                overlap=0.5,
                roi_weight_map=window_weights(patch).to(device),
            )
            assert isinstance(slices, Tensor)
            grid = F.interpolate(slices, size=native, mode="bilinear", align_corners=False)
            return grid.argmax(1).to(torch.uint8).cpu().numpy()

        return work

    return {"rwseg": ours, WITH_OUR_NORM: monais(own), MONAI: monais(plain)}


def with_pytorchs_norm(network: nn.Module) -> None:
    """Put `torch.nn.InstanceNorm2d` where `rwseg` has its own."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, InstanceNorm):
                setattr(module, name, nn.InstanceNorm2d(len(child.weight), child.eps, affine=True))


if __name__ == "__main__":
    main()
