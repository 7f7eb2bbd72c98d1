"""What is built from a checkout, and the commands of a wheel that is installed where no checkout is."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_string
from importlib.util import find_spec
from pathlib import Path

import pytest

import rwseg

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {"README.md", "CHANGELOG.md", "LICENSE"}
SOURCES = {"pyproject.toml", "setup.py", "MANIFEST.in", "conf", "docs", "rwseg", "hydra_plugins", *TEXTS}
BESIDE = {"tests", "benchmarks", "train.py", "evaluate.py"}
PACKED = {"runs.csv.gz", "epochs.csv.gz", "machines.csv", "settings.json"}
STUDIES = sorted(path.parent.name for path in (ROOT / "docs" / "results").glob("*/runs.csv.gz"))
INFO = f"rwseg-{rwseg.__version__}.dist-info"

pytestmark = pytest.mark.xdist_group("wheel")


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build an `sdist` or `wheel` of `source` in this environment, as `pip` and `build` do it."""
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(folder)!r}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120, check=True)
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, and beside it its content in `rwseg-<version>`."""
    folder = tmp_path_factory.mktemp("sdist")
    source = folder / "checkout"
    source.mkdir()
    for name in SOURCES | BESIDE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    built = build("sdist", source, folder)
    with tarfile.open(built) as archive:
        archive.extractall(folder, filter="data")
    return built


@pytest.fixture(scope="session")
def wheel(sdist: Path) -> Path:
    """The wheel that the source distribution builds."""
    folder = sdist.with_name("from_sdist")
    folder.mkdir()
    return build("wheel", sdist.with_name(f"rwseg-{rwseg.__version__}"), folder)


@pytest.fixture(scope="session")
def installed(wheel: Path) -> Path:
    """`bin/` of an environment with the wheel: what it depends on is this environment's, rwseg is not."""
    folder = wheel.with_name("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "-q",
        wheel,
    ]
    subprocess.run(command, timeout=120, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Python reads no .pth file of a folder that another one names: not that of an editable rwseg either.
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def run(installed: Path, folder: Path, *words: str, status: int = 0) -> str:
    """What an installed command prints in `folder`."""
    own = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "RWSEG_", "COLUMNS"))
    }
    environment = {**own, "PATH": f"{installed}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


BATCHES = ("schedule.epochs=1", "schedule.batches_per_epoch=2")
SMALL = (*BATCHES, "model.features=4", "evaluation.flips=false", "trainer=cpu")


def files_of(folder: Path, pattern: str = "*") -> set[str]:
    found = (path for path in folder.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found}


def test_the_wheel_holds_the_package_the_options_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    own = {name for name in names if not name.startswith(f"{INFO}/")}
    expected = {f"rwseg/{name}" for name in files_of(ROOT / "rwseg")}
    expected |= {f"hydra_plugins/{name}" for name in files_of(ROOT / "hydra_plugins")}
    expected |= {f"rwseg/conf/{name}" for name in files_of(ROOT / "conf")}
    assert own == expected | {f"rwseg/baselines/{study}/{name}" for study in STUDIES for name in PACKED}
    plugins = [name for name in own if name.startswith("hydra_plugins/")]  # a folder that all plugins share
    assert all(name.startswith("hydra_plugins/rwseg_") for name in plugins)
    assert {"rwseg/py.typed", "rwseg/report/html/page.html.j2", "rwseg/conf/loss/rrw.yaml"} <= own
    assert f"{INFO}/licenses/LICENSE" in names


def test_the_checkout_builds_the_same_wheel_as_its_source_distribution(sdist: Path, wheel: Path) -> None:
    direct = build("wheel", sdist.with_name("checkout"), sdist.parent)
    with zipfile.ZipFile(direct) as one, zipfile.ZipFile(wheel) as other:
        assert {item.filename: item.CRC for item in one.infolist()} == {
            item.filename: item.CRC for item in other.infolist()
        }


def test_the_source_distribution_has_no_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        top = {name.split("/")[1] for name in archive.getnames() if "/" in name}
        documents = {name.partition("/docs/")[2] for name in archive.getnames() if "/docs/" in name}
    assert top == SOURCES | {"PKG-INFO", "rwseg.egg-info", "setup.cfg"}
    packed = {f"results/{study}/{name}" for study in STUDIES for name in PACKED}
    assert {name for name in documents if "." in name} == packed


def test_its_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = message_from_string(archive.read(f"{INFO}/METADATA").decode())
        scripts = archive.read(f"{INFO}/entry_points.txt").decode()
    assert (metadata["Name"], metadata["Version"]) == ("rwseg", rwseg.__version__)
    assert metadata["License-Expression"] == "MIT"
    links = dict(link.split(", ") for link in metadata.get_all("Project-URL", []))
    assert links["Paper"] == "https://arxiv.org/abs/2108.01405"
    assert "rwseg = rwseg.commands.__main__:main" in scripts


def test_installed_commands_find_options_plugins_and_no_checkout(installed: Path, tmp_path: Path) -> None:
    """One process, as each takes a second to start: what Hydra knows, and where it has it from."""
    own = tmp_path / "mine" / "loss" / "myloss.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("_target_: rwseg.losses.FocalLoss\ngamma: 3.5\n")
    shown = run(installed, tmp_path, "rwseg", "train", "--config-dir", "mine", "--cfg", "job", "loss=myloss")
    assert "gamma: 3.5" in shown
    refused = run(installed, tmp_path, "rwseg", "train", "los=rrw", status=2)
    assert refused == "rwseg train: unknown key 'los' in 'los=rrw'; did you mean 'loss'?\n"
    code = (
        "import rwseg, hydra_plugins; from hydra.core.plugins import Plugins; "
        "from hydra.plugins.launcher import Launcher; "
        "print(rwseg.__file__, *hydra_plugins.__path__, *Plugins.instance().discover(Launcher))"
    )
    shown = run(installed, tmp_path, "python", "-c", code)
    assert str(ROOT) not in shown.replace(sysconfig.get_path("purelib"), "")
    assert {"RayLauncher", "Slurm"} <= set(shown.replace("'>", "").replace(".", " ").split())


@pytest.mark.slow
def test_two_batches_and_a_report(installed: Path, phantom_root: Path, tmp_path: Path) -> None:
    run(installed, tmp_path, "rwseg", "train", *SMALL, f"dataset.root={phantom_root}", "workers=1")
    (record,) = tmp_path.glob("outputs/default/phantom/rrw/alone/*/seed0/run.json")
    facts = json.loads(record.read_text())
    assert facts["status"] == "finished"
    assert re.fullmatch(rf"v{re.escape(rwseg.__version__)}\+[0-9a-f]{{12}}", facts["git_commit"])
    assert "wrote report/index.html" in run(installed, tmp_path, "rwseg", "report", "outputs", "--no-gallery")
    told = run(installed, tmp_path, "rwseg", "report", "outputs", "--baseline=none", status=2)
    assert f"expected one of the studies {', '.join(STUDIES)}, got another name" in told
    assert {path.name for path in tmp_path.iterdir()} == {"outputs", "prepared", "report"}


NNUNET_MISSING = (
    "rwseg nnunet-trainers: expected nnU-Net v2 (nnunetv2) in this environment, found none; "
    "pip install 'rwseg[nnunet]'\n"
)


def test_nnunet_finds_its_trainers_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Where nnU-Net is not installed, the command says so."""
    if find_spec("nnunetv2") is None:
        assert run(installed, tmp_path, "rwseg", "nnunet-trainers", status=2) == NNUNET_MISSING
        return
    folder = run(installed, tmp_path, "rwseg", "nnunet-trainers").strip()
    assert Path(folder).is_relative_to(installed.parent)
    code = (
        "from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find; "
        "import sys; found = find('nnUNetTrainerRWBoundaryRectifiedGradualCE'); "
        "print('found', found.words, sys.modules['rwseg'].__file__)"
    )
    told = run(
        installed, tmp_path, "env", f"nnUNet_extTrainer={folder}", "python", "-W", "ignore", "-c", code
    )
    *_, last = told.splitlines()
    assert last.startswith("found ('rw_boundary', 'rectify=true', 'strategy=gradual_ce') ")
    assert last.endswith(f"{Path(folder).parents[2]}/__init__.py")


@pytest.mark.slow
def test_an_empty_folder_is_enough_for_all_commands(installed: Path, tmp_path: Path) -> None:
    """A sweep by Ray, each job a process of the wheel; its plan, state, comparison; predictions of a run."""
    words = (*SMALL, "loss=rrw,ce", "seed=0")
    told = run(installed, tmp_path, "rwseg", "plan", *words, "--seconds=0.1")
    assert "default/phantom/ce/alone" in told
    told = run(installed, tmp_path, "rwseg", "train", "-m", "hydra/launcher=ray", *words)
    assert told.splitlines()[-1] == "to compare them: rwseg report outputs/default"
    assert "2 runs: 2 finished" in run(installed, tmp_path, "rwseg", "report", "--status", "outputs")
    assert "2 methods" in run(installed, tmp_path, "rwseg", "report", "outputs/default", "--no-gallery")
    (run_dir,) = tmp_path.glob("outputs/default/phantom/rrw/alone/*/seed0")
    told = run(installed, tmp_path, "rwseg", "evaluate", f"run_dir={run_dir}", "trainer=cpu", "overlays=0")
    assert "evaluation/val" in told
    images = tmp_path / "images"
    images.mkdir()
    for image in sorted(tmp_path.glob("data/phantom/**/*_frame01.nii.gz"))[:2]:
        shutil.copy(image, images)
    told = run(
        installed,
        tmp_path,
        "rwseg",
        "predict",
        f"run_dir={run_dir}",
        "input=images",
        "output=maps",
        "trainer=cpu",
    )
    assert len(list((tmp_path / "maps").glob("*.nii.gz"))) == 2
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = run(installed, elsewhere, "rwseg", "report", "--status", "../outputs")
    assert "2 finished" in found
    torchrun = ("python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    told = run(installed, tmp_path, *torchrun, "-m", "rwseg.commands.train", *SMALL, "seed=1")
    assert "24 validation cases" in told
