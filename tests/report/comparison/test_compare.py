"""The numbers of a comparison against NumPy on the same files, with missed structures and absent classes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_report import ABSENT, MISSED, SPURIOUS, array, report, spoil, value
from synthetic import HEART, write_run, write_unfinished

from rwseg.core.errors import ConfigError, RunError
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.runs import find_runs


@pytest.fixture
def study(tmp_path: Path) -> dict[str, list[Path]]:
    """Three runs each of two methods; ce misses a structure in one run, and one case has no RV at all."""
    folders = {
        loss: [write_run(tmp_path, loss, seed=seed, dice=dice, epochs=4) for seed in range(3)]
        for loss, dice in (("rrw", 0.9), ("ce", 0.88))
    }
    spoil(folders["ce"][1], "001_0", "LV", **MISSED)
    for folder in [*folders["rrw"], *folders["ce"]]:
        spoil(folder, "002_1", "RV", **ABSENT)
    return folders


def test_mean_and_std_are_over_cases_averaged_over_runs(study: dict[str, list[Path]], tmp_path: Path) -> None:
    summary = report(tmp_path).summary
    for loss, folders in study.items():
        for metric in ("dice", "hausdorff", "hausdorff95"):
            values = array(folders, metric)
            with np.errstate(all="ignore"):
                over_runs = np.array([[np.nan if np.isnan(cell).all() else np.nanmean(cell) for cell in row]
                                      for row in np.moveaxis(values, 0, -1)])  # fmt: skip
            for k, name in enumerate(HEART):
                keys = {"method": loss, "class_name": name, "metric": metric}
                held = over_runs[:, k][~np.isnan(over_runs[:, k])]
                assert value(summary, "mean", **keys) == pytest.approx(held.mean())
                assert value(summary, "std", **keys) == pytest.approx(held.std())
                assert value(summary, "cases", **keys) == len(held)
                assert value(summary, "runs", **keys) == 3
    assert value(summary, "missed", method="ce", class_name="LV", metric="dice") == 1
    assert value(summary, "missed", method="ce", class_name="mean", metric="hausdorff") == 1
    assert value(summary, "missed", method="rrw", class_name="mean", metric="dice") == 0


def over(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of what is not NaN; NaN where all is."""
    with np.errstate(invalid="ignore"):
        return np.nansum(values, axis) / np.sum(~np.isnan(values), axis)


def test_the_mean_over_classes_is_that_of_the_class_means(
    study: dict[str, list[Path]], tmp_path: Path
) -> None:
    result = report(tmp_path)
    for loss, folders in study.items():
        keys = {"method": loss, "class_name": "mean"}
        for metric in ("dice", "hausdorff"):
            values = array(folders, metric)
            per_case = over(over(values, 0), 1)
            of_classes = over(over(values, 0), 0).mean()
            assert of_classes != pytest.approx(per_case.mean(), rel=1e-6)
            assert value(result.summary, "mean", metric=metric, **keys) == pytest.approx(of_classes)
            assert value(result.summary, "std", metric=metric, **keys) == pytest.approx(per_case.std())
            for seed in range(3):
                found = value(result.per_run, "value", seed=seed, metric=metric, **keys)
                assert found == pytest.approx(over(values[seed], 0).mean())
        runs = over(array(folders, "dice"), 1).mean(axis=1)
        assert value(result.convergence, "dice", method=loss) == pytest.approx(runs.mean())
        assert value(result.convergence, "std", method=loss) == pytest.approx(runs.std(ddof=1))
        for phase, cases in (("ED", slice(0, None, 2)), ("ES", slice(1, None, 2))):
            part = over(array(folders, "dice")[:, cases], 0)
            found = value(result.phases, "mean", metric="dice", phase=phase, **keys)
            assert found == pytest.approx(over(part, 0).mean())


