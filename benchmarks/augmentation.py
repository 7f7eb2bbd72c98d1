"""Training batches with nnU-Net's augmentation, whole batches against MONAI's transforms sample by sample.

    python -m benchmarks.augmentation [--rounds 15] [--threads 1] [override ...]
    for example: python -m benchmarks.augmentation dataset=acdc dataset.root=../shared/data/acdc

Both sides draw slices and boxes of the configuration's dataset from memory and return image, labels and the
two channels of the RRW map, with the same steps, probabilities and ranges. Where MONAI offers a choice it
gets the faster one: no metadata, bicubic convolution for the splines, nearest labels, one process. Without an
override it is the phantom.
"""

from collections.abc import Callable, Sequence
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
from rwseg.assembly import build_data, planned, prepared_data
from rwseg.cli import compose
from rwseg.config import check
from rwseg.data.augment import loader_size
from rwseg.data.augment_settings import AugmentConfig
from rwseg.data.bank import SliceBank
from rwseg.data.module import SliceDataModule

CPU = torch.device("cpu")
KEYS = ("image", "label", "map")
BASELINE = "MONAI, sample by sample"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser("Training batches with nnU-Net's augmentation against MONAI's transforms.")
    options.add_argument("overrides", nargs="*")
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    cfg = check(compose("train", ["augment=nnunet", "loss=rrw", *given.overrides])[0])
    prepared = prepared_data(cfg)
    data = build_data(planned(cfg, prepared), prepared)
    data.prepare_data()
    works: dict[str, Work] = {BASELINE: monai_batches(data)}
    devices = [CPU, torch.device("cuda")] if torch.cuda.is_available() else [CPU]
    for device in devices:
        works[f"rwseg, whole batches, {device.type}"] = own_batches(data, device)
    rows = paired(works, BASELINE, given.rounds)
    shape = "x".join(str(size) for size in (data.batch_size, *data.patch_size))
    report({f"{cfg.dataset.name}, batches of {shape}": rows}, given.threads, given.json)
    for row in rows:
        print(f"  {row['name']:<36} {1e3 * data.batch_size / row['ms']:9.0f} images per second")


def own_batches(data: SliceDataModule, device: torch.device) -> Callable[[], object]:
    steps = count()
    data.training_batch(0, device)  # reads the arrays
    bank = data.bank
    data.bank = None

    def work() -> object:
        data.bank = bank
        return data.training_batch(next(steps), device)

    return work


def monai_batches(data: SliceDataModule) -> Callable[[], object]:
    """The same batches: the last samples are forced to show foreground."""
    set_track_meta(False)
    data.training_batch(0, CPU)
    assert data.bank is not None
    samples = slices_of(data.bank)
    data.bank = None
    generator = np.random.default_rng(0)
    free, forced = (transforms(data.augment, data.patch_size, force) for force in (False, True))

    def work() -> Any:
        chosen = generator.integers(len(samples), size=data.batch_size)
        made = []
        for number, force in zip(chosen, data.forced, strict=True):
            result = (forced if force else free)(samples[number])
            made.append(result[0] if isinstance(result, list) else result)
        return list_data_collate(made)

    return work


def slices_of(bank: SliceBank) -> list[dict[str, Tensor]]:
    """All slices with their labels and maps, as a cache in memory would hold them."""
    samples = []
    for offset, height, width in bank.geometry.T.tolist():
        here = slice(offset, offset + height * width)
        inside = bank.map_channels[:1, here] if bank.map_channels is not None else None
        assert inside is not None
        region_map = torch.cat([inside, torch.ones_like(inside)])
        parts = (bank.image[:, here], bank.labels[None, here], region_map)
        named = zip(KEYS, parts, strict=True)
        samples.append({key: part.reshape(len(part), height, width).clone() for key, part in named})
    return samples


def transforms(augment: AugmentConfig, patch: tuple[int, int], forced: bool) -> Compose:
    spatial, intensity = augment.spatial, augment.intensity
    assert spatial is not None
    assert intensity is not None
    loader = loader_size(spatial, patch)
    crop = (
        RandCropByPosNegLabeld(KEYS, label_key="label", spatial_size=loader, pos=1, neg=0, num_samples=1)
        if forced
        else RandSpatialCropd(KEYS, roi_size=loader, random_size=False)
    )
    affine: dict[str, Any] = {"mode": ("bicubic", "nearest", "bilinear"), "padding_mode": "zeros"}
    low, high = spatial.factor
    gamma = {"gamma": intensity.gamma_exponent, "retain_stats": True}
    sigma = intensity.blur_sigma
    return Compose(
        [
            SpatialPadd(KEYS, loader),
            crop,
            RandAffined(KEYS, prob=spatial.rotate, rotate_range=np.deg2rad(spatial.degrees), **affine),
            RandAffined(
                KEYS, patch, prob=spatial.scale, scale_range=((low - 1, high - 1),) * 2, **affine
            ),
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
