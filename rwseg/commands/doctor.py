"""Say what is wrong with an installation or a dataset: rwseg doctor [dataset=acdc] [setting=value] ...

It takes all that rwseg train does.

Without a dataset: versions, devices, disk. With one: every case is read; class shares, geometry and faults
are told, a contact sheet is drawn, the data is prepared, and a few training steps of the chosen configuration
are timed. Exit status 0: a run can start; 1: it cannot.
"""

import argparse
import sys
from pathlib import Path

from rwseg.core import terminal
from rwseg.core.errors import ConfigError, RwsegError
from rwseg.core.paths import user_path
from rwseg.experiments.command import INTERRUPTED
from rwseg.experiments.composition import preflight


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    asked, words = _parser().parse_known_args(arguments)
    console = terminal.console(soft_wrap=True)
    try:
        jobs = preflight("train", ["-m", *words])
        if len(jobs) != 1:
            form = "in quotes where it holds a comma: 'dataset.root=\"/data/a,b\"'"
            raise ConfigError(f"expected one run to examine, got {len(jobs)}; give one value of each, {form}")
        cfg, _ = jobs[0]
        # Only now: a mistyped option is answered at once, and these take seconds to import.
        from rwseg.report.doctor.examine import examine
        from rwseg.report.doctor.findings import print_findings
        from rwseg.report.doctor.installation import PREPARED, installation

        found = list(installation({"runs": Path(cfg.output_root), PREPARED: Path(cfg.prepared_root)}))
        print_findings(found, console)
        if any(override.startswith(("dataset", "experiment")) for override in words):
            found += examine(
                cfg, asked.out or Path(cfg.output_root, "doctor", f"{cfg.dataset.name}.png"), console
            )
    except RwsegError as error:
        console.print(f"fault {error}", style="red", highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted")
        return INTERRUPTED
    faults = sum(finding.level == "fault" for finding in found)
    console.print(f"{faults} faults: a run cannot start" if faults else "a run can start")
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rwseg doctor",
        usage="%(prog)s [-o OUT] [group=option] [setting=value] ...",
        allow_abbrev=False,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--out", type=user_path, help="contact sheet (default: <output_root>/doctor/<dataset>.png)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
