"""The command `rwseg NAME ...`, which runs `rwseg.commands.NAME` with the arguments after the name."""

import os
import sys
from difflib import get_close_matches
from importlib import import_module

from rwseg import __version__
from rwseg.core.own_code import import_from_current_folder
from rwseg.core.program import COMMANDS as HERE
from rwseg.core.unread import until_unread

COMMANDS = {
    "train": "train a run, or a sweep of them with -m",
    "evaluate": "measure runs on a split of a dataset",
    "predict": "segment new images with a run or an ensemble",
    "report": "compare runs: tables, tests, figures, a page",
    "doctor": "what is wrong with an installation or a dataset",
    "export": "a trained run for others: a hub folder, ONNX, torch.export",
    "plan": "what an experiment will cost",
    "theory": "the paper's figures 2 to 4, and a page to play with",
    "check-loss": "try a loss of your own on small images: what would spoil a training",
    "dashboard": "views of a project in Weights & Biases",
    "challenge": "submissions to the ACDC challenge",
    "nnunet-trainers": "the folder of trainers for nnU-Net v2",
    "augmentation": "a figure of the training augmentation",
    "gallery": "the documentation's gallery of losses",
    "stability": "wrong gradient signs of runs beside their Dice",
}


@until_unread()
def main() -> int:
    """Run the command that the first argument names; returns its exit status."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        listed = [f"  {command:{width}}  {says}" for command, says in COMMANDS.items()]
        print("\n".join(["usage: rwseg NAME ...; rwseg NAME --help says more", "", *listed]))
        return 0
    if name == "--version":
        print(f"rwseg {__version__}")
        return 0
    if {"-sc", "--shell-completion"} & set(sys.argv):
        return _complete([word for word in sys.argv[1:] if word not in COMMANDS])
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        print(f"rwseg: expected one of {', '.join(COMMANDS)}, got '{name}'{meant}", file=sys.stderr)
        return 2
    import_from_current_folder()
    # A sweep starts its jobs by this file, and messages begin with its name.
    module = name.replace("-", "_")
    sys.argv[:2] = [str(HERE / f"{module}.py")]
    return int(import_module(f"rwseg.commands.{module}").main() or 0)


def _complete(arguments: list[str]) -> int:
    """Answer a shell that completes a line, or print what it needs for that: Hydra's `-sc`, for any command.

    The shell knows the program `rwseg` alone; its line, in COMP_LINE, has the command.
    """
    name, space, words = os.environ.get("COMP_LINE", "rwseg train ").lstrip().partition(" ")[2].partition(" ")
    if not space:
        print("\n".join(command for command in COMMANDS if command.startswith(name)))
        return 0
    name = "train" if name in ("doctor", "plan") else name  # they take its words
    if name in ("train", "evaluate", "predict"):
        sys.argv = ["rwseg", *arguments]
        os.environ["COMP_LINE"] = f"rwseg {words}"
        import_module(f"rwseg.commands.{name}").main()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
