"""The mean over classes against numbers done by hand."""

from math import nan

import numpy as np
import pandas as pd
import pytest

from rwseg.metrics.averages import case_shares, class_means

ROWS = pd.DataFrame(
    [
        ("x", 1, "A", 0.9),
        ("x", 1, "B", nan),
        ("x", 2, "A", 0.7),
        ("x", 2, "B", 0.2),
        ("x", 3, "A", 0.8),
        ("x", 3, "B", nan),
        ("y", 1, "A", nan),
        ("y", 1, "B", 0.5),
    ],
    columns=["method", "case", "class_name", "dice"],
)


def test_it_is_the_mean_of_the_class_means_and_not_of_rows_or_cases() -> None:
    rows = ROWS[ROWS["method"] == "x"]
    each, overall = class_means(rows, ["dice"])
    assert each["dice"].to_dict() == pytest.approx({"A": 0.8, "B": 0.2})
    assert overall["dice"].tolist() == pytest.approx([0.5])
    assert rows["dice"].mean() == pytest.approx(0.65)
    assert rows.groupby("case")["dice"].mean().mean() == pytest.approx(2.15 / 3)


def test_groups_are_averaged_by_themselves_and_a_class_without_a_value_is_left_out() -> None:
    each, overall = class_means(ROWS, ["dice"], ["method"])
    assert np.isnan(each.loc[("y", "A"), "dice"])
    assert overall["dice"].to_dict() == pytest.approx({"x": 0.5, "y": 0.5})


def test_the_shares_of_cases_average_to_the_mean_of_the_class_means() -> None:
    values = np.array([[0.9, nan], [0.7, 0.2], [0.8, nan]])
    # by hand: 3 / 2 (0.9 / 3), 3 / 2 (0.7 / 3 + 0.2 / 1), 3 / 2 (0.8 / 3)
    np.testing.assert_allclose(case_shares(values), [0.45, 0.65, 0.4])
    assert case_shares(values).mean() == pytest.approx(0.5)
    whole = np.random.default_rng(0).random((7, 3))
    np.testing.assert_allclose(case_shares(whole), whole.mean(axis=1))
    np.testing.assert_array_equal(case_shares(whole[:, :1]), whole[:, 0])
    np.testing.assert_allclose(case_shares(np.column_stack([whole, np.full(7, nan)])), whole.mean(axis=1))
