"""Markdown and LaTeX of tables: escaping, bold, long tables, and that pdflatex takes them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rwseg.report.markup import LONG, Piece, TextTable, cell, latex, markdown

NASTY = r"a_b & 50 % #1 {x} ~ ^ $ \ <|> ± é [y] *" + " \N{MINUS SIGN} \N{EN DASH}"


def table(rows: int = 2, columns: int = 2) -> TextTable:
    body = ((cell(NASTY), *[(Piece("0.9 ± 0.1*", True), Piece("12"))] * (columns - 1)),) * rows
    return TextTable("nasty", NASTY, (NASTY, *[f"class_{k}" for k in range(1, columns)]), body)


def test_markdown_has_one_line_per_row_and_as_many_cells() -> None:
    lines = markdown(table()).splitlines()
    assert lines[1] == "| --- | ---: |"
    for line in (lines[0], *lines[2:4]):
        assert line.replace(r"\|", "").count("|") == 3
    assert lines[2].endswith(r"| **0.9 ± 0.1\***, 12 |")
    assert lines[-1].startswith(r"a_b & 50 % #1 {x} ~ ^ $ \\ \<\|>")


def test_latex_escapes_and_marks_bold() -> None:
    text = latex(table())
    assert r"a\_b \& 50 \% \#1 \{x\} \textasciitilde{} \textasciicircum{} \$ \textbackslash{}" in text
    assert r"\textbf{0.9 $\pm$ 0.1*}, 12 \\" in text
    assert r"\begin{tabular}{lr}" in text


def test_long_tables_break_across_pages() -> None:
    assert latex(table(LONG)).count(r"\begin{tabular}") == 1
    text = latex(table(2 * LONG + 1))
    assert text.count(r"\begin{tabular}{lr}") == text.count(r"\toprule") == 3
    assert text.count(r"\textbf{0.9") == 2 * LONG + 1
    assert text.count(r"\label{tab:nasty}") == 1
    assert text.count(r"Table~\ref{tab:nasty}, continued") == 2


@pytest.mark.parametrize(
    "shape", [(2, 2), (3, 12), (LONG, 2), (LONG + 5, 9)], ids=["small", "wide", "long", "both"]
)
def test_pdflatex_compiles_a_document_without_overfull_lines(tmp_path: Path, shape: tuple[int, int]) -> None:
    log = compile_latex(tmp_path, [latex(table(*shape))])
    assert "Overfull" not in log
    assert "Float too large" not in log


def compile_latex(folder: Path, tables: list[str], document: str = "{article}") -> str:
    """Compile a document with `tables` and return pdflatex's log; skips where there is no pdflatex."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    if subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True).returncode:
        pytest.skip("siunitx is not installed")
    body = "\n".join(tables)
    (folder / "report.tex").write_text(
        f"\\documentclass{document}\n\\usepackage{{booktabs,graphicx,siunitx}}\n"
        f"\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    log = (folder / "report.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-3000:]
    assert (folder / "report.pdf").stat().st_size > 1000
    return log
