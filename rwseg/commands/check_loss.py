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
from rwseg.experiments.composition import preflight
from rwseg.experiments.config.targets import CUSTOM, displayed

if TYPE_CHECKING:
    from rwseg.losses.battery import Finding

AS_GIVEN = ("loss", "+loss", "~loss", "hydra.")
"""Words that are passed on as they are; others are arguments of the loss."""

COLOURS = {"pass": "green", "note": "yellow", "fails": "red"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 2 with a message for what the user can mend."""
    asked = _parser().parse_intermixed_args(arguments)
    try:
        folder = [] if asked.config_dir is None else ["--config-dir", str(asked.config_dir)]
        jobs = preflight("train", ["-m", *folder, *overrides_of(asked.words)])
        if len(jobs) != 1:
            raise ConfigError(f"expected one loss to check, got {len(jobs)}; give one value of each")
        return _check(asked, *jobs[0])
    except RwsegError as error:
        print(f"rwseg check-loss: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


def overrides_of(words: Sequence[str]) -> list[str]:
    """Overrides as `rwseg train` takes them; `ConfigError` where no loss is named, or two."""
    names = [word for word in words if "=" not in word and not word.startswith("~")]
    rest = [word for word in words if word not in names]
    given = [word for word in rest if word.startswith("loss=")]
    if len(names) + len(given) != 1:
        got = " ".join(names + given) or "none"
        raise ConfigError(f"expected one loss, such as mine.MyLoss, rrw or loss=mine, got {got}")
    is_path = any("." in name for name in names)
    chosen = [f"loss={name}" for name in names]
    if is_path:
        chosen = [f"loss={CUSTOM}", f"loss._target_={names[0]}"]
    prefix = "+loss." if is_path else "loss."
    return [*chosen, *(word if word.startswith(AS_GIVEN) else f"{prefix}{word}" for word in rest)]


def _check(asked: argparse.Namespace, cfg: object, choices: dict[str, str]) -> int:
    """Print a line per row; they take seconds to import, and come after the words are known to be right."""
    from hydra.errors import InstantiationException

    from rwseg.losses import build_loss
    from rwseg.losses.battery import CALLED, ROWS, check_loss
    from rwseg.report.figures.wrong_signs import SIGNS, wrong_signs

    unknown = sorted(set(asked.allow) - {*ROWS, SIGNS})
    if unknown:
        raise ConfigError(f"--allow {unknown[0]}: expected one of {', '.join([*ROWS, SIGNS])}")
    name = displayed(cfg, choices)["loss"]
    path = asked.out or Path(cfg.output_root, "check-loss", f"{name}.png")  # type: ignore[attr-defined]
    try:
        loss = build_loss(cfg).main
    except InstantiationException as error:
        raise ConfigError(str(error)) from error
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{name}, {asked.classes} classes", markup=False)

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
