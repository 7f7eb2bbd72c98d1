"""Names of files: whose images they look like, and which settings would pair them."""

from collections.abc import Sequence

import pytest

from rwseg.data.names import name_options, several_of_one, subject_pattern
from rwseg.experiments.config.overrides import override_of
from rwseg.experiments.config.rules import is_names, is_subject


def numbered(form: str, subjects: Sequence[object], count: int = 4) -> list[str]:
    return [form.format(subject, number) for subject in subjects for number in range(count)]


@pytest.mark.parametrize(
    ("form", "subjects", "pattern"),
    [
        ("patient{:02}_slice{}", range(6), "(.+?)_slice[0-9]+$"),
        ("TCGA_CS_{}_{}", [4941, 4942, 5393], "(.+?)_[0-9]+$"),
        ("p{}.{:03}", range(3), "(.+?)[.][0-9]+$"),
        ("{}-frame{}", ["smith", "jones", "lee", "kim", "ali"], "(.+?)-frame[0-9]+$"),
        ("patient{:03}_frame{:02}", range(50), "(.+?)_frame[0-9]+$"),
    ],
)
def test_several_images_of_a_subject_are_noticed(form: str, subjects: Sequence[object], pattern: str) -> None:
    names = numbered(form, subjects)
    assert subject_pattern(names) == pattern
    said = several_of_one(names)
    assert said is not None
    assert f"of each of {len(subjects)} subjects ({names[0]}, {names[1]}, " in said
    override = override_of(said.split("'")[1])
    assert override.key_or_group == "dataset.subject"
    assert is_subject(override.value())
    assert override.value() == pattern


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a"],
        numbered("img{1:03}", [0], 60),  # one sequence
        numbered("BRATS_{1:03}", [0], 60),
        numbered("{}_{}", ["benign", "malignant"], 30),  # classes
        [f"patient{number:03}" for number in range(60)],
        [f"sub-{number:02}_ses-1" for number in range(60)],  # one image each
        numbered("p{}_{}", range(9), 1),
        [*numbered("p{}_{}", range(9)), "atlas"],
    ],
    ids=lambda names: str(names[:1]),
)
def test_other_names_are_left_in_peace(names: list[str]) -> None:
    assert subject_pattern(names) is None
    assert several_of_one(names) is None


@pytest.mark.parametrize(
    ("images", "masks", "options"),
    [
        (["a", "b"], ["a_mask", "b_mask"], "dataset.mask_suffix=_mask"),
        (["a", "b"], ["a-gt", "b-gt"], "'dataset.mask_suffix=\"-gt\"'"),
        (["a", "a_seg", "b", "b_seg"], [], "dataset.mask_suffix=_seg"),
        (["a_dapi", "b_dapi", "a_gfp", "b_gfp"], ["a", "b"], '\'dataset.channels=["dapi","gfp"]\''),
        (["a_0000", "a_0001"], ["a"], '\'dataset.channels=["0000","0001"]\''),
        (
            ["a_image", "b_image"],
            ["a_mask", "b_mask"],
            "'dataset.channels=[\"image\"]' dataset.mask_suffix=_mask",
        ),
        (["a", "b"], ["c", "d"], ""),
        (["a", "b"], [], ""),
        ([], [], ""),
        (["img1", "img10"], [], ""),
    ],
)
def test_settings_that_pair_names_are_found(images: list[str], masks: list[str], options: str) -> None:
    assert name_options(images, masks) == options
    for text in options.replace("'", "").split():
        value = override_of(text).value()
        assert isinstance(value, str) or is_names(value)
