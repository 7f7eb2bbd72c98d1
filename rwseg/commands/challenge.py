"""The ACDC challenge, from predictions of its test set to the files that are submitted.

rwseg challenge export EVALUATION --root ACDC -o OUT   what rwseg evaluate split=test wrote, renamed
rwseg challenge check OUT --root ACDC                  status 1 and a line per fault, or 0
rwseg challenge table CASES_CSV...                     ED and ES apart, beside the paper's Table 5
"""

import argparse
import sys

from rwseg.core.errors import RwsegError
from rwseg.core.paths import user_path
from rwseg.report.challenge.submission import export, faults_of
from rwseg.report.challenge.table import phase_table


def main(arguments: list[str] | None = None) -> int:
    """Run the command; status 0, 1 where a submission has faults, 2 where there is none to look at."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.command == "table":
            print(phase_table(asked.cases))
            return 0
        if asked.command == "export":
            count = export(asked.evaluation, asked.root, asked.out)
            print(f"wrote {count} label maps to {asked.out}")
        faults = faults_of(asked.out, asked.root)
    except RwsegError as error:
        print(f"rwseg challenge: {error}", file=sys.stderr)
        return 2
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{asked.out}: {len(faults)} faults" if faults else f"{asked.out}: complete and sound")
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rwseg challenge", description="Export, check and tabulate results on ACDC."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    rename = commands.add_parser("export", help="copy predictions under the names of a submission")
    rename.add_argument("evaluation", type=user_path, help="folder that rwseg evaluate split=test wrote")
    rename.add_argument("-o", "--out", type=user_path, required=True, help="folder of the submission")
    check = commands.add_parser("check", help="say what is wrong with a submission")
    check.add_argument("out", type=user_path, help="folder of the submission")
    for command in (rename, check):
        command.add_argument("--root", type=user_path, required=True, help="ACDC with its folder testing/")
    table = commands.add_parser("table", help="per-phase table in the shape of the paper's Table 5")
    table.add_argument("cases", type=user_path, nargs="+", metavar="CASES_CSV")
    return parser


if __name__ == "__main__":
    sys.exit(main())
