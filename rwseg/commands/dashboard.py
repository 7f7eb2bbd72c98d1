"""Build W&B's views of a project: curves by group, wrong signs, the distribution over seeds, a comparison.

    rwseg dashboard PROJECT [--entity E]      needs an account (wandb login)
    rwseg dashboard PROJECT --dry-run         prints them as JSON instead

docs/tracking.md says what is where in W&B.
"""

import argparse
import sys
from collections.abc import Sequence

from rwseg.core.errors import RunError
from rwseg.report.dashboard import dashboard


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 2 with a message for what the user can mend."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.dry_run:
            print(dashboard(asked.project, asked.entity or "", saved=False).as_json())
        else:
            dashboard(asked.project, asked.entity or _default_entity(), saved=True).save()
    except RunError as error:
        print(f"rwseg dashboard: {error}", file=sys.stderr)
        return 2
    return 0


def _default_entity() -> str:
    import wandb

    try:
        return str(wandb.Api().default_entity)
    except wandb.errors.Error as error:
        raise RunError(
            f"expected an account (wandb login), got: {error}; "
            "look at the views without one by adding --dry-run"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rwseg dashboard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("project", metavar="PROJECT", help="W&B project, such as rwseg-acdc")
    add("--entity", metavar="E", help="user or team that owns it (default: the account's)")
    add("--dry-run", action="store_true", help="print the views as JSON, save nothing")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
