"""What composed maps do to a training: python -m benchmarks.map_effects [--write] [override ...]

Tables of docs/maps.md, from the packed runs in docs/results/maps and maps-phantom and those of rrw and
rw_boundary, rectified or not, of the stored studies beside them. Overrides such as `dataset.root=FOLDER` say
where the labels are, from whose training slices the shares of wrong signs and of gradient are computed;
without them those are left out.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.claims import filled, markdown
from rwseg.core.files import write_text
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepare_run
from rwseg.losses.theory import AnnealedShares, annealed_shares
from rwseg.report.baselines import baseline_folder
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.comparison import Comparison, Method, Run
from rwseg.report.comparison.convergence import lost_classes
from rwseg.report.comparison.packed_runs import read_packed
from rwseg.report.comparison.samples import MEAN
from rwseg.report.comparison.summary import pair_of

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "maps.md"
RRW, BOUNDARY = "rrw", "rw_boundary"
ALLOWED = ["commit"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or write them into the document."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--write", action="store_true", help="replace the tables in the document instead")
    options.add_argument("overrides", nargs="*")
    given = options.parse_args(arguments)
    found = tables(given.overrides)
    if given.write:
        write_text(DOCUMENT, filled(DOCUMENT.read_text(encoding="utf-8"), found, "benchmarks.map_effects"))
    else:
        print("\n\n".join(found.values()))


def tables(overrides: Sequence[str] = ()) -> dict[str, str]:
    """The tables by the name that their place in the document has."""
    runs, stored = _runs("maps", "acdc-small")
    seeds = _of_all(runs)
    own = [run for run in runs if run.seed in seeds]
    every = compare([*own, *stored], RRW, allowed=ALLOWED)
    lost = seeds_lost(compare([*runs, *stored], RRW, allowed=ALLOWED))
    return {
        "effects": effects(_alike(runs, stored)),
        "phantom": effects(_alike(*_runs("maps-phantom", "phantom-convergence"))),
        "annealing": annealing(every, predicted(overrides), lost),
    }


def _runs(folder: str, study: str) -> tuple[list[Run], list[Run]]:
    """The runs of composed maps, and those of the study whose losses stand beside them."""
    stored = [run for run in read_packed(baseline_folder(study)) if _is_plain(run)]
    return read_packed(ROOT / "docs" / "results" / folder), stored


def _alike(runs: Sequence[Run], stored: Sequence[Run]) -> Comparison:
    """All by the seeds that every map was trained with."""
    seeds = _of_all(runs)
    return compare([run for run in (*runs, *stored) if run.seed in seeds], RRW, allowed=ALLOWED)


def _of_all(runs: Sequence[Run]) -> set[int]:
    """The seeds that every map was trained with."""
    seeds: dict[str, set[int]] = {}
    for run in runs:
        seeds.setdefault(run.settings["loss.map"], set()).add(run.seed)
    return set.intersection(*seeds.values())


def _is_plain(run: Run) -> bool:
    """Whether it is of the RRW or the boundary map alone, rectified or not."""
    return run.choices["loss"] in (RRW, BOUNDARY) and run.choices["strategy"] == "alone"


def effects(found: Comparison) -> str:
    """A row per map: Dice of each class, runs that lost one, and the difference to RRW."""
    table = found.summary[found.summary["metric"] == "dice"]
    means = table.pivot(index="method", columns="class_name", values="mean")
    classes = [name for name in table["class_name"].unique() if name != MEAN]
    rows = []
    for method in found.methods:
        name, own = method.name, means.loc[method.name]
        cells = [name, f"{len(method.runs)}", *(f"{own[column]:.3f}" for column in (*classes, MEAN))]
        rows.append([*cells, _lost(found, name), "" if name == RRW else _beside(found, name)])
    return markdown(["map", "seeds", *classes, "mean", "lost a class", f"mean - {RRW}"], rows)


def seeds_lost(found: Comparison) -> dict[float, tuple[int, int]]:
    """By `t`: how many runs lose a class, and of how many: those whose seed loses one at t = 0."""
    steps = {step: method for method in found.methods if (step := _step(method)) is not None}
    lost = lost_classes(found.per_run)
    difficult = {seed for name, seed in lost if name == BOUNDARY}
    both = {step: difficult & {run.seed for run in method.runs} for step, method in steps.items()}
    return {
        step: (sum((steps[step].name, seed) in lost for seed in seeds), len(seeds))
        for step, seeds in both.items()
    }


def annealing(
    found: Comparison, shares: Mapping[float, AnnealedShares], lost: Mapping[float, tuple[int, int]]
) -> str:
    """A row per `t`: what it came to, and what the shares at the uniform prediction foretell.

    `lost` is that of `seeds_lost`.
    """
    steps = {_step(method): method.name for method in found.methods}
    columns = ["t", "final Dice", "lost a class", f"of seeds that do with {BOUNDARY}"]
    columns += ["wrong signs", "of the foreground", "gradient in it"]
    rows = []
    for t in sorted(step for step in steps if step is not None):
        final = found.convergence.set_index("method").loc[steps[t]]
        foretold = shares.get(t)
        rows.append(
            [
                f"{t:g}",
                f"{final['dice']:.3f} ± {final['std']:.3f}",
                _lost(found, steps[t]),
                "{} of {}".format(*lost[t]) if lost.get(t, (0, 0))[1] else "",
                *(f"{100 * value:.1f} %" for value in (foretold[1:] if foretold else ())),
            ]
        )
    return markdown(columns[: len(rows[0])], rows)


def predicted(overrides: Sequence[str]) -> dict[float, AnnealedShares]:
    """The shares on the training slices of the dataset, by `t`; none without overrides that say where."""
    if not overrides:
        return {}
    prepared = prepare_run(check(compose("train", ["experiment=acdc_small", *overrides])[0])).data
    slices = [torch.from_numpy(np.array(prepared.label(one))).long() for one in prepared.split("train")]
    of_volumes = [list(annealed_shares(volume, len(prepared.classes))) for volume in slices]
    weights = [len(volume) for volume in slices]
    return {
        same[0].t: AnnealedShares(same[0].t, *np.average([one[1:] for one in same], 0, weights).tolist())
        for same in zip(*of_volumes, strict=True)
    }


def _step(method: Method) -> float | None:
    """The `t` of annealing that a method is of: the boundary map is t = 0 to the bit."""
    if method.name == BOUNDARY:
        return 0.0
    parts = json.loads(method.runs[0].settings.get("loss.map", "[]"))
    annealed = len(parts) == 2 and parts[0] == "boundary" and isinstance(parts[1], dict)
    return float(parts[1]["anneal"]) if annealed and "anneal" in parts[1] else None


def _lost(found: Comparison, name: str) -> str:
    row = found.convergence.set_index("method").loc[name]
    return f"{row['collapsed']:.0f} of {row['runs']:.0f} [{row['low']:.0%}, {row['high']:.0%}]"


def _beside(found: Comparison, name: str) -> str:
    row = pair_of(found, name, RRW)
    return f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


if __name__ == "__main__":
    main()
