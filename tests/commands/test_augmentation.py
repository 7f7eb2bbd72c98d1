"""The figure of the augmentation: a square around the heart, and maps that move with it."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from rwseg.commands.augmentation import EXAMPLES, example_batch, main, most_foreground
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.sampling.patches import Boxes
from rwseg.data.sampling.slice_cache import SPLINE_GAIN, SliceCache
from rwseg.data.sampling.stores import load_slices
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepared_data
from rwseg.maps import RectifiedMap


@pytest.fixture(scope="module")
def slice_cache(phantom_root: Path, prepared_root: Path) -> SliceCache:
    cfg = check(compose("train", [f"dataset.root={phantom_root}", f"prepared_root={prepared_root}"])[0])
    prepared = prepared_data(cfg)
    ensure_distances(prepared, "rrw")
    device = torch.device("cpu")
    return load_slices(prepared, prepared.split("train"), "rrw", True, device, splines=True)[0]


def test_the_slice_with_most_foreground_is_shown_with_all_of_it(slice_cache: SliceCache) -> None:
    number, (top, left), side = most_foreground(slice_cache)
    slices = np.arange(len(slice_cache.sizes))
    height, width = slice_cache.sizes.max(0).tolist()
    whole = (height, width)
    zeros, unflipped = np.zeros_like(slices), np.zeros((len(slices), 2), bool)
    counts = (slice_cache.batch(Boxes(slices, zeros, zeros, unflipped), whole).labels > 0).sum((1, 2))
    assert counts[number] == counts.max()
    box = Boxes(np.array([number]), np.array([top]), np.array([left]), unflipped[:1])
    assert (slice_cache.batch(box, (side, side)).labels > 0).sum() == counts.max()


def test_every_example_shows_what_its_title_says(slice_cache: SliceCache) -> None:
    number, (top, left), side = most_foreground(slice_cache)
    count = len(EXAMPLES)
    flips = np.array([example.flips for example in EXAMPLES])
    boxes = Boxes(np.full(count, number), np.full(count, top), np.full(count, left), flips)
    batch = example_batch(slice_cache, boxes, (side, side))
    cut = slice_cache.batch(boxes, (side, side))
    assert slice_cache.flat.scales is not None
    rounding = SPLINE_GAIN / 2 * float(slice_cache.flat.scales[0].max())  # half a code of a coefficient
    assert isinstance(batch.region_map, RectifiedMap)
    assert isinstance(cut.region_map, RectifiedMap)
    for i, example in enumerate(EXAMPLES):
        area = float((batch.labels[i] > 0).sum() / (cut.labels[i] > 0).sum())
        inside = example.factor >= 1  # else part of the foreground may leave the square
        assert not inside or area == pytest.approx(example.factor**-2, rel=0.05), example.title
        warped = example.degrees != 0 or example.factor != 1
        assert torch.equal(batch.labels[i], cut.labels[i]) != warped
        assert torch.equal(batch.region_map.inside[i], cut.region_map.inside[i]) != warped
        difference = (batch.image[i] - cut.image[i]).abs().max()
        assert bool(difference < 1e-4 + rounding) == (not warped and not example.steps), example.title


def test_the_command_writes_a_picture(phantom_root: Path, prepared_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures" / "augmentation.png"
    main(["--out", str(out), f"dataset.root={phantom_root}", f"prepared_root={prepared_root}"])
    height, width = matplotlib.image.imread(out).shape[:2]
    assert width > 2 * height > 600


def test_a_fault_ends_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path / "a.png"), "dataset=acdc", f"dataset.root={tmp_path / 'nowhere'}"])
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()
