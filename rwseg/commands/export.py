"""A trained run for others: a folder of a model hub, an ONNX file, a torch.export program.

    rwseg export RUN --hub DIR               weights in safetensors, config.json and a model card
    rwseg export RUN --onnx model.onnx       for onnxruntime, with what its user must know in model.json
    rwseg export RUN --torch-export model.pt2

An ONNX file and a program are loaded again and compared with PyTorch before they are kept; a hub folder has
the weights as they are. rwseg.load_run and rwseg predict take hub folders and ONNX files in place of a run
directory. Nothing is uploaded.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rwseg.core.errors import ConfigError, RwsegError
from rwseg.core.paths import user_path
from rwseg.experiments.command import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 2 with a message for what the user can mend."""
    asked = _parser().parse_args(arguments)
    try:
        _export(asked)
    except RwsegError as error:
        print(f"rwseg export: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _export(asked: argparse.Namespace) -> None:
    if asked.hub is None and asked.onnx is None and asked.torch_export is None:
        raise ConfigError("expected at least one of --hub DIR, --onnx FILE and --torch-export FILE")
    for path, ending in ((asked.onnx, ".onnx"), (asked.torch_export, ".pt2")):
        if path is not None and path.suffix != ending:
            raise ConfigError(f"{path}: expected a file ending in {ending}")
    from rwseg.experiments.export.graph import check_sidecar, write_onnx, write_program
    from rwseg.experiments.export.hub_folder import is_hub_folder, write_hub_folder
    from rwseg.experiments.load_run import load_run

    if asked.run.is_file() or is_hub_folder(asked.run):
        raise ConfigError(
            f"{asked.run}: expected a run directory, got what was exported; export the run itself"
        )
    if asked.onnx is not None:
        check_sidecar(asked.onnx)
    predictor = load_run(asked.run, asked.checkpoint, "cpu")
    if asked.hub is not None:
        folder = write_hub_folder(predictor, asked.checkpoint, asked.hub)
        print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    if asked.onnx is not None:
        print(write_onnx(predictor, asked.checkpoint, asked.onnx))
    if asked.torch_export is not None:
        print(write_program(predictor, asked.torch_export))


def _path(text: str) -> Path:
    return user_path(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rwseg export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=_path, metavar="RUN", help="a run directory")
    parser.add_argument("--hub", type=_path, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--onnx", type=_path, metavar="FILE", help="needs rwseg[onnx]")
    parser.add_argument("--torch-export", type=_path, metavar="FILE")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="whose weights (last)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
