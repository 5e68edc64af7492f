"""Writing the tables of a folder of runs."""

from collections.abc import Sequence
from pathlib import Path

from reff_bench.grid import TableSpec
from reff_bench.report.options import options_csv, options_latex
from reff_bench.report.render import to_csv, to_latex, to_text
from reff_bench.report.tables import build_table
from reff_bench.results import Plan, Record
from texturedmnist.common.files import write_atomically

FOLDER = "tables"


def write_tables(
    out: Path, plan: Plan, rows: Sequence[Record], specs: Sequence[TableSpec]
) -> tuple[list[str], list[Path]]:
    """Write every table as CSV and LaTeX, and Tab. 4.

    Args:
        out: the folder of runs.
        plan: its grid.
        rows: one record per cell.
        specs: the tables.

    Returns:
        The tables as text, and the files.
    """
    texts, files = [], []
    for spec in specs:
        table = build_table(spec, plan, rows)
        texts.append(to_text(table))
        files += _write(out, spec.name, to_csv(table), to_latex(table, plan.select))
    files += _write(out, "tab4", options_csv(plan), options_latex(plan))
    return texts, files


def write_ties(out: Path, latex: str) -> Path:
    """Write Tab. 1, the ties of textures to digits."""
    path = out / FOLDER / "tab1.tex"
    write_atomically(path, f"% needs \\usepackage{{booktabs}}\n{latex}\n")
    return path


def _write(out: Path, name: str, as_csv: str, as_latex: str) -> list[Path]:
    files = [out / FOLDER / f"{name}.csv", out / FOLDER / f"{name}.tex"]
    for path, text in zip(files, (as_csv, as_latex), strict=True):
        write_atomically(path, text)
    return files
