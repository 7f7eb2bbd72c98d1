"""What each experiment of conf/experiment costs on this machine, from a few measured steps.

python -m benchmarks.projection [--seconds 20] [--device cuda] [--json FILE] [EXPERIMENT ...]

All commands in an experiment's file are counted. Steps are timed once per data, network and batch, with the
first loss: what a loss costs is small beside the network, and `rwseg plan` times each. The data are
those in RWSEG_DATA; an experiment whose data is not there is left out, with the reason.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.timing import machine, parser
from rwseg.core.errors import RwsegError
from rwseg.core.files import write_json
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.cost.estimate import Method, RunTimes, plan_rows, prepared_bytes
from rwseg.experiments.cost.measure import measure
from rwseg.experiments.cost.sweeps import commands_of, methods_of
from rwseg.experiments.run_directory import comparable

COST = ("dataset.", "model.", "augment.", "trainer.", "map.", "evaluation.flips")
"""The settings that decide what a step and a volume cost, but for the loss."""

STEPS = 20


def project(experiment: str, device: str, seconds: float, known: dict[str, RunTimes]) -> dict[str, Any]:
    """A row for an experiment; times that are not in `known` are measured and kept there."""
    trainer = f"trainer={'gpu' if device == 'cuda' else 'cpu'}"
    sweeps = [[*overrides, trainer] for overrides in commands_of(experiment)]
    methods = [replace(method, finished=0) for method in methods_of(sweeps)]  # all of it, whatever is done
    measured = {method.name: _measured(method, seconds, known) for method in methods}
    total = plan_rows(methods, measured)[-1]
    schedule, facts = methods[0].settings.schedule, measured[methods[0].name]
    return {
        "name": experiment,
        "runs": total["runs"],
        "batch": facts.batch,
        "steps_a_run": schedule.epochs * schedule.batches_per_epoch,
        "step_ms": 1e3 * facts.step,
        "volume_ms": 1e3 * facts.volume,
        "volumes": facts.volumes,
        "hours": total["hours_left"],
        "gb": total["gb_left"] + prepared_bytes(measured) / 1e9,
    }


def _measured(method: Method, seconds: float, known: dict[str, RunTimes]) -> RunTimes:
    facts = comparable(method.settings)
    key = repr(sorted((name, value) for name, value in facts.items() if name.startswith(COST)))
    if key not in known:
        known[key] = measure(method, STEPS, seconds)
    return replace(known[key], name=method.name)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seconds", type=float, default=20.0, help="time to measure each kind of step")
    options.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: all")
    asked = options.parse_intermixed_args(arguments)
    known: dict[str, RunTimes] = {}
    rows = []
    for experiment in asked.experiments or sorted(path.stem for path in (CONF / "experiment").glob("*.yaml")):
        try:
            rows.append(project(experiment, asked.device, asked.seconds, known))
        except RwsegError as error:
            print(f"{experiment}: left out: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        print("  ".join(f"{key} {_short(value)}" for key, value in rows[-1].items()), flush=True)
    if asked.json:
        tables = {"experiments, one run after another": rows}
        write_json(asked.json, {"machine": machine(asked.threads), "tables": tables})


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
