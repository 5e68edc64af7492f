"""Writing the tables of a folder of runs."""

from collections.abc import Sequence
from pathlib import Path

from reff_bench.catalog.methods import distinct_titles
from reff_bench.grid.model import TableSpec
from reff_bench.report.comparison import Comparison
from reff_bench.report.methods_table import methods_csv, methods_latex
from reff_bench.report.options import option_rows, options_csv, options_latex
from reff_bench.report.render import to_csv, to_latex, to_text
from reff_bench.report.tables import build_table
from reff_bench.results.folder import RunFolder
from texturedmnist.common.files import write_atomically

FOLDER = "tables"


def write_tables(
    runs: RunFolder, specs: Sequence[TableSpec] | None = None
) -> tuple[list[str], list[Path]]:
    """Write some tables, or those of the grid, as CSV and LaTeX, and Tab. 4.

    Returned are the tables as text, and the files.
    """
    out, plan = runs.out, runs.plan
    texts, files = [], []
    with distinct_titles(config.method for config in plan.configs):
        for spec in plan.tables if specs is None else specs:
            table = build_table(spec, plan, runs.records)
            texts.append(to_text(table))
            files += _write(out, spec.name, to_csv(table), to_latex(table, plan.select))
        rows = option_rows(plan)
        files += _write(out, "tab4", options_csv(rows), options_latex(rows))
    return texts, files


def write_methods(out: Path, found: Comparison) -> list[Path]:
    """Write the table of all methods, if there is a finished run."""
    if not found.lines:
        return []
    with distinct_titles(line.first.method for line in found.lines):
        return _write(out, "methods", methods_csv(found), methods_latex(found))


def write_assignment(out: Path, latex: str) -> Path:
    """Write Tab. 1, the assignment of textures to digits."""
    path = out / FOLDER / "tab1.tex"
    write_atomically(path, f"% needs \\usepackage{{booktabs}}\n{latex}\n")
    return path


def _write(out: Path, name: str, as_csv: str, as_latex: str) -> list[Path]:
    files = [out / FOLDER / f"{name}.csv", out / FOLDER / f"{name}.tex"]
    for path, text in zip(files, (as_csv, as_latex), strict=True):
        write_atomically(path, text)
    return files
