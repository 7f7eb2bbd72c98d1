"""Try a loss on small images: what of it would spoil a training, and what to do about that.

    rwseg check-loss mine.MyLoss weight=2      a class of mine.py in this folder, and its arguments
    rwseg check-loss mine.my_loss _partial_=true               a function of logits and labels
    rwseg check-loss loss=mine --config-dir my_conf            as rwseg train has it
    rwseg check-loss rrw                       one of rwseg's own

The rows are those that rwseg's own losses are tested by; docs/using-losses.md says what each means. A
picture shows where the loss pushes pixels, and where in a wrong direction. Exit status 1: a row fails.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from rwseg.core.errors import ConfigError, RwsegError
from rwseg.core.paths import user_path
from rwseg.experiments.command import INTERRUPTED
from rwseg.experiments.named_loss import NamedLoss, named_loss

if TYPE_CHECKING:
    from rwseg.losses.battery import Finding

COLOURS = {"pass": "green", "note": "yellow", "fails": "red"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 2 with a message for what the user can mend."""
    asked = _parser().parse_intermixed_args(arguments)
    try:
        return _check(asked, named_loss(asked.words, asked.config_dir))
    except RwsegError as error:
        print(f"rwseg check-loss: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


def _check(asked: argparse.Namespace, named: NamedLoss) -> int:
    """Print a line per row; they take seconds to import, and come after the words are known to be right."""
    from rwseg.losses.battery import CALLED, ROWS, check_loss
    from rwseg.report.figures.wrong_signs import SIGNS, wrong_signs
    from rwseg.training.figures import check_ending

    if asked.classes < 2:
        raise ConfigError(f"--classes: expected 2 or more, with the background, got {asked.classes}")
    if asked.out is not None:
        check_ending(asked.out)
    unknown = sorted(set(asked.allow) - {*ROWS, SIGNS})
    if unknown:
        raise ConfigError(f"--allow {unknown[0]}: expected one of {', '.join([*ROWS, SIGNS])}")
    path = asked.out or Path(named.cfg.output_root, "check-loss", f"{named.name}.png")
    loss = named.build()
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{named.name}, {asked.classes} classes", markup=False)

    def findings() -> Iterator["Finding"]:
        for finding in check_loss(loss, asked.classes):
            yield finding
            if finding.row == CALLED and finding.verdict == "fails":
                return
        yield wrong_signs(loss, asked.classes, path)

    failed = [found.row for found in findings() if _print(found, console, asked.allow) == "fails"]
    said = f"{len(failed)} row{'s' * (len(failed) > 1)} failed: {', '.join(failed)}"
    console.print(said if failed else "no row failed", markup=False)
    return 1 if failed else 0


def _print(finding: "Finding", console: Console, allowed: Sequence[str]) -> str:
    """Print a finding; returns its verdict, `note` where a failure is allowed."""
    accepted = finding.verdict == "fails" and finding.row in allowed
    verdict = "note" if accepted else finding.verdict
    console.print(f"  {verdict:5}  {finding.row:14}  {finding.found}", style=COLOURS[verdict], markup=False)
    if finding.advice:
        console.print(f"{'':25}{finding.advice}{' (allowed)' if accepted else ''}", markup=False)
    return verdict


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rwseg check-loss",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("words", nargs="+", metavar="WORD", help="the loss, and its arguments as NAME=VALUE")
    add("--classes", type=int, default=4, metavar="K", help="classes with the background (default: 4)")
    add(
        "--config-dir",
        type=user_path,
        metavar="DIR",
        help="a folder of your own options, such as loss/mine.yaml",
    )
    add(
        "--allow",
        action="append",
        default=[],
        metavar="ROW",
        help="a failure that is meant (may be repeated)",
    )
    add(
        "-o",
        "--out",
        type=user_path,
        metavar="PNG",
        help="picture (default: <output_root>/check-loss/NAME.png)",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
