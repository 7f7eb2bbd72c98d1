"""Phantom and ACDC in one data set (experiment=transfer): python -m benchmarks.transfer --data ACDC --out D.

D/acdc_10 has 10 of the training patients of ACDC, spread over all of them and so over the diagnoses, and
all that validate; D/acdc_10_phantom the same with 40 subjects of the built-in phantom, whose group is
PHANTOM. Both in ACDC's layout, with links to its files.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.label_noise import new_folder
from rwseg.data.datasets import acdc
from rwseg.data.datasets.phantom import write_phantom

PATIENTS, PHANTOMS = 10, 40

FIRST = 200
"""Numbers of ACDC's patients end before; the phantom's are even, so that it trains."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the data sets."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="ACDC as it was published, with training/")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    asked = parser.parse_args(arguments)
    print("\n".join(map(str, write_transfer(asked.data.absolute(), asked.out.absolute()))))


def write_transfer(
    data: Path, out: Path, patients: int = PATIENTS, phantoms: int = PHANTOMS
) -> tuple[Path, Path]:
    """Write both data sets and return their roots; `FileExistsError` where `out` is there."""
    cases = acdc.load(data).cases
    training = sorted({case.subject for case in cases if case.split == "train"})
    kept = {training[round(place)] for place in np.linspace(0, len(training) - 1, patients)}
    subjects = sorted(kept | {case.subject for case in cases if case.split == "val"})
    begun = new_folder(out)
    names = f"acdc_{patients}", f"acdc_{patients}_phantom"
    for root in (begun / name for name in names):
        (root / "training").mkdir(parents=True)
        for subject in subjects:
            (root / "training" / subject).symlink_to(data / "training" / subject)
    write_phantom(begun / "phantom", phantoms)
    for number, folder in enumerate(sorted((begun / "phantom" / "training").iterdir())):
        _add(folder, begun / names[1] / "training" / f"patient{FIRST + 2 * number}")
    begun.rename(out)
    return out / names[0], out / names[1]


def _add(phantom: Path, folder: Path) -> None:
    """A subject of the phantom as a patient of another name, and of the group PHANTOM."""
    folder.mkdir()
    for path in phantom.glob("*.nii.gz"):
        path.rename(folder / path.name.replace(phantom.name, folder.name))
    info = (phantom / "Info.cfg").read_text(encoding="utf-8").replace("Group: NOR", "Group: PHANTOM")
    (folder / "Info.cfg").write_text(info, encoding="utf-8")


if __name__ == "__main__":
    main()
