"""Training batches with nnU-Net's augmentation: whole batches against MONAI's transforms sample by sample.

    python -m benchmarks.augmentation [override ...]

Both sides draw slices and boxes of the configuration's dataset (by default ACDC where RWSEG_DATA is set, else
the phantom) from memory and return image, labels and the two channels of the RRW map, by the same steps,
probabilities and ranges. MONAI runs twice: with the cubic splines that nnU-Net and we use, and with bicubic
convolution, which is another interpolation, and a faster one. It warps labels to the nearest, which is less
than the linear interpolation per class here, keeps no metadata, and needs no other process.
"""

import os
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import torch
from monai.data.meta_obj import set_track_meta
from monai.data.utils import list_data_collate
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandSimulateLowResolutiond,
    RandSpatialCropd,
    SpatialPadd,
)
from torch import Tensor

from benchmarks.timing import Work, paired, parser, report
from rwseg.data.augmentation.batches import loader_size
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.data.datamodule import SliceDataModule
from rwseg.data.sampling.patches import Size
from rwseg.data.training_slices import DeviceSlices
from rwseg.experiments.build import build_data
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepare_run

CPU = torch.device("cpu")
KEYS = ("image", "label", "map")
SPLINES = "MONAI, splines"
CONVOLUTION = "MONAI, bicubic convolution"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser("Training batches with nnU-Net's augmentation against MONAI's transforms.")
    options.set_defaults(threads=2)
    options.add_argument("overrides", nargs="*")
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    overrides = given.overrides or (["dataset=acdc"] if os.environ.get("RWSEG_DATA") else [])
    cfg = check(compose("train", ["augment=nnunet", "loss=rrw", *overrides])[0])
    run = prepare_run(cfg)
    data = build_data(run)
    data.prepare_data()
    works: dict[str, Work] = {"rwseg": own_batches(build_data(run), torch.device(given.device))}
    data.training_batch(0, CPU)  # reads the arrays
    works |= {SPLINES: monai_batches(data, 3), CONVOLUTION: monai_batches(data, "bicubic")}
    rows = paired(works, SPLINES, given.rounds)
    shape = " x ".join(str(size) for size in (data.batch_size, *data.patch_size))
    report({"training batch": rows}, given.threads, given.json, f"{cfg.dataset.name}, batches of {shape}")


def own_batches(data: SliceDataModule, device: torch.device) -> Work:
    steps = count()
    return lambda: data.training_batch(next(steps), device)


def monai_batches(data: SliceDataModule, spline: int | str) -> Work:
    """The same batches: the last samples are oversampled to show foreground."""
    set_track_meta(False)
    samples = slices_of(data)
    everything = np.arange(len(samples))
    with_foreground = [number for number, sample in enumerate(samples) if sample["label"].any()]
    generator = np.random.default_rng(0)
    free, oversampled = (transforms(data.augment, data.patch_size, force, spline) for force in (False, True))

    def work() -> Any:
        made = []
        for force in data.oversampled:
            number = generator.choice(with_foreground if force else everything)
            result = (oversampled if force else free)(samples[number])
            made.append(result[0] if isinstance(result, list) else result)
        return list_data_collate(made)

    return work


def slices_of(data: SliceDataModule) -> list[dict[str, Tensor]]:
    """All slices with their labels and maps, as a cache in memory would hold them."""
    assert isinstance(data.slices, DeviceSlices)
    flat, samples = data.slices.cache.flat, []
    for number, (offset, height, width, _) in enumerate(flat.geometry.T.tolist()):
        here = slice(offset, offset + height * width)
        image = flat.image[:, here]
        if flat.scales is not None:  # of codes
            step, zero = flat.scales[:, :, number, None]
            image = (image - zero) * step
        assert flat.map_channels is not None
        inside = flat.map_channels[:1, here]
        region_map = torch.cat([inside, torch.ones_like(inside)])
        parts = (image, flat.labels[None, here], region_map)
        named = zip(KEYS, parts, strict=True)
        samples.append({key: part.reshape(len(part), height, width).clone() for key, part in named})
    return samples


def transforms(augment: AugmentConfig, patch: Size, oversampled: bool, spline: int | str) -> Compose:
    """nnU-Net's steps. What nnU-Net draws per channel happens to all channels, with the same probability."""
    spatial, intensity = augment.spatial, augment.intensity
    assert spatial is not None
    assert intensity is not None
    loader = loader_size(spatial, patch)
    crop = (
        RandCropByPosNegLabeld(KEYS, label_key="label", spatial_size=loader, pos=1, neg=0, num_samples=1)
        if oversampled
        else RandSpatialCropd(KEYS, roi_size=loader, random_size=False)
    )
    affine: dict[str, Any] = {"mode": (spline, "nearest", "bilinear"), "padding_mode": "zeros"}
    low, high = spatial.factor
    gamma: dict[str, Any] = {"gamma": intensity.gamma_exponent, "retain_stats": True}
    sigma = intensity.blur_sigma
    return Compose(
        [
            SpatialPadd(KEYS, loader),
            crop,
            RandAffined(KEYS, prob=spatial.rotate, rotate_range=np.deg2rad(spatial.degrees), **affine),
            RandAffined(KEYS, patch, prob=spatial.scale, scale_range=((low - 1, high - 1),) * 2, **affine),
            RandGaussianNoised("image", prob=intensity.noise, std=intensity.noise_std[1]),
            RandGaussianSmoothd("image", sigma, sigma, prob=intensity.blur * intensity.blur_channel),
            RandScaleIntensityd("image", factors=0.25, prob=intensity.brightness),
            RandScaleIntensityFixedMeand("image", factors=0.25, prob=intensity.contrast, preserve_range=True),
            RandSimulateLowResolutiond(
                "image",
                prob=intensity.low_resolution * intensity.low_resolution_channel,
                zoom_range=intensity.low_resolution_zoom,
                downsample_mode="nearest",
                upsample_mode="bicubic",
            ),
            RandAdjustContrastd("image", prob=intensity.inverted_gamma, invert_image=True, **gamma),
            RandAdjustContrastd("image", prob=intensity.gamma, **gamma),
            RandFlipd(KEYS, prob=0.5, spatial_axis=0),
            RandFlipd(KEYS, prob=0.5, spatial_axis=1),
        ]
    )


if __name__ == "__main__":
    main()
