"""rwseg predict as it is typed: mixed pictures with a corrupt one, all that is written, an ensemble."""

from pathlib import Path

import numpy as np
import pytest
from made_run import make_run
from PIL import Image

import rwseg
from rwseg.commands import predict
from rwseg.experiments.export.hub_folder import write_hub_folder

PICTURES = 20
RGB = {"channels": ("red", "green", "blue"), "files_per_case": 1, "dataset": "folder"}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty RGB pictures of mixed sizes, one of them cut off."""
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for number in range(PICTURES):
        height, width = rng.integers(20, 90, 2)
        noise = rng.integers(0, 255, (height // 5 + 1, width // 5 + 1, 3), np.uint8)
        picture = noise.repeat(5, 0).repeat(5, 1)[:height, :width]
        Image.fromarray(picture).save(folder / f"p{number:02}.{'png' if number % 2 else 'jpg'}")
    cut = folder / "p07.png"
    cut.write_bytes(cut.read_bytes()[:-30])
    return folder


def run(words: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["rwseg", *map(str, words)])
    predict.main()


def test_one_corrupt_picture_of_twenty_is_named_and_the_others_are_done(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [make_run(tmp_path / f"run{s}", ["model.features=4"], seed=s, **RGB) for s in range(2)]
    hub = write_hub_folder(rwseg.load_run(runs[1], device="cpu"), "last", tmp_path / "hub")
    words = [runs[0], hub, pictures, "-o", tmp_path / "out", "trainer=cpu"]
    flags = ["--overlays", "--probabilities", "--uncertainty"]
    with pytest.raises(SystemExit) as ended:
        run([*words, *flags], monkeypatch)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "predicted 19 of 20 cases; 1 faults:" in said
    assert "p07.png: expected a complete picture" in said
    names = sorted(path.stem for path in pictures.iterdir() if path.stem != "p07")
    for kind in ("overlays", "probabilities", "entropy", "disagreement"):
        assert sorted(path.stem for path in (tmp_path / "out" / kind).iterdir()) == names
    for name in names:
        labels = np.asarray(Image.open(tmp_path / "out" / f"{name}.png"))
        with np.load(tmp_path / "out" / "probabilities" / f"{name}.npz") as file:
            probabilities = file["probabilities"]
        with Image.open(next(pictures.glob(f"{name}.*"))) as source:
            assert labels.shape == (source.height, source.width) == probabilities.shape[2:]
        np.testing.assert_array_equal(probabilities.argmax(0)[0], labels)
    shares = np.asarray(Image.open(tmp_path / "out" / "disagreement" / "p00.png"))
    assert (
        {0, 128} <= set(np.unique(shares)) <= {0, 128, 255}
    )  # of two members: their mean may be of a third class

    (tmp_path / "out" / "p03.png").unlink()
    with pytest.raises(SystemExit):
        run(words, monkeypatch)
    assert "predicted 1 of 2 cases; 1 faults:" in capsys.readouterr().err


def test_a_volume_alone(tmp_path: Path, phantom_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_run(tmp_path / "run", ["model.features=4"])
    image = phantom_root / "training" / "patient001" / "patient001_frame01.nii.gz"
    run([made, image, "-o", tmp_path / "out", "--overlays", "--uncertainty", "trainer=cpu"], monkeypatch)
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    name = "patient001_frame01"
    assert written == [f"entropy/{name}.nii.gz", f"overlays/{name}.png", f"{name}.nii.gz", "predictions.json"]
