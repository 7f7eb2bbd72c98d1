from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rwseg.core.errors import ConfigError, DataError
from rwseg.data.case import Source
from rwseg.data.datasets.acdc import ACDC
from rwseg.data.datasets.phantom import PHANTOM
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.preprocessing.volume import plane_size
from rwseg.models.planner import BUDGET, divisor, memory, plan_for, plan_of, pooling
from rwseg.models.unet import UNet

SIX_FIVE = ((2, 2),) * 5 + ((2, 1),)

# Median shape, spacing, cases, channels, classes; then patch, pools and batch: the plans of the paper's data
# sets, by nnU-Net's rules.
PUBLISHED = {
    "ACDC, half": (((9, 237, 206.5), (1.5625,) * 2, 100, 1, 4), ((256, 224), SIX_FIVE, 38)),
    "ACDC, all": (((9, 237, 208), (1.5625,) * 2, 200, 1, 4), ((256, 224), SIX_FIVE, 57)),
    "BraTS18, half": (((138, 170, 138), (1.0,) * 2, 105, 4, 4), ((192, 160), ((2, 2),) * 5, 107)),
    "BraTS18, uncropped": (((155, 240, 240), (1.0,) * 2, 105, 4, 4), ((256, 256), ((2, 2),) * 6, 49)),
    "KiTS19 at 256": (((42, 256, 256), (0.78,) * 2, 105, 1, 3), ((256, 256), ((2, 2),) * 6, 50)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_plans(name: str) -> None:
    (shape, spacing, *counts), (patch, pools, batch) = PUBLISHED[name]
    plan = plan_for(shape, spacing, *counts)
    assert (plan.patch_size, plan.pools, plan.batch_size) == (patch, pools, batch)
    assert (plan.features, plan.max_features) == (32, 480)
    assert (plan.median_shape, plan.spacing) == (shape, spacing)


def test_what_makes_the_published_58_of_all_of_acdc() -> None:
    """The sixth pooling, of one axis: without it one more sample fits."""
    assert [BUDGET // memory((256, 224), pools, 1, 4) for pools in (SIX_FIVE, SIX_FIVE[:5])] == [57, 58]


@pytest.mark.parametrize(("cases", "batch"), [(100, 38), (150, 57), (149, 57), (1, 2)])
def test_a_batch_shows_at_most_5_percent_of_the_dataset(cases: int, batch: int) -> None:
    """0.05 * 9 * 237 * 206.5 / (256 * 224) = 0.384 samples per case, and at least 2, as nnU-Net has it."""
    assert plan_for((9, 237, 206.5), (1.5625, 1.5625), cases, 1, 4).batch_size == batch


@pytest.mark.parametrize(
    ("size", "spacing", "expected"),
    [
        ((8, 8), (1, 1), ((2, 2),)),
        ((9, 7), (1, 1), ((2, 1),)),
        ((7, 8), (1, 1), ((1, 2),)),
        ((237, 208), (1, 1), SIX_FIVE),  # 237, 119, 60, 30, 15, 8: rounded up, or it would end at 7.4
        ((208, 237), (1, 1), ((2, 2),) * 5 + ((1, 2),)),
        ((64, 64), (1, 2), ((2, 1), (2, 2), (2, 2), (2, 2), (1, 2))),
        ((64, 64), (1, 1.99), ((2, 2),) * 4),
        ((64, 64), (4, 1), ((1, 2), (1, 2), (2, 2), (2, 2), (2, 1))),
        ((64, 9), (1, 4), ((2, 1), (2, 1), (2, 2), (2, 1))),
    ],
)
def test_pooling_by_hand(
    size: tuple[int, int], spacing: tuple[float, float], expected: tuple[tuple[int, int], ...]
) -> None:
    assert pooling(size, spacing) == expected


def test_slices_that_cannot_be_pooled_are_refused() -> None:
    with pytest.raises(DataError, match=r"plan: expected slices of at least 8 pixels .* got \(7, 5\)"):
        plan_for((3, 7, 5), (1, 1), 10, 1, 2)


def test_memory_counts_the_feature_maps_of_the_network() -> None:
    """Two convolutions down and up and one transposed per level, two in the bottleneck, input and softmax."""
    patch, pools = (64, 48), ((2, 2), (2, 1), (1, 2), (2, 2), (2, 2))
    levels = [(64 * 48, 30), (32 * 24, 60), (16 * 24, 120), (16 * 12, 240), (8 * 6, 480), (4 * 3, 512)]
    blocks = [5, 5, 5, 5, 5, 2]
    expected = sum(n * pixels * width for n, (pixels, width) in zip(blocks, levels, strict=True))
    assert memory(patch, pools, 3, 4) == expected + 64 * 48 * (3 + 4)


@pytest.mark.parametrize("shape", [(1, 1536, 2048), (1, 4000, 700), (3, 1100, 1100)])
def test_a_patch_that_two_of_do_not_fit_shrinks_until_they_do(shape: tuple[int, int, int]) -> None:
    plan = plan_for(shape, (1, 1), 1000, 3, 2)
    assert memory(plan.patch_size, plan.pools, 3, 2) * 2 <= BUDGET
    assert plan.batch_size == 2
    sides = np.array(plan.patch_size)
    assert (sides < np.array(shape[1:]) + divisor(plan.pools)).all()
    larger = tuple(int(side) for side in sides + divisor(plan.pools))
    assert memory((larger[0], larger[1]), plan.pools, 3, 2) * 2 > BUDGET, "no larger one fits"


@pytest.mark.parametrize("seed", range(20))
def test_the_network_takes_every_planned_patch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 40)), *map(int, rng.integers(8, 700, 2)))
    spacing = tuple(float(step) for step in rng.uniform(0.3, 3, 2))
    plan = plan_for((shape[0], shape[1], shape[2]), (spacing[0], spacing[1]), 50, 2, 3)
    network = UNet(2, 3, 2, 4, plan.pools, 1, "instance", False)
    assert all(side % step == 0 for side, step in zip(plan.patch_size, network.strides, strict=True))
    assert all(
        side >= step * 4 for side, step in zip(plan.patch_size, network.strides, strict=True) if step > 1
    )
    assert plan.batch_size >= 1


