"""The documentation: its examples run, its links lead somewhere, and the tests that it names exist."""

import ast
import doctest
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
EXAMPLES = [page for page in PAGES if ">>> " in page.read_text() and page.stem != "your-own"]
TEST_NAME = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.mark.filterwarnings("ignore:.*does not have many workers")  # Lightning, where there are many cores
@pytest.mark.filterwarnings("ignore:.*LeafSpec")  # Lightning calls what PyTorch has deprecated
@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: page.stem)
def test_examples_run(page: Path) -> None:
    result = doctest.testfile(str(page), module_relative=False, optionflags=doctest.FAIL_FAST)
    assert result.failed == 0
    assert result.attempted > 0


def test_readme_and_the_losses_page_have_examples() -> None:
    assert {"README", "using-losses"} <= {page.stem for page in EXAMPLES}


def test_the_readme_shows_a_step_of_pytorch_and_a_loop_of_monai() -> None:
    after = (ROOT / "README.md").read_text().split("\n## Use the losses in your own code\n")[1]
    snippets = re.findall(r"```python\n(.+?)```", after.split("\n## ")[0], re.DOTALL)
    assert len(snippets) == 2
    assert "monai" not in snippets[0]
    assert "from monai" in snippets[1]
    for snippet in snippets:
        assert "from rwseg.losses import" in snippet
        loop = snippet.strip().split("\n\n")[-1]
        assert loop.endswith("optimizer.step()")
        assert len(loop.splitlines()) <= 6


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\(([^)#]*)(#([^)]*))?\)", prose(page)):
        if target.startswith("https://"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def test_every_named_test_exists() -> None:
    named = set(TEST_NAME.findall((ROOT / "docs" / "deviations.md").read_text()))
    for path in {path for path, _ in named}:
        tree = ast.parse((ROOT / path).read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        missing = {name for of, name in named if of == path} - defined
        assert not missing, f"{path} has no {missing}"


def test_every_deviation_names_a_test_or_says_why_there_is_none() -> None:
    text = (ROOT / "docs" / "deviations.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| **")]
    assert len(rows) >= 30
    for row in rows:
        last = row.rstrip("| ").rsplit("|", 1)[1]
        assert TEST_NAME.search(last) or last.strip().startswith("none: "), row


def test_the_architecture_is_that_of_the_code() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "architecture.py"))
    table = drawn["table"]()
    assert table in (ROOT / "docs" / "architecture.md").read_text(), "run python docs/architecture.py"
    packages = {path.parent.name for path in (ROOT / "rwseg").glob("*/__init__.py")}
    assert {name for row in drawn["layers"]() for name in row} == packages
    assert len(packages) <= 11
    assert len(drawn["layers"]()) <= 8
    assert sorted(path.name for path in (ROOT / "rwseg").glob("*.*")) == ["__init__.py", "py.typed"]
    picture = (ROOT / "docs" / "figures" / "architecture.svg").read_text()
    assert all(f">{name}<" in picture for name in packages)


PACKAGES = sorted((ROOT / "rwseg").rglob("__init__.py"))
DOTTED = re.compile(r"`(\w+(?:\.\w+)+)`")


def resolves(name: str, package: Path) -> bool:
    """Whether `name` is a package, a module, or defined in one; seen from `package`, or from rwseg."""
    parts = name.removeprefix("rwseg.").split(".")
    for start in (package, ROOT / "rwseg"):
        below = start.joinpath(*parts)
        if below.is_dir() or below.with_suffix(".py").is_file():
            return True
        module = start.joinpath(*parts[:-1])
        module = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if module.is_file() and re.search(
            rf"^(def|class) {parts[-1]}\b|^{parts[-1]}\b", module.read_text(), re.M
        ):
            return True
    return False


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.name)
def test_every_package_says_what_belongs_there_and_the_names_it_gives_exist(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    first, blank, *rest = text.splitlines()
    assert (first[-1], blank, bool(rest)) == (".", "", True)
    for name in DOTTED.findall(text):
        assert resolves(name, path.parent), name
