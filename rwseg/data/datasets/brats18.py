"""BraTS 2018: the challenge's training download (high-grade gliomas) and the paper's split.

    root/HGG/Brats18_2013_2_1/Brats18_2013_2_1_t2.nii.gz     and likewise t1, t1ce, flair
                              Brats18_2013_2_1_seg.nii.gz    1 NCR/NET, 2 edema, 4 enhancing tumour

The paper (`datasplits/brats18.py` of its authors) takes the 210 high-grade cases in the order of their
names: indices 0, 2, ... train, 1, 3, ... validate; of an incomplete download the same rule makes another
split. The low grades (root/LGG) are left alone. A download with only some of the modalities, the same ones
in every case, gives those channels.
"""

from pathlib import Path

from rwseg.data.case import Case, Dataset, Source
from rwseg.data.datasets.layout import Layout, missing_files, subfolders

HOMEPAGE = "https://www.med.upenn.edu/sbia/brats2018/data.html"
CLASSES = ("background", "NCR_NET", "ED", "ET")
LABEL_VALUES = ((0,), (1,), (2,), (4,))
MODALITIES = ("t2", "t1", "t1ce", "flair")
"""In the paper's channel order."""

LAYOUT = Layout(
    tree="root/HGG/Brats18_*/{Brats18_*_t2, _t1, _t1ce, _flair and _seg}.nii.gz",
    unit="case",
    origin=f"BraTS 2018 is free after registration: {HOMEPAGE} (root is MICCAI_BraTS_2018_Data_Training)",
)


def load(root: Path) -> Source:
    """List the high-grade cases below `root`, sorted by name; channels are the modalities that are there.

    Raises `DataError` where `root` is not in the challenge's layout, and for cases that lack their labels or
    a modality that other cases have, all together.
    """
    folders = subfolders(root / "HGG", "Brats18_*")
    LAYOUT.check_found(root, folders)
    there = [name for name in MODALITIES if any(_file(folder, name).is_file() for folder in folders)]
    cases, faults = [], []
    for index, folder in enumerate(folders):
        images = tuple(_file(folder, name) for name in there or MODALITIES)
        label = _file(folder, "seg")
        faults += missing_files(folder, [*images, label])
        split = "val" if index % 2 else "train"
        cases.append(Case(folder.name, folder.name, "", split, images, label))
    LAYOUT.check_sound(root, faults)
    channels = tuple(name.upper() for name in there)
    return Source(tuple(cases), CLASSES, channels, LABEL_VALUES)


def _file(folder: Path, kind: str) -> Path:
    return folder / f"{folder.name}_{kind}.nii.gz"


BRATS18 = Dataset(
    name="brats18",
    licence="The challenge's terms: research only, after registration, with citation",
    reference=(
        "Menze et al., The Multimodal Brain Tumor Image Segmentation Benchmark (BRATS), IEEE Transactions on "
        "Medical Imaging 34(10):1993-2024, 2015"
    ),
    homepage=HOMEPAGE,
    load=load,
    shares=(98.92, 0.16, 0.66, 0.26),
    subjects=210,
)