def test_a_loss_that_never_finds_a_rare_class_is_not_the_better_one(tmp_path: Path) -> None:
    """By cases first it would be: 0.9 in the seven cases without the class, against 0.8 of the other one."""
    for loss, common, rare in (("ce", 0.9, 0.0), ("rrw", 0.8, 0.8)):
        folder = write_run(tmp_path, loss, classes=("common", "rare"))
        for case in range(8):
            name = f"{case // 2:03}_{case % 2}"
            spoil(folder, name, "common", dice=common)
            spoil(folder, name, "rare", **({"dice": rare} if case == 0 else ABSENT))
    summary = report(tmp_path).summary
    keys = {"class_name": "mean", "metric": "dice"}
    assert value(summary, "mean", method="ce", **keys) == pytest.approx(0.45)
    assert value(summary, "mean", method="rrw", **keys) == pytest.approx(0.8)
    assert value(report(tmp_path).tests, "difference", method="ce", **keys) == pytest.approx(-0.35)


def test_missed_and_spurious_are_counted_apart(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    spoil(folder, "000_0", "LV", **MISSED)
    for case in ("000_1", "001_0"):
        spoil(folder, case, "RV", **{**SPURIOUS, "hausdorff": 99.0, "hausdorff95": 99.0})
    result = report(tmp_path)
    for table in (result.summary, result.per_run):
        for name, expected in (("LV", (1, 0)), ("RV", (0, 2)), ("myocardium", (0, 0)), ("mean", (1, 2))):
            keys = {"class_name": name, "metric": "dice"}
            assert (value(table, "missed", **keys), value(table, "spurious", **keys)) == expected
    assert value(result.summary, "cases", class_name="RV", metric="hausdorff") == 6  # by the policy nan


def test_runs_in_different_units_are_refused_and_pixels_are_named(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, loss) for loss in ("rrw", "ce")]
    in_pixels(folders[0])
    with pytest.raises(RunError, match=r"distances in one unit, got mm in .*ce/alone/seed0, px in .*rrw"):
        report(tmp_path)
    in_pixels(folders[1])
    result = report(tmp_path)
    assert result.unit == "px"
    assert any("Distances are in pixels" in note for note in result.notes)


def in_pixels(folder: Path) -> None:
    path = folder / "metrics" / "cases.csv"
    pd.read_csv(path).assign(unit="px").to_csv(path, index=False)


def test_methods_stand_in_one_order_everywhere_the_reference_first(
    study: dict[str, list[Path]], tmp_path: Path
) -> None:
    write_run(tmp_path, "focal", epochs=4)
    result = report(tmp_path, reference="focal")
    assert result.reference == "focal"
    order = [method.name for method in result.methods]
    assert order == ["focal", "ce", "rrw"]
    for table in (result.summary, result.per_run, result.phases, result.convergence, result.curves,
                  result.distribution, result.cost):  # fmt: skip
        assert list(dict.fromkeys(table["method"])) == order
    assert list(dict.fromkeys(result.tests["method"])) == ["ce", "rrw"]
    assert list(result.settings.columns) == ["key", *order]
    assert result.classes == HEART


def test_phases_split_the_cases(study: dict[str, list[Path]], tmp_path: Path) -> None:
    phases = report(tmp_path).phases
    table = pd.concat([pd.read_csv(folder / "metrics" / "cases.csv") for folder in study["rrw"]])
    for phase in ("ED", "ES"):
        rows = table[(table["phase"] == phase) & (table["class_name"] == "LV")]
        keys = {"method": "rrw", "phase": phase, "class_name": "LV", "metric": "hausdorff"}
        assert value(phases, "mean", **keys) == pytest.approx(rows["hausdorff"].mean())
        assert value(phases, "cases", **keys) == 4


def test_data_without_phases_has_no_phase_table(tmp_path: Path) -> None:
    write_run(tmp_path, phases=())
    assert report(tmp_path).phases.empty


