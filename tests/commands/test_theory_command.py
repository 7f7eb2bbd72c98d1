"""The figures of the theory: what they show, that nothing is clipped, and the command that writes them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial import ConvexHull
from torch import Tensor

from rwseg.commands.theory import (
    CONFIDENCES,
    main,
    own_labels,
    own_labels_figure,
    own_shares_figure,
    phantom_figure,
)
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.run import train_run
from rwseg.losses import region_wise_loss
from rwseg.maps import boundary_map
from rwseg.report.figures.theory_pixels import Stage, negatives_figure
from rwseg.report.figures.theory_simplex import CORNERS, softmax_grid, triangulation
from rwseg.report.figures.theory_weights import gradient_signs_figure, small_gradients_figure

NAMES = ("background", "RV", "myocardium", "LV", "scar", "aorta")


def scene(num_classes: int) -> tuple[Tensor, Tensor]:
    """Labels `(20, 30)` without the last class, and a random softmax."""
    labels = torch.zeros(20, 30, dtype=torch.long)
    for k in range(1, num_classes - 1):
        labels[2 * k : 19 - k, 3 * k : 28 - k] = k
    logits = 2 * torch.randn(num_classes, 20, 30, generator=torch.Generator().manual_seed(1))
    return labels, torch.softmax(logits, 0)


def test_grid_holds_every_softmax_vector_of_its_step() -> None:
    grid = softmax_grid(10)
    assert grid.shape == (66, 3)
    assert (grid >= 0).all()
    torch.testing.assert_close(grid.sum(1), torch.ones(66).double())
    for corner, place in zip(torch.eye(3).double(), CORNERS, strict=True):
        index = int((grid - corner).abs().sum(1).argmin())
        plane = triangulation(grid)
        np.testing.assert_allclose([plane.x[index], plane.y[index]], place, atol=1e-12)


def test_figure_2_hatches_eight_fifteenths_of_one_triangle() -> None:
    figure = gradient_signs_figure()
    hatched = []
    for subfigure in figure.subfigs:
        for axes in subfigure.axes[:3]:
            contours = [item for item in axes.collections if isinstance(item, ContourSet)]
            hatched += [(axes, item) for item in contours if any(item.hatches)]
    assert len(hatched) == 1
    axes, contour = hatched[0]
    assert axes is figure.subfigs[0].axes[1]  # the boundary map, class 2
    region = ConvexHull(np.concatenate([path.vertices for path in contour.get_paths()]))
    assert region.volume / (np.sqrt(3) / 4) == pytest.approx(8 / 15, abs=1e-3)  # its area, in the plane
    titles = [subfigure.get_suptitle() for subfigure in figure.subfigs]
    assert "53%" in titles[0]
    assert " 0%" in titles[1]


@pytest.mark.parametrize("num_classes", [3, 4, 6])
def test_figure_3_shows_the_counts_of_automatic_differentiation(num_classes: int) -> None:
    labels, softmax = scene(num_classes)
    figure = negatives_figure(labels, [Stage("now", softmax)], NAMES[:num_classes], "title", aspect=1.4)
    leaf = softmax.double().log()[None].requires_grad_()
    z = boundary_map(labels[None], num_classes, spacing=(1.4, 1.0)).double()
    (gradient,) = torch.autograd.grad(region_wise_loss(leaf, z), leaf)
    counts = (gradient[0] < 0).sum(0).clamp(max=4)
    boundary, rectified = figure.axes[1], figure.axes[3]
    drawn = np.asarray(boundary.images[0].get_array())
    assert (drawn == counts.numpy()).mean() > 0.99  # the rest is within the tolerance of zero
    assert counts.max() > 1
    assert (np.asarray(rectified.images[0].get_array()) == 1).all()
    share = float(boundary.get_title().split("wrong sign in ")[1].split("%")[0])
    assert share == pytest.approx(100 * float((counts > 1).double().mean()), abs=1)
    assert "0.0%" in rectified.get_title()
    assert boundary.get_aspect() == 1.4


def test_figure_3_names_only_counts_that_can_be() -> None:
    def legend(num_classes: int) -> str:
        labels, softmax = scene(num_classes)
        figure = negatives_figure(labels, [Stage("now", softmax)], NAMES[:num_classes], "title")
        return "\n".join(text.get_text() for text in figure.legends[0].get_texts())

    assert legend(3) == "0: no gradient\n1: right\n2: wrong"
    assert legend(6) == "0: no gradient\n1: right\n2: wrong\n3: wrong\n4 or more: wrong"


def test_figure_3_refuses_a_softmax_that_does_not_fit() -> None:
    labels, softmax = scene(4)
    with pytest.raises(
        ValueError, match=r"softmax of 'now': expected shape \(3, 20, 30\).*got \(4, 20, 30\)"
    ):
        negatives_figure(labels, [Stage("now", softmax)], NAMES[:3], "title")


def test_figure_4_marks_where_the_region_wise_gradient_is_strongest() -> None:
    figure = small_gradients_figure()
    left, right = figure.subfigs
    line = left.axes[0].lines[-1].get_xydata()
    first = np.linalg.solve(np.vstack([CORNERS.T, np.ones(3)]), np.vstack([line.T, np.ones(2)]))[0]
    np.testing.assert_allclose(first, 0.5)  # barycentric coordinate of class 1
    region_wise, cross_entropy, point = right.axes[0].lines
    p = np.linspace(0, 1, 201)
    np.testing.assert_allclose(region_wise.get_xydata(), np.stack([p, -p * (1 - p)], 1), atol=1e-12)
    np.testing.assert_allclose(cross_entropy.get_xydata(), np.stack([p, p - 1], 1), atol=1e-12)
    assert point.get_xydata().tolist() == [[0.5, -0.25]]


@pytest.mark.parametrize("draw", [gradient_signs_figure, phantom_figure, small_gradients_figure])
def test_nothing_is_clipped(draw: Callable[[], Figure]) -> None:
    figure = draw()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn, (width, height) = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= width
    assert drawn.y1 <= height


@pytest.mark.slow
def test_command_writes_all_figures_the_same_every_time(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        main([str(tmp_path / folder)])
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == [f"figure{n}.{suffix}" for n in (2, 3, 4) for suffix in ("png", "svg")]
    for name in files:
        content = (tmp_path / "first" / name).read_bytes()
        assert len(content) > 10_000
        assert content == (tmp_path / "second" / name).read_bytes()


@pytest.mark.slow
def test_command_draws_figure_3_from_a_run(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg, choices = compose("train", [*tiny, "schedule.epochs=2", "loss=rw_boundary"])
    run = train_run(check(cfg), choices)
    main([str(tmp_path / "out"), "--run", str(run)])
    assert (tmp_path / "out" / "figure3.png").stat().st_size > 10_000
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path / "out"), "--run", str(run), "--case", "patient999"])
    assert stopped.value.code == 2
    assert "--case patient999: expected a case of dataset 'phantom'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "."], "expected a run directory"),
        (["--case", "patient001"], "--case: expected together with --run"),
    ],
)
def test_command_says_what_is_wrong(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_losses_on_a_label_file_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros((24, 36), np.uint8)
    labels[4:14, 5:20], labels[8:20, 14:30] = 1, 2
    Image.fromarray(labels).save(tmp_path / "mask.png")
    words = [
        "--data",
        str(tmp_path / "mask.png"),
        "--loss",
        "rw_boundary",
        "--loss",
        "rrw",
        "--loss",
        "focal gamma=3",
        "--map",
        "[boundary,{anneal: 0.5}]",
    ]
    main([str(tmp_path / "out"), *words])
    assert f"wrote {tmp_path / 'out' / 'own_labels.png'}" in capsys.readouterr().out
    text = (tmp_path / "out" / "own_labels.svg").read_text()
    names = ["own_labels.png", "own_labels.svg", "shares.csv", "shares.png", "shares.svg"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert "<svg" in text


def test_the_rows_of_own_labels_are_the_losses_and_their_wrong_signs(tmp_path: Path) -> None:
    labels = np.zeros((24, 36), np.uint8)
    labels[4:14, 5:20], labels[8:20, 14:30] = 7, 9
    Image.fromarray(labels).save(tmp_path / "mask.png")
    figure = own_labels_figure(
        own_labels(tmp_path / "mask.png", {name: [name] for name in ("rw_boundary", "rrw")})
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert {"labels", "weight of background", "weight of label 7", "weight of label 9"} <= set(titles)
    shares = [float(title.split("wrong sign in ")[1][:-1]) for title in titles if "wrong sign in" in title]
    assert min(shares[:2]) > 1  # the boundary map
    assert shares[3:] == [0.0, 0.0, 0.0]  # RRW
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["rw_boundary", "rrw"]


def test_shares_are_drawn_per_class_and_prediction(tmp_path: Path) -> None:
    labels = np.zeros((24, 36), np.uint8)
    labels[4:14, 5:20], labels[8:20, 14:30] = 7, 9
    Image.fromarray(labels).save(tmp_path / "mask.png")
    seen = own_labels(tmp_path / "mask.png", {name: [name] for name in ("rw_boundary", "rrw")})
    figure = own_shares_figure(seen)
    assert len(figure.axes) == 2 * (len(CONFIDENCES) + 1)
    wrong, parts = figure.axes[:2]
    heights = [bar.get_height() for bar in wrong.patches]
    assert max(heights[:3]) > 0.1  # the boundary map
    assert heights[3:] == [0.0, 0.0, 0.0]  # RRW
    for bars in (parts.patches[:3], parts.patches[3:]):
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
    curve = figure.axes[-2].lines[0].get_ydata()
    expected = sum(h * float((seen.labels == k).double().mean()) for k, h in enumerate(heights[:3]))
    assert curve[0] == pytest.approx(expected)  # the boundary map at the uniform prediction
    assert curve[-1] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "none.png"], "none.png: expected a label file, found none"),
        (["--data", "mask.png", "--loss", "rrv"], "did you mean 'rrw'?"),
        (["--data", "mask.png", "--loss", "rrw ce"], "expected one loss"),
        (["--data", "mask.png", "--map", "[rwr]"], "loss.map: expected a base map first"),
        (["--data", "mask.png", "--loss", "rrw 'x"], "expected words as a shell has them, got: No closing"),
        (["--data", "mask.png", "--map", "[rrw"], "expected every bracket to be closed"),
        (["--data", "mask.png", "--map", "[rrw,{class_weights: [1]}]"], "a list of numbers above 0"),
        (
            ["--data", "mask.png", "--map", "[rrw,{class_weights: [1,2,3]}]"],
            "loss.map: class_weights: expected 2",
        ),
        (
            ["--data", "mask.png", "--map", "[{hausdorff: 8},{power: 8}]"],
            "expected a finite loss of these labels",
        ),
        (["--map", "[rrw]"], "--map: expected together with --data LABELS"),
        (["--loss", "rrw"], "--loss: expected together with --data LABELS"),
        (["--data", "mask.png", "--run", "."], "--data LABELS: expected without --run RUN_DIR"),
    ],
)
def test_what_cannot_be_drawn_is_told(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.eye(8, dtype=np.uint8)).save("mask.png")
    with pytest.raises(SystemExit, match="2"):
        main(["out", *words])
    assert message in capsys.readouterr().err
