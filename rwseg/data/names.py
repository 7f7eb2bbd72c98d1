"""What names of files say: which settings would pair them, and whether they are images of one subject."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from rwseg.core.faults import some

_TAIL = re.compile(r"(?P<subject>.*?)(?P<sign>[-_. ]*)(?P<word>[A-Za-z]*)\d+")
_FEW = 5
"""From so many subjects on, names without a digit are taken for those of subjects, not of classes."""


def name_options(images: Sequence[str], masks: Sequence[str]) -> str:
    """Settings by which images and masks of these names (without endings) would go together; may be empty."""
    if not masks:
        suffix = _common(_behind(images, set(images)), len(images) // 2)
        return _setting("mask_suffix", suffix) if suffix else ""
    suffix = _common(_behind(masks, set(images)), len(masks))
    if suffix:
        return _setting("mask_suffix", suffix)
    channels = Counter(_behind(images, set(masks)))
    if sum(channels.values()) == len(images) == len(masks) * len(channels):
        return _setting("channels", sorted(channels))
    words = [_common(map(_last_word, names), len(names)) for names in (images, masks)]
    if all(words):
        return f"{_setting('channels', words[:1])} {_setting('mask_suffix', words[1])}"
    return ""


def subject_pattern(names: Sequence[str]) -> str | None:
    """A pattern whose first group is the subject, where names look like several images of each; else None.

    They do where taking off the number at the end leaves fewer names, half as many at most.
    """
    matches = [match for match in map(_TAIL.fullmatch, names) if match is not None and match["subject"]]
    subjects = {match["subject"] for match in matches}
    numbered = len(subjects) >= _FEW or all(re.search(r"\d", subject) for subject in subjects)
    if len(subjects) < 2 or len(matches) < len(names) or 2 * len(subjects) > len(names) or not numbered:
        return None
    tails = Counter((match["sign"], match["word"]) for match in matches)
    (sign, word), _ = tails.most_common(1)[0]
    return f"(.+?){sign.replace('.', '[.]')}{word}[0-9]+$"


def several_of_one(names: Sequence[str]) -> str | None:
    """A sentence where names of cases, each its own subject, look like several images of each subject."""
    pattern = subject_pattern(names)
    if pattern is None:
        return None
    matches = [match for match in map(re.compile(pattern).match, names) if match is not None]
    subjects = dict.fromkeys(match[1] for match in matches)
    first = [match[0] for match in matches if match[1] == matches[0][1]]
    return (
        f"names look like several images of each of {len(subjects)} subjects ({some(first)}, ...), and each "
        "counts as a subject: folds may have one subject on both sides, and intervals come out too narrow; "
        f"say what a subject is (dataset=folder: 'dataset.subject=\"{pattern}\"'; nnU-Net's format: folds in "
        "splits_final.json)"
    )


def _behind(names: Iterable[str], shorter: Collection[str]) -> Iterator[str]:
    """What each name has behind the longest of the `shorter` ones that it begins with, sign first."""
    for name in names:
        ends = (i for i in range(len(name) - 1, 0, -1) if name[:i] in shorter and name[i] in "-_. ")
        end = next(ends, None)
        if end is not None:
            yield name[end:]


def _last_word(name: str) -> str:
    match = re.search(r"[-_. ][A-Za-z]+$", name)
    return match[0] if match else ""


def _common(endings: Iterable[str], wanted: int) -> str:
    """The one that is there `wanted` times, or more often; else nothing."""
    ((ending, count), *_) = [*Counter(endings).most_common(1), ("", 0)]
    return ending if count >= max(1, wanted) else ""


def _setting(name: str, value: str | Sequence[str]) -> str:
    """An override as a shell takes it; Hydra takes what is no plain word in quotes only."""
    if isinstance(value, str):
        plain = re.fullmatch(r"\w*[A-Za-z]\w*", value)
        return f"dataset.{name}={value}" if plain else f"'dataset.{name}=\"{value}\"'"
    words = ",".join(f'"{word.removeprefix("_")}"' for word in value)
    return f"'dataset.{name}=[{words}]'"
