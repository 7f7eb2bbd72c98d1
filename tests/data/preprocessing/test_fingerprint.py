from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_dataset import PLAIN, UNLABELLED, Scan, write_dataset

from rwseg.core.errors import DataError
from rwseg.data.preprocessing.config import Intensities
from rwseg.data.preprocessing.fingerprint import CaseStatistics, fit_preprocessing, needs_statistics
from rwseg.data.preprocessing.prepare import prepare

CT = replace(PLAIN, normalisation="ct")
MEDIAN = replace(PLAIN, spacing="median")


def test_only_the_median_and_ct_need_statistics() -> None:
    assert needs_statistics(MEDIAN)
    assert needs_statistics(CT)
    assert not any(
        needs_statistics(replace(PLAIN, spacing=spacing, normalisation=normalisation))
        for spacing in (None, (1.0, 2.0))
        for normalisation in ("zscore", "zscore_nonzero", "minmax")
    )


@pytest.mark.parametrize(
    ("spacings", "expected"),
    [
        ([(1.0, 2.0), (3.0, 1.0), (2.0, 5.0)], (2.0, 2.0)),
        ([(1.0, 2.0), (2.0, 3.0)], (1.5, 2.5)),
    ],
)
def test_the_target_is_the_median_of_each_axis(
    spacings: list[tuple[float, float]], expected: tuple[float, float]
) -> None:
    assert fit_preprocessing(MEDIAN, [CaseStatistics(s, None) for s in spacings]).spacing == expected


def test_statistics_are_of_the_training_cases_alone(tmp_path: Path, sources: list[Scan]) -> None:
    """Medians of (1.5, 1.0, 0.8) and (1.25, 2.0, 0.8) mm; the foreground by hand, 9 being unlabelled."""
    label = sources[0].label
    assert label is not None
    holes = label.copy()
    holes[0, :4] = UNLABELLED
    scans = [sources[0]._replace(label=holes), *sources[1:]]
    prepared = prepare(
        write_dataset(tmp_path, scans),
        tmp_path,
        tmp_path / "prepared",
        replace(CT, spacing="median"),
    )
    assert prepared.preprocessing.spacing == (1.0, 1.25)
    for c, found in enumerate(prepared.preprocessing.intensities):
        pooled = np.concatenate(
            [s.image[c][np.isin(s.label, (1, 2, 3))][::10] for s in scans if s.split == "train"]
        )
        low, high = np.percentile(pooled, (0.5, 99.5))
        expected = (low, high, pooled.mean(dtype=float), pooled.std(dtype=float))
        np.testing.assert_allclose((found.low, found.high, found.mean, found.std), expected, rtol=1e-6)
    assert len(prepared.preprocessing.intensities) == 2


def test_rules_without_statistics_pass_as_they_are() -> None:
    preparation = replace(PLAIN, crop=True, size=(5, 6), zoom=0.5, interpolation="area")
    preprocessing = fit_preprocessing(preparation, ())
    assert {key: getattr(preprocessing, key) for key in vars(preparation)} == vars(preparation)
    assert preprocessing.intensities == ()


def test_a_rule_that_finds_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match=r"dataset\.spacing=median: expected at least one training case"):
        fit_preprocessing(MEDIAN, ())
    empty = np.zeros((2, 0), np.float32)
    for statistics in ([], [CaseStatistics((1, 1), None)], [CaseStatistics((1, 1), empty)]):
        with pytest.raises(DataError, match=r"dataset\.normalisation=ct: expected labelled foreground"):
            fit_preprocessing(CT, statistics)


def test_cases_without_foreground_do_not_disturb() -> None:
    sample = np.arange(20, dtype=np.float32).reshape(1, 20)
    known = [CaseStatistics((1, 1), s) for s in (sample, np.zeros((1, 0), np.float32), None)]
    [found] = fit_preprocessing(CT, known).intensities
    assert found == Intensities(
        pytest.approx(0.095), pytest.approx(18.905), 9.5, pytest.approx(np.sqrt(33.25))
    )
