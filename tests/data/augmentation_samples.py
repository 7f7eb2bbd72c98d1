"""Settings and data for the tests of augmentation."""

from dataclasses import fields, replace

from small_dataset import UNLABELLED, Scan, small_scans

from rwseg.data.augmentation.config import AugmentConfig, IntensitySettings, SpatialSettings

SPATIAL = SpatialSettings(rotate=0.2, degrees=180.0, scale=0.2, factor=(0.7, 1.4), loader_margin=0.85)
INTENSITY = IntensitySettings(
    noise=0.1,
    noise_std=(0.0, 0.1),
    blur=0.2,
    blur_channel=0.5,
    blur_sigma=(0.5, 1.0),
    brightness=0.15,
    brightness_factor=(0.75, 1.25),
    contrast=0.15,
    contrast_factor=(0.75, 1.25),
    low_resolution=0.25,
    low_resolution_channel=0.5,
    low_resolution_zoom=(0.5, 1.0),
    inverted_gamma=0.1,
    gamma=0.3,
    gamma_exponent=(0.7, 1.5),
)
NNUNET = AugmentConfig(flips=True, spatial=SPATIAL, intensity=INTENSITY)
"""What conf/augment/nnunet.yaml holds."""

FLIPS = AugmentConfig(flips=True, spatial=None, intensity=None)


def with_probability(value: float) -> AugmentConfig:
    """nnU-Net's settings, but every step happens with this probability."""
    spatial = replace(SPATIAL, rotate=value, scale=value)
    names = [
        field.name for field in fields(IntensitySettings) if isinstance(getattr(INTENSITY, field.name), float)
    ]
    return AugmentConfig(True, spatial, replace(INTENSITY, **dict.fromkeys(names, value)))


def scans_with_gaps() -> list[Scan]:
    """The small dataset, with columns that nobody labelled and, around them, background without a signal."""
    scans = []
    for scan in small_scans():
        assert scan.label is not None
        image, label = scan.image.copy(), scan.label.copy()
        label[:, :, 4:6] = UNLABELLED
        image[..., :3, :] = 0
        label[:, :2] = 0
        scans.append(Scan(scan.split, image, label, scan.spacing))
    return scans
