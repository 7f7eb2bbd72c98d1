"""The object tree of W&B's views, and what is said without an account."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from rwseg.commands.dashboard import main

pytestmark = [pytest.mark.usefixtures("offline"), pytest.mark.filterwarnings("ignore:Pydantic V1 style")]


def views(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["rwseg-acdc", "--dry-run", *arguments]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def panels(content: Any) -> Iterator[dict[str, Any]]:
    """Every panel below a part of the tree."""
    if isinstance(content, dict):
        if "viewType" in content:
            yield content
        for value in content.values():
            yield from panels(value)
    elif isinstance(content, list):
        for value in content:
            yield from panels(value)


@pytest.mark.parametrize("view", ["workspace", "report"])
def test_both_views_hold_curves_wrong_signs_seeds_and_comparison(
    capsys: pytest.CaptureFixture[str], view: str
) -> None:
    found = list(panels(views(capsys)[view]))
    lines = [panel["config"] for panel in found if panel["viewType"] == "Run History Line Plot"]
    keys = {key for line in lines for key in line["metrics"]}
    assert {"val/dice", "train/loss_gap", "train/main", "train/partner", "train/wrong_sign"} <= keys
    assert {line["metricRegex"] for line in lines if "metricRegex" in line} == {
        "^val/dice_.*",
        "^train/wrong_sign_.*",
    }
    for line in lines:
        assert (line["xAxis"], line["groupBy"], line["aggregate"]) == ("epoch", "method.value", True)
        assert (line["groupAgg"], line["groupArea"]) == ("mean", "stddev")
    by_type = {panel["viewType"]: panel["config"] for panel in found}
    assert by_type["Scatter Plot"]["xAxis"] == "config:seed.value"
    assert by_type["Scatter Plot"]["yAxis"] == "summary:final/dice"
    assert by_type["Bar Chart"]["metrics"] == ["final/dice"]
    assert by_type["Bar Chart"]["groupBy"] == "method.value"
    assert by_type["Media Browser"]["mediaKeys"] == [f"overlays/{number}" for number in (1, 2, 3)]
    assert '"cases"' in json.dumps(by_type["Weave"])
    assert "Run Comparer" in by_type


def test_the_views_belong_to_project_and_entity(capsys: pytest.CaptureFixture[str]) -> None:
    found = views(capsys, "--entity", "our-team")
    assert (found["workspace"]["project"], found["workspace"]["entity"]) == ("rwseg-acdc", "our-team")
    assert found["report"]["project"] == {"name": "rwseg-acdc", "entityName": "our-team"}
    runs = [
        block["metadata"]["runSets"] for block in found["report"]["spec"]["blocks"] if "metadata" in block
    ]
    assert len(runs) == 4
    for (runset,) in runs:
        assert runset["grouping"] == [{"section": "config", "name": "method.value"}]
        assert runset["runFeed"]["columnOrder"][0] == "summary:final/dice"


@pytest.mark.parametrize("entity", [[], ["--entity", "our-team"]])
def test_saving_without_an_account_says_so(
    capsys: pytest.CaptureFixture[str], entity: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    assert main(["rwseg-acdc", *entity]) == 2
    said = capsys.readouterr().err
    assert "expected an account (wandb login)" in said
    assert "--dry-run" in said
    assert "Traceback" not in said


def test_a_missing_package_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert main(["rwseg-acdc", "--dry-run"]) == 2
    assert "pip install 'rwseg[wandb]'" in capsys.readouterr().err
