"""What an experiment will cost: by hand, from a file, and measured."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rwseg.commands.plan import main
from rwseg.core.errors import ConfigError, RwsegError
from rwseg.experiments.composition import preflight
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.cost.estimate import (
    RunTimes,
    bytes_of_run,
    load_measured,
    prepared_bytes,
    seconds_of_run,
    volumes_predicted,
)
from rwseg.experiments.cost.sweeps import commands_of, methods_of
from rwseg.experiments.run_directory import save_config

FACTS = RunTimes(
    name="phantom_quick/phantom/rrw/alone",
    device="cpu",
    batch="8x64x64",
    step=0.1,
    meter=0.05,
    volume=0.5,
    volumes=24,
    classes=3,
    checkpoint=2_000_000,
    data="phantom-12ab",
    prepared=8_000_000,
)
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


def save(path: Path, *measured: RunTimes) -> Path:
    path.write_text(json.dumps({"tables": {"measured": [asdict(facts) for facts in measured]}}))
    return path


@pytest.fixture
def times(tmp_path: Path) -> Path:
    """Times of two methods of `phantom_quick` on another machine."""
    ce = replace(FACTS, name="phantom_quick/phantom/ce/alone", step=0.2)
    return save(tmp_path / "times.json", FACTS, ce)


def test_seconds_and_bytes_of_a_run_by_hand() -> None:
    (method,) = methods_of([["experiment=phantom_quick", "schedule.epochs=5", "evaluation.every=2"]])
    # 5 epochs of 80 batches, one of 25 measured; validated after epochs 2, 4 and 5
    assert seconds_of_run(method.settings, FACTS) == pytest.approx(400 * (0.1 + 0.05 / 25) + 3 * 24 * 0.5)
    assert bytes_of_run(method.settings, FACTS) == 2 * 2_000_000 + 5 * 400 + 24 * 3 * 110 + 500_000


@pytest.mark.parametrize(("cases", "volumes"), [(2, 3 * 2 + 24), (24, 3 * 24), (99, 3 * 24)])
def test_a_curve_of_some_cases_costs_these_and_all_once_more(cases: int, volumes: int) -> None:
    settings = [
        "experiment=phantom_quick",
        "schedule.epochs=5",
        "evaluation.every=2",
        f"evaluation.cases={cases}",
    ]
    (method,) = methods_of([settings])
    assert volumes_predicted(method.settings, 24) == volumes


def test_the_table_by_hand(
    times: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    overrides = ["loss=rrw,ce", "seed=range(10)", f"output_root={tmp_path / 'outputs'}"]
    jobs = preflight("train", ["-m", "experiment=phantom_quick", *overrides])
    done = tmp_path / "outputs/phantom_quick/phantom/ce/alone/seed3"
    save_config(done, jobs[13][0])
    (done / "run.json").write_text(json.dumps({"status": "finished", "seconds": 3.0}))
    assert main(["experiment=phantom_quick", *overrides, "--from", str(times)]) == 0
    told = re.sub(r"[│┃\s]+", " ", capsys.readouterr().out)
    steps, validations = 6 * 80, 6 * 24 * 0.5
    rrw, ce = ((steps * (step + 0.002) + validations) / 3600 for step in (0.1, 0.2))
    size = (4_000_000 + 6 * 400 + 24 * 3 * 110 + 500_000) / 1e9
    rows = {
        "phantom_quick/phantom/rrw/alone": f"10 0 100 {rrw:.3g} {10 * rrw:.3g} {10 * size:.3g}",
        "phantom_quick/phantom/ce/alone": f"10 1 200 {ce:.3g} {9 * ce:.3g} {9 * size:.3g}",
        "all": f"20 1 {10 * rrw + 9 * ce:.3g} {19 * size:.3g}",
    }
    for name, numbers in rows.items():
        assert f"{name} {numbers} " in told
    assert "on cpu, batches of 8x64x64; prepared data 0.008 GB" in told


@pytest.mark.parametrize(
    "line",
    [
        "phantom_quick loss=rrw,ce seed=0,1",
        "-m experiment=phantom_quick loss=rrw,ce seed=range(2) hydra/launcher=ray hydra.launcher.num_cpus=2",
        "--multirun --config-dir mine experiment=quick seed=0,1",
        "hydra.searchpath=[mine] experiment=quick seed=0,1 force=true",
    ],
)
def test_it_takes_the_words_of_a_training(
    line: str,
    times: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    own = "# @package _global_\ndefaults: [phantom_quick, override /loss: ce]\n"
    (tmp_path / "mine" / "experiment" / "quick.yaml").write_text(own)
    quick = replace(FACTS, name="quick/phantom/ce/alone")
    save(times, FACTS, replace(FACTS, name="phantom_quick/phantom/ce/alone"), quick)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*line.split(), "--from", str(times)]) == 0
    told = re.sub(r"[│┃\s]+", " ", capsys.readouterr().out)
    names = ["quick/phantom/ce/alone"] if "mine" in line else ["phantom_quick/phantom/rrw/alone"]
    assert all(f" {name} 2 0 " in told for name in names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cfg", "job"], "expected runs to plan, got a flag that starts none"),
        (["--commands"], "--commands: expected experiment=NAME"),
        (["--multirunn"], "expected a flag of Hydra; did you mean '--multirun'"),
    ],
)
def test_words_that_start_no_run_are_refused(
    words: list[str], message: str, times: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--from", str(times)]) == 2
    assert message in capsys.readouterr().err


def test_methods_of_the_same_data_share_its_folder() -> None:
    more = replace(FACTS, name="b", prepared=9_000_000)
    other = replace(FACTS, name="c", data="acdc-00", prepared=1)
    assert prepared_bytes({facts.name: facts for facts in (FACTS, more, other)}) == 9_000_001


def test_runs_that_two_commands_share_count_once() -> None:
    same = ["experiment=phantom_quick", "loss=rrw,ce", "seed=0,1"]
    methods = methods_of([same, [*same[:1], "seed=1,2"]])
    assert [(method.name.split("/")[2], method.runs) for method in methods] == [("rrw", 3), ("ce", 2)]


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_commands_of_every_experiment_can_be_given(experiment: str) -> None:
    for overrides in commands_of(experiment):
        assert f"experiment={experiment}" in overrides
        assert not any(word.startswith("dataset.root") for word in overrides)
        assert preflight("train", ["-m", *(word for word in overrides if not word.startswith("seed="))])


def test_the_commands_of_figure_6_are_two_lines_of_its_file() -> None:
    maps, combined = commands_of("convergence")
    assert maps == ["experiment=convergence", "loss=rrw,rw_boundary", "seed=range(50)"]
    assert combined[2:] == ["strategy=equal_dice,equal_ce,gradual_dice,gradual_ce", "seed=range(50)"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["phantom_quik"], "'experiment=phantom_quik': expected one of .*did you mean 'phantom_quick'"),
        (["phantom_quik", "--commands"], "'experiment=phantom_quik': expected one of"),
        (["phantom_quick", "los=rrw"], "unknown key 'los' in 'los=rrw'; did you mean 'loss'"),
        (["phantom_quick", "loss=dice"], "expected times of phantom_quick/phantom/dice/alone, got those of"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], message: str, times: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--from", str(times)]) == 2
    assert re.search(f"^rwseg plan: .*{message}", capsys.readouterr().err, re.DOTALL)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"tables": {"measured": [{"name": "x"}]}}', '{"tables": {"plan": []}}']
)
def test_a_file_of_another_kind_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "times.json").write_text(text)
    with pytest.raises(RwsegError, match=r"times\.json: expected what rwseg plan"):
        load_measured(tmp_path / "times.json")
    with pytest.raises(RwsegError, match=r"step: expected .*float.*, got '1'"):
        load_measured(save(tmp_path / "typed.json", replace(FACTS, step="1")))  # type: ignore[arg-type]


def test_without_commands_in_its_file_overrides_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "phantom_quick.yaml").write_text("# nothing\n")
    monkeypatch.setattr("rwseg.experiments.cost.sweeps.CONF", tmp_path)
    with pytest.raises(ConfigError, match=r"expected a line with python train\.py, found none"):
        commands_of("phantom_quick")


def test_a_plan_measured_here_can_be_used_again(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    asked = ["phantom_quick", *tiny, "seed=0,1"]
    assert main([*asked, "--seconds", "0.1", "--json", str(file)]) == 0
    measured_here = capsys.readouterr().out
    ((name, facts),) = load_measured(file).items()
    assert name.startswith("phantom_quick/phantom/rrw/alone/")
    assert (facts.device, facts.batch, facts.volumes, facts.classes) == ("cpu", "3x32x48", 4, 3)
    assert 0 < facts.meter < facts.step < 60
    content = json.loads(file.read_text())
    assert set(content) == {"machine", "tables"}
    assert [row["runs"] for row in content["tables"]["plan"]] == [2, 2]
    assert main([*asked, "--from", str(file)]) == 0
    assert capsys.readouterr().out == measured_here