def test_the_policy_on_missed_structures_changes_the_distances_only(tmp_path: Path) -> None:
    for loss in ("rrw", "ce"):
        folder = write_run(tmp_path, loss, settings={"evaluation.missed": "diagonal"})
    spoil(folder, "000_0", "RV", **{**MISSED, "hausdorff": 500.0, "hausdorff95": 500.0})
    keys = {"method": "ce", "class_name": "RV"}
    diagonal = report(tmp_path)
    assert diagonal.missed == "diagonal"
    assert value(diagonal.summary, "cases", metric="hausdorff", **keys) == 8
    write_run(tmp_path, "dice")
    with pytest.raises(RunError, match=r"evaluation\.missed: diagonal in ce"):
        report(tmp_path)
    mixed = report(tmp_path, allowed=["evaluation.missed"])
    assert mixed.missed == "nan"
    assert value(mixed.summary, "cases", metric="hausdorff", **keys) == 7
    assert value(mixed.summary, "mean", metric="hausdorff", **keys) < 100
    dice = {"metric": "dice", **keys}
    assert value(mixed.summary, "mean", **dice) == value(diagonal.summary, "mean", **dice)
    assert any("evaluation.missed" in note for note in mixed.notes)


def test_cost_is_the_mean_of_the_runs(tmp_path: Path) -> None:
    for seed, seconds in enumerate((100.0, 300.0)):
        write_run(tmp_path, seed=seed, facts={"seconds": seconds, "device": f"gpu{seed}"})
    cost = report(tmp_path, allowed=["device"]).cost
    assert cost.to_dict("records") == [
        {"method": "rrw", "runs": 2, "seconds": 200.0, "seconds_per_epoch": 50.0, "device": "gpu0, gpu1"}
    ]


def test_settings_show_what_the_methods_differ_in(tmp_path: Path) -> None:
    write_run(tmp_path, "focal")
    write_run(tmp_path, "ce", facts={"git_commit": "e" * 40})
    table = report(tmp_path, allowed=["commit"]).settings.set_index("key")
    assert table.loc["loss.gamma"].to_dict() == {"ce": "absent", "focal": "2"}
    assert table.loc["commit", "ce"] == "e" * 12
    assert "schedule.epochs" not in table.index


def test_no_finished_run_is_a_clear_sentence(tmp_path: Path) -> None:
    write_unfinished(tmp_path, "failed", facts={"reason": "ValueError: bad"})
    with pytest.raises(RunError, match=r"at least one finished run, got none:\n.*1 failed.*ValueError: bad"):
        report(tmp_path)


def test_runs_without_any_dice_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, "ce")
    folder = write_run(tmp_path, "rrw", seed=2, cases=1)
    for name in HEART:
        spoil(folder, "000_0", name, **ABSENT)
    with pytest.raises(RunError, match="got NaN only in rrw, seed 2: neither reference nor prediction"):
        report(tmp_path, allowed=["cases"])


def test_folders_are_named_below_what_they_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "here", "rrw")
    write_run(tmp_path / "there", "ce")
    monkeypatch.chdir(tmp_path)
    comparison = compare(find_runs([Path("here"), tmp_path / "there"]))
    assert set(comparison.per_run["folder"]) == {"here/rrw/alone/seed0", "there/ce/alone/seed0"}


def test_a_case_without_a_subject_is_one_of_its_own(tmp_path: Path) -> None:
    for loss in ("rrw", "ce"):
        path = write_run(tmp_path, loss) / "metrics" / "cases.csv"
        pd.read_csv(path).assign(subject=None).to_csv(path, index=False)
    assert set(report(tmp_path).tests["subjects"]) == {8}


def test_an_unknown_reference_is_refused_with_the_nearest(tmp_path: Path) -> None:
    write_run(tmp_path, "rw_boundary")
    write_run(tmp_path, "ce")
    with pytest.raises(
        ConfigError, match=r"--reference rw_boundry: .*ce; rw_boundary.*did you mean 'rw_boundary'"
    ):
        report(tmp_path, reference="rw_boundry")


def test_a_class_called_mean_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, classes=("mean", "other"))
    with pytest.raises(RunError, match="no class named 'mean'"):
        report(tmp_path)
