"""Runs that differ in their seed only become a method, named by what sets it apart."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from rwseg.core.errors import RunError
from rwseg.experiments.config.map_words import SETTING, described
from rwseg.experiments.config.rules import COMPOSED
from rwseg.report.comparison.comparison import Method, Run

COMPARED = ("loss", "strategy")
"""What is compared unless the user adds to it."""

Key = tuple[tuple[str, str], ...]

PARTNERS = {"dice": "Dice", "ce": "CrossEntropy"}
"""The losses that options of `strategy` are named after."""

ABSENT = "absent"

HASHES = ("commit", "data", "split")
FACTS = (*HASHES, "device")
"""What decides a result beside the settings. The device decides the precision too, where that is `auto`."""


def facts(run: Run) -> dict[str, str]:
    """All that a run's numbers depend on besides its seed: its settings and `FACTS`."""
    beside = dict(zip(FACTS, (run.commit, run.data_digest, run.split_digest, run.device), strict=True))
    return {**run.settings, **beside}


def belongs(key: str, names: Iterable[str]) -> bool:
    """Whether `key` is one of `names` or below one: `loss.rectify` belongs to `loss`."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def group(runs: Sequence[Run], compared: Sequence[str] = COMPARED) -> tuple[Method, ...]:
    """The methods of finished `runs`: those that agree in all settings that belong to `compared`.

    Ordered by name, the runs of each by seed. Raises `RunError` naming both folders where a method has a
    seed twice: one of them would be counted double.
    """
    alike: dict[Key, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.seed, str(run.folder))):
        alike[_key(run, compared)].append(run)
    methods = [
        Method(name, tuple(same))
        for name, same in zip(
            _names(list(alike), list(alike.values()), compared), alike.values(), strict=True
        )
    ]
    _refuse_twice(methods)
    return tuple(sorted(methods, key=lambda method: method.name))


def swept(runs: Sequence[Run], apart: Sequence[str]) -> list[str]:
    """The settings that a sweep went over: every method was trained with the same values of them.

    And with one seed or more in common. What such runs differ in is meant to be compared; `apart` are
    settings that set methods apart anyway, or are allowed to differ.
    """
    alike: dict[Key, list[Run]] = defaultdict(list)
    for run in runs:
        alike[_key(run, apart)].append(run)
    names = sorted(unequal(runs, apart))
    trained = [_seeds_of(same, names) for same in alike.values()]
    is_sweep = len({frozenset(seeds) for seeds in trained}) == 1
    is_paired = all(frozenset.intersection(*map(frozenset, seeds.values())) for seeds in trained)
    return names if is_sweep and is_paired else []


def unequal(runs: Sequence[Run], apart: Sequence[str]) -> set[str]:
    """The settings in which `runs` differ, without those that belong to `apart`."""
    keys = {key for run in runs for key in run.settings if not belongs(key, apart)}
    return {key for key in keys if len({run.settings.get(key, ABSENT) for run in runs}) > 1}


def _seeds_of(runs: Sequence[Run], names: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    """The seeds for each combination of values of the settings `names`."""
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for run in runs:
        found[tuple(run.settings.get(name, ABSENT) for name in names)].append(run.seed)
    return found


def names_without(runs: Iterable[Run], methods: Iterable[Method], compared: Sequence[str]) -> list[str]:
    """Names of the methods among `runs` that are not in `methods`."""
    alike: dict[Key, list[Run]] = {}
    for run in runs:
        if run.settings:  # else its configuration could not be read
            alike.setdefault(_key(run, compared), []).append(run)
    there = {_key(method.runs[0], compared) for method in methods}
    names = _names(list(alike), list(alike.values()), compared)
    return sorted(name for key, name in zip(alike, names, strict=True) if key not in there)


def _key(run: Run, compared: Sequence[str]) -> Key:
    """All settings of a run that belong to `compared`: runs of one method have the same."""
    return tuple(sorted((name, value) for name, value in facts(run).items() if belongs(name, compared)))


def _names(keys: Sequence[Key], groups: Sequence[list[Run]], compared: Sequence[str]) -> list[str]:
    settings = [dict(key) for key in keys]
    choices = [runs[0].choices for runs in groups]
    words = [_first_words(choice, own) for choice, own in zip(choices, settings, strict=True)]
    for name in compared:
        if name in COMPARED:
            continue
        if len({choice.get(name) for choice in choices}) > 1:
            for own, choice in zip(words, choices, strict=True):
                own.append(f"{name}={choice.get(name, ABSENT)}")
    for own, more in zip(words, _differences(words, settings), strict=True):
        own += more
    return [", ".join(own) for own in words]


def _first_words(choices: Mapping[str, str], settings: Mapping[str, str]) -> list[str]:
    """`rw_boundary + dice, equal, rectified` as a list: loss with its partner, strategy, rectified."""
    target = settings.get("loss._target_", '"loss"').strip('"')
    loss, strategy = choices.get("loss", target.rpartition(".")[2]), choices.get("strategy", "alone")
    mode, _, partner = strategy.partition("_")
    partner = _other_partner(partner, settings) or partner
    words = [f"{loss} + {partner}", mode] if partner else [loss, *([] if mode == "alone" else [mode])]
    if SETTING in settings and target == COMPOSED:
        words[0] = words[0].replace(loss, f"{loss}({described(json.loads(settings[SETTING]))})", 1)
    return [*words, *(["rectified"] if settings.get("loss.rectify") == "true" else [])]


def _other_partner(option: str, settings: Mapping[str, str]) -> str:
    """`GeneralizedDice` where the strategy's partner is not the one that its option is named after."""
    name = settings.get("strategy.partner._target_", "").strip('"').rpartition(".")[2].removesuffix("Loss")
    return "" if name in ("", PARTNERS.get(option)) else name


def _differences(words: Sequence[list[str]], settings: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """For each method the `key=value` in which it differs from others that have the same words so far."""
    found = []
    for own, mine in zip(words, settings, strict=True):
        rivals = [theirs for other, theirs in zip(words, settings, strict=True) if other == own]
        keys = sorted({key for rival in rivals for key in rival})
        differing = [key for key in keys if len({rival.get(key, ABSENT) for rival in rivals}) > 1]
        found.append([f"{key}={shown(key, mine.get(key, ABSENT))}" for key in differing])
    return found


def shown(key: str, value: str) -> str:
    """A fact as a reader wants it: words without quotes, hashes of a dozen signs."""
    if key in HASHES:
        head, dash, mark = value.partition("-")
        return f"{head[:12]}{dash}{mark}"
    if key in FACTS or value == ABSENT:
        return value
    content = json.loads(value)
    return content if isinstance(content, str) else value


def _refuse_twice(methods: Iterable[Method]) -> None:
    lines, keys = [], set[str]()
    for method in methods:
        first: dict[int, Run] = {}
        for run in method.runs:
            if run.seed in first:
                other = first[run.seed]
                differing = unequal([other, run], ())
                keys |= differing
                how = f" (they differ in {', '.join(sorted(differing))})" if differing else ""
                lines.append(f"  - {method.name}, seed {run.seed}: {other.folder} and {run.folder}{how}")
            first.setdefault(run.seed, run)
    if lines:
        advice = " ".join(f"--compare {key}" for key in sorted(keys))
        raise RunError(
            "\n".join(
                [
                    "expected each seed once per method, got two runs that agree in all that is compared:",
                    *lines,
                    f"leave one out{', or compare what they differ in: ' if advice else ''}{advice}",
                ]
            )
        )
