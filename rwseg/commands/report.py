"""Compare runs, or see what they are doing.

    rwseg report DIR... [-o OUT]          tables, tests, figures and a page from all runs below DIR
    rwseg report --status DIR [--watch]   how far they are
    rwseg report DIR... --baseline STUDY  the same beside the stored runs of a study that comes with rwseg
    rwseg report DIR... --pack FOLDER     all that they measured, in tables to keep

docs/report.md says what every number is.
"""

import argparse
import sys
from collections.abc import Sequence

from rwseg.core.errors import RwsegError
from rwseg.core.paths import user_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 2 with a message for what the user can mend.

    What takes seconds to import is imported after the options are known to be right.
    """
    parser = _parser()
    asked = parser.parse_args(arguments)
    if not asked.runs and (asked.status or not asked.baseline):
        parser.error("the following arguments are required: DIR")
    try:
        if asked.status:
            from rwseg.report.status.status import show

            show(asked.runs, asked.watch)
        else:
            from rwseg.report.command import report

            report(asked)
    except RwsegError as error:
        print(f"rwseg report: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rwseg report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "runs",
        nargs="*",
        type=user_path,
        metavar="DIR",
        help="run directories or packed runs, or folders that hold some",
    )
    add("-o", "--output", type=user_path, metavar="OUT", help="folder for the report (default: report)")
    add("--reference", metavar="METHOD", help="method that the others are tested against (default: rrw)")
    add(
        "--threshold",
        type=float,
        metavar="DICE",
        help="final mean Dice below which a run is slow (default: 0.8 of its method's median)",
    )
    for name, says in (
        ("--compare", "a setting or group that sets methods apart, besides loss and strategy"),
        ("--allow", "a difference that the fairness guard is to accept, such as commit"),
    ):
        add(name, action="append", default=[], metavar="KEY", help=f"{says} (may be repeated)")
    add(
        "--baseline",
        action="append",
        default=[],
        metavar="STUDY",
        help="add the stored runs of a study that comes with rwseg, such as acdc-small",
    )
    add("--title", help="heading of the report")
    add(
        "--no-gallery",
        action="store_true",
        help="no pictures of cases on the page, for a report that may be shown where the images may not",
    )
    add(
        "--pack",
        type=user_path,
        metavar="FOLDER",
        help="write what all finished runs measured as tables into FOLDER, to be kept or published",
    )
    add("--status", action="store_true", help="show what the runs are doing instead")
    add("--watch", action="store_true", help="with --status: until they have finished")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
