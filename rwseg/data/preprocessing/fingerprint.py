"""The fingerprint of the training cases: their median spacing, and intensities of their foreground."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import DataError
from rwseg.data.case import Case, Source
from rwseg.data.io.cases import read_case
from rwseg.data.preprocessing.config import FittedPreprocessing, Plane, PreprocessingConfig
from rwseg.data.preprocessing.normalisation import foreground_sample, intensities


@dataclass(frozen=True)
class CaseStatistics:
    """In-plane `spacing` (y, x) in mm, and `foreground` `(C, n)`: a sample, None where none was asked for."""

    spacing: Plane
    foreground: NDArray[np.float32] | None


def needs_statistics(preparation: PreprocessingConfig) -> bool:
    """Whether the rules of `preparation` depend on which cases are training cases."""
    return preparation.spacing == "median" or preparation.normalisation == "ct"


def case_statistics(
    source: Source, slice_axis: int, preparation: PreprocessingConfig, case: Case
) -> CaseStatistics:
    """Statistics of one case; the foreground only for `ct` and where there is a label."""
    loaded = read_case(case, source, slice_axis)
    foreground = None
    if preparation.normalisation == "ct" and loaded.label is not None:
        foreground = foreground_sample(loaded.image, loaded.label, len(source.classes))
    return CaseStatistics(loaded.spacing[1:], foreground)


def fit_preprocessing(
    preparation: PreprocessingConfig, statistics: Sequence[CaseStatistics]
) -> FittedPreprocessing:
    """Fit the preprocessing to the statistics of the training cases (none, where no rule uses them).

    The target spacing is the median of each axis by itself. Raises `DataError` where a rule finds nothing to
    go by.
    """
    spacing = preparation.spacing
    if spacing == "median":
        if not statistics:
            raise DataError(
                "dataset.spacing=median: expected at least one training case, got none; add cases to train on"
            )
        y, x = np.median([case.spacing for case in statistics], axis=0)
        spacing = float(y), float(x)
    samples = [case.foreground for case in statistics if case.foreground is not None]
    if preparation.normalisation == "ct" and not sum(sample.shape[1] for sample in samples):
        raise DataError(
            "dataset.normalisation=ct: expected labelled foreground in the training cases, got none; "
            "choose zscore, or add labels"
        )
    return FittedPreprocessing(
        crop=preparation.crop,
        spacing=spacing,
        size=preparation.size,
        zoom=preparation.zoom,
        interpolation=preparation.interpolation,
        normalisation=preparation.normalisation,
        intensities=intensities(samples) if preparation.normalisation == "ct" else (),
        center_crop=preparation.center_crop,
    )
