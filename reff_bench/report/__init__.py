"""From records to the paper: tables."""

from reff_bench.report.choice import Choice, choices, choose
from reff_bench.report.files import write_tables, write_ties
from reff_bench.report.options import option_rows, options_csv, options_latex
from reff_bench.report.render import to_csv, to_latex, to_text
from reff_bench.report.tables import Entry, Panel, Table, build_table

__all__ = [
    "Choice",
    "Entry",
    "Panel",
    "Table",
    "build_table",
    "choices",
    "choose",
    "option_rows",
    "options_csv",
    "options_latex",
    "to_csv",
    "to_latex",
    "to_text",
    "write_tables",
    "write_ties",
]
