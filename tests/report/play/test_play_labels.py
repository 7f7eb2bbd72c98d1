"""The user's own labels on the page, and what the page says of its settings."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from engines import Evaluate
from hydra.core.override_parser.overrides_parser import OverridesParser
from numpy.typing import NDArray

from rwseg.data.io.label_slice import LabelSlice
from rwseg.maps import Composition
from rwseg.report.play import write_play_page
from rwseg.report.play.labels import as_text, drawing_of

pytestmark = pytest.mark.xdist_group("play")


def slice_of(labels: NDArray[np.uint8], values: list[int]) -> LabelSlice:
    return LabelSlice(labels, values, (0.5, 2.0), 6)


def blocks(height: int, width: int, classes: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(classes, size=(height, width)).astype(np.uint8)


def test_small_labels_stay_as_they_are() -> None:
    labels = blocks(20, 31, 3)
    drawing = drawing_of(slice_of(labels, [0, 4, 9]), "a.png")
    np.testing.assert_array_equal(drawing.labels, labels)
    assert drawing.spacing == (0.5, 2.0)
    assert drawing.names == ["background", "label 4", "label 9"]
    assert drawing.note == "a.png, slice 7: 20 x 31 pixels."


def test_of_many_classes_the_three_largest_are_kept_and_the_others_named() -> None:
    labels = np.zeros((10, 10), np.uint8)
    for k, count in enumerate((3, 1, 9, 5, 2), start=1):
        labels[k, :count] = k
    drawing = drawing_of(slice_of(labels, [0, 10, 20, 30, 40, 50]), "a.png")
    assert drawing.names == ["background", "label 10", "label 30", "label 40"]
    assert np.bincount(drawing.labels.ravel()).tolist() == [83, 3, 9, 5]
    assert "labels 20, 50 are drawn as background" in drawing.note


def test_large_labels_are_sampled_and_keep_their_size_in_mm() -> None:
    labels = np.kron(blocks(100, 64, 2), np.ones((2, 4), np.uint8))  # 200 x 256
    drawing = drawing_of(slice_of(labels, [0, 1]), "a.png")
    assert drawing.labels.shape == (100, 128)
    np.testing.assert_array_equal(drawing.labels, labels[1::2, 1::2])
    assert drawing.spacing == (1.0, 4.0)
    assert "shown as 100 x 128" in drawing.note


def test_the_page_reads_the_labels_that_were_written(evaluate: Evaluate) -> None:
    drawing = drawing_of(slice_of(blocks(20, 31, 4), [0, 1, 2, 3]), "a.png")
    read = evaluate(f"readDrawing({json.dumps(as_text(drawing))})")
    np.testing.assert_array_equal(read["labels"], drawing.labels.ravel())
    assert (read["height"], read["width"], read["classes"]) == (20, 31, 4)
    assert read["spacing"] == [0.5, 2.0]
    assert (
        evaluate(f"writeDrawing(readDrawing({json.dumps(as_text(drawing))})).runs")
        == as_text(drawing)["runs"]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"runs": "a619"},
        {"runs": "a621"},
        {"runs": "e620"},
        {"size": "0x5"},
        {"classes": 5},
        {"spacing": "1x0"},
    ],
)
def test_what_is_no_drawing_is_refused(change: dict[str, object], evaluate: Evaluate) -> None:
    text = {"size": "20x31", "classes": 2, "spacing": "1x1", "runs": "a620"}
    assert evaluate(f"readDrawing({json.dumps(text)})")["classes"] == 2
    assert evaluate(f"readDrawing({json.dumps({**text, **change})})") is None


def test_a_name_of_a_file_is_text_on_the_page(tmp_path: Path) -> None:
    drawing = drawing_of(slice_of(blocks(5, 5, 2), [0, 1]), "<script>alert(1)</script>.png")
    assert "<script>alert" not in write_play_page(tmp_path / "play.html", drawing).read_text()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["boundary"]),
        ({"anneal": 0.25, "rectify": True}, ["boundary", {"anneal": 0.25}, "rectify"]),
        ({"base": "rrw", "anneal": 0.25}, ["rrw"]),
        ({"base": "edge_emphasis", "width": 4.5}, [{"edge_emphasis": 4.5}]),
        ({"base": "hausdorff", "square": False, "alpha": 1.5}, [{"hausdorff": 1.5}]),
        ({"base": "constant", "inside": -0.5}, [{"constant": {"alpha": -0.5, "beta": -1}}]),
        (
            {"base": "border_between_instances", "sigma": 2, "clip": 4},
            [{"border_between_instances": {"w0": 10, "sigma": 2}}, {"clip": 4}],
        ),
        (
            {"base": "rrw", "mix": "edge_emphasis", "share": 0.25, "rectify": True},
            ["rrw", {"mix": {"map": [{"edge_emphasis": 3}], "weight": 0.25}}, "rectify"],
        ),
        (
            {"power": 0.5, "normalise": "per_class", "weights": [1, 2, 0.5, 7]},
            ["boundary", {"power": 0.5}, {"normalise": "per_class"}, {"class_weights": [1, 2, 0.5]}],
        ),
    ],
)
def test_the_settings_are_a_composition_that_hydra_reads(
    settings: dict[str, object], expected: list[object], evaluate: Evaluate
) -> None:
    given = f"{{...PLAIN_MAP, ...{json.dumps(settings)}}}"
    assert evaluate(f"partsOf({given}, 3)") == expected
    for spacing in ([1, 1], [0.5, 2]):
        text = evaluate(f"overridesOf({given}, {{classes: 3, spacing: {spacing}}})")
        loss, *words = OverridesParser.create().parse_overrides(shlex.split(text))
        found = {one.key_or_group: one.value() for one in words}
        assert (loss.key_or_group, loss.value()) == ("loss", "rw")
        assert Composition.of(found.pop("loss.map")) == Composition.of(expected)
        assert found.pop("loss.spacing", [1, 1]) == spacing
        assert found == ({"map.source": "online"} if expected[0] in ("boundary", "rrw") else {})


def test_the_squared_softmax_is_a_loss_of_its_own(evaluate: Evaluate) -> None:
    settings = "{...PLAIN_MAP, base: 'hausdorff', rectify: true, power: 2}"
    text = evaluate(f"overridesOf({settings}, {{classes: 3, spacing: [1, 2]}})")
    assert text == "loss=rw_hausdorff loss.alpha=2 loss.rectify=true 'loss.spacing=[1, 2]'"