def test_a_plan_is_of_the_training_volumes(small: Prepared) -> None:
    at_one = replace(small, preprocessing=replace(small.preprocessing, spacing=(1.0, 1.5), zoom=0.5))
    plan = plan_of(at_one)
    assert plan == plan_for((3, 13, 13), (2.0, 3.0), 3, 2, 4)
    first, *others = small.entries
    moved = replace(at_one, entries=(replace(first, split="val"), *others))
    assert plan_of(moved).median_shape == (3, 11, 17)


def test_a_plan_is_for_what_the_centre_crop_leaves(tmp_path: Path, phantom_root: Path) -> None:
    rules = PreprocessingConfig(False, (1.0, 1.25), None, 1.0, "area", "zscore", center_crop=(64, 50))
    prepared = prepare(PHANTOM, phantom_root, tmp_path, rules)
    training = prepared.split("train")
    depth, height, width = np.median([(e.native_shape[0], *e.native_spacing[1:]) for e in training], axis=0)
    found = plan_of(prepared).median_shape
    assert found[0] == depth
    np.testing.assert_allclose(found[1:], (64 * height, 50 * width / 1.25), atol=0.5)


def test_data_of_many_spacings_is_not_planned(small: Prepared) -> None:
    with pytest.raises(ConfigError, match="plan of 'small': expected data prepared at one spacing"):
        plan_of(small)


@pytest.mark.slow
def test_the_papers_half_of_acdc(acdc_root: Path, tmp_path: Path) -> None:
    """Some volumes have columns of zeros at their border: the crop takes half a pixel off the median."""

    def load(root: Path) -> Source:
        source = ACDC.load(root)
        return replace(source, cases=tuple(case for case in source.cases if case.split == "train"))

    preparation = PreprocessingConfig(True, "median", None, 1.0, "area", "zscore")
    cropped = prepare(replace(ACDC, load=load), acdc_root, tmp_path, preparation)
    assert len(cropped.entries) == 100
    assert cropped.preprocessing.spacing == (1.5625, 1.5625)
    whole = [
        replace(
            e,
            shape=(
                e.native_shape[0],
                *plane_size(e.native_shape[1:], e.native_spacing[1:], cropped.preprocessing),
            ),
        )
        for e in cropped.entries
    ]
    for entries, width in ((whole, 206.5), (cropped.entries, 206.0)):
        plan = plan_of(replace(cropped, entries=tuple(entries)))
        assert plan.median_shape == (9, 237, width)
        assert (plan.patch_size, plan.pools, plan.batch_size) == ((256, 224), SIX_FIVE, 38)
