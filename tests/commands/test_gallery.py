"""The gallery of losses: complete, up to date, and pictures that show the gradient."""

import re
from collections import defaultdict
from pathlib import Path

import hydra.utils
import matplotlib.image
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from registered import LOSSES

from rwseg.commands.gallery import BRANCHES, REWARDS, main, read_entry
from rwseg.experiments.config.overrides import override_of
from rwseg.losses import CrossEntropyLoss, RegionWiseLoss, RRWLoss, SegmentationLoss
from rwseg.maps import Composition, boundary_map, rrw_map
from rwseg.report.figures.loss_gallery import ENLARGED, SHAPE, Scene, draw_gradient, example, gradient
from rwseg.report.gallery_maps import COMPOSED

DOCS = Path(__file__).parents[2] / "docs"
LARGEST_PICTURE = 12_000  # bytes


def load(file: Path) -> SegmentationLoss:
    loss = hydra.utils.instantiate(OmegaConf.load(file))
    assert isinstance(loss, SegmentationLoss)
    return loss


pytestmark = pytest.mark.xdist_group("gallery")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    docs = tmp_path_factory.mktemp("docs")
    main([str(docs)])
    return docs


def test_every_loss_has_one_row_of_five_cells(made: Path) -> None:
    rows = re.findall(r"^\| `\w+` .*$", (made / "losses.md").read_text(), re.MULTILINE)
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
    assert sorted(row[0].strip(" `") for row in cells) == [file.stem for file in LOSSES]
    for row in cells:
        assert len(row) == 5
        assert all(cell.strip() for cell in row)


def test_the_committed_gallery_is_what_the_command_writes(made: Path) -> None:
    assert (DOCS / "losses.md").read_text() == (made / "losses.md").read_text(), (
        "run rwseg gallery and commit docs"
    )
    ours, committed = made / "figures" / "losses", DOCS / "figures" / "losses"
    names = sorted(path.name for path in ours.iterdir())
    assert names == sorted(path.name for path in committed.iterdir())
    for name in names:
        new, old = (matplotlib.image.imread(folder / name) for folder in (ours, committed))
        assert new.shape == old.shape
        assert np.abs(new - old).mean() < 0.01, name  # a rounding error may move a pixel to the next colour
        assert (committed / name).stat().st_size < LARGEST_PICTURE


@pytest.mark.parametrize("name", ["maps.png", "maps_3d.png"])
def test_the_committed_figures_of_maps_are_what_the_command_draws(made: Path, name: str) -> None:
    new, old = (matplotlib.image.imread(folder / "figures" / name) for folder in (made, DOCS))
    assert new.shape == old.shape
    assert np.abs(new - old).mean() < 0.02


def test_compositions_are_typed_as_they_are_built() -> None:
    for one in COMPOSED:
        assert override_of(f"loss.map={one.typed}").value() == one.parts
        assert Composition.of(one.parts)


def test_links_of_the_gallery_lead_somewhere(made: Path) -> None:
    text = (made / "losses.md").read_text()
    pictures = set(re.findall(r"\]\((figures/losses/\w+\.png)\)", text))
    assert pictures == {f"figures/losses/{path.name}" for path in (made / "figures" / "losses").iterdir()}


@pytest.mark.parametrize("file", LOSSES, ids=lambda file: file.stem)
def test_a_row_quotes_file_and_docstring(file: Path) -> None:
    loss = load(file)
    entry = read_entry(file, loss)
    comment = file.read_text().splitlines()[0]
    assert f"({entry.source})" in comment
    if entry.branch == "region-wise":
        assert entry.formula in comment
        assert entry.rewards == REWARDS[file.stem]
    else:
        docstring = " ".join((type(loss).__doc__ or "").split())
        assert f", {entry.branch}" in comment
        assert entry.formula in docstring
        assert entry.rewards[1:] in docstring.split(". ")[0] + "."


