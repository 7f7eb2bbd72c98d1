"""Print the folder of the trainers for nnU-Net v2, for its environment variable `nnUNet_extTrainer`.

    export nnUNet_extTrainer=$(rwseg nnunet-trainers)
    nnUNetv2_train 27 2d 0 -tr nnUNetTrainerRRW

docs/nnunet.md lists the trainers. nnU-Net wants the variable in every command that uses a trained model, too.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import rwseg


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 2 with a message where nnU-Net is not installed."""
    parser = argparse.ArgumentParser(
        prog="rwseg nnunet-trainers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    if find_spec("nnunetv2") is None:
        print(
            "rwseg nnunet-trainers: expected nnU-Net v2 (nnunetv2) in this environment, found none; "
            "pip install 'rwseg[nnunet]'",
            file=sys.stderr,
        )
        return 2
    print(Path(rwseg.__file__).parent / "experiments" / "nnunet" / "trainers")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