def test_branches_are_modules() -> None:
    branches = defaultdict(set)
    for file in LOSSES:
        loss = load(file)
        branches[type(loss).__module__].add(read_entry(file, loss).branch)
    assert all(len(found) == 1 for found in branches.values())
    for branch, module in BRANCHES.items():
        assert branches[module.__name__] == {branch}
    assert set(REWARDS) == {
        file.stem for file in LOSSES if read_entry(file, load(file)).branch == "region-wise"
    }


def test_a_file_that_does_not_say_what_it_is_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text("# Some loss.\n_target_: rwseg.losses.RRWLoss\n")
    with pytest.raises(ValueError, match=r"odd.yaml: expected '# Title.*got '# Some loss.'"):
        read_entry(file, RRWLoss())


def test_the_example_has_hits_misses_and_false_alarms() -> None:
    scene = example()
    assert scene.labels.shape == (1, *SHAPE)
    confusion = torch.zeros(3, 3, dtype=torch.long)
    confusion.index_put_(
        (scene.labels.flatten(), scene.logits.argmax(1).flatten()), torch.tensor(1), accumulate=True
    )
    assert (confusion > 5).all()  # every class is taken for every class
    assert (confusion.diagonal() > 100).all()


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), RRWLoss()], ids=["ce", "rrw"])
def test_gradient_is_the_closed_form(loss: SegmentationLoss) -> None:
    scene = example()
    p = torch.softmax(scene.logits, 1).gather(1, scene.labels[:, None])[0, 0]
    push, wrong = gradient(loss, scene)
    if isinstance(loss, CrossEntropyLoss):
        expected = (1 - p) / p.numel()
    else:
        z = rrw_map(scene.labels, 3).double().gather(1, scene.labels[:, None])[0, 0]
        expected = p * (1 - p) * (1 - z) / (3 * p.numel())
    torch.testing.assert_close(push, expected, rtol=1e-6, atol=1e-12)
    assert not wrong.any()


def test_wrong_signs_of_a_boundary_map_are_those_of_equation_2() -> None:
    scene = example()
    _, wrong = gradient(RegionWiseLoss("boundary"), scene)
    z = boundary_map(scene.labels, 3).double()
    p = torch.softmax(scene.logits, 1)
    above_mean = z - (p * z).sum(1, keepdim=True)
    pushed_up = above_mean < 0
    true = torch.nn.functional.one_hot(scene.labels, 3).movedim(-1, 1).bool()
    exact = (pushed_up != true).any(1)[0]
    assert wrong.any()
    assert (wrong & ~exact).sum() == 0  # wrong only beyond rounding errors
    assert wrong.sum() > 0.5 * exact.sum()


def test_colours_and_hatches_of_a_picture(tmp_path: Path) -> None:
    rows, columns = SHAPE
    scene = Scene(torch.zeros(1, 3, *SHAPE), torch.zeros(1, *SHAPE, dtype=torch.long))
    push = torch.zeros(SHAPE)
    push[:, : columns // 2], push[: rows // 2, columns // 2 :] = 2.0, -2.0
    wrong = torch.zeros(SHAPE, dtype=torch.bool)
    wrong[rows // 2 :, columns // 2 :] = True
    draw_gradient(scene, push, wrong, tmp_path / "a.png")
    picture = matplotlib.image.imread(tmp_path / "a.png")[..., :3]
    assert picture.shape == (rows * ENLARGED, columns * ENLARGED, 3)
    towards, away = picture[0, 0], picture[0, -1]
    assert towards[2] > towards[0] > towards[1]  # purple
    assert away[0] > away[1] > away[2]  # orange
    assert (picture[:, : columns // 2 * ENLARGED] == towards).all()
    hatched = picture[rows // 2 * ENLARGED :, columns // 2 * ENLARGED :].reshape(-1, 3)
    shares = [float((hatched == shade).all(1).mean()) for shade in (0.0, 1.0)]
    assert shares == pytest.approx([1 / 8, 1 / 8])


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    scene = example()
    push, wrong = gradient(RegionWiseLoss("boundary"), scene)
    for name in ("a.png", "b.png"):
        draw_gradient(scene, push, wrong, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
