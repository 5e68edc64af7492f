"""From records to the paper: tables, claims, one page; figures in their own folder."""

from reff_bench.report.choice import Choice, choices, choose
from reff_bench.report.claims import (
    Claim,
    check_claims,
    claims_text,
    join_claims,
    write_claims,
)
from reff_bench.report.comparison import Comparison, compare
from reff_bench.report.files import write_tables, write_ties
from reff_bench.report.options import option_rows, options_csv, options_latex
from reff_bench.report.page import write_report
from reff_bench.report.render import to_csv, to_latex, to_text
from reff_bench.report.tables import Entry, Panel, Table, build_table

__all__ = [
    "Choice",
    "Claim",
    "Comparison",
    "Entry",
    "Panel",
    "Table",
    "build_table",
    "check_claims",
    "choices",
    "choose",
    "claims_text",
    "compare",
    "join_claims",
    "option_rows",
    "options_csv",
    "options_latex",
    "to_csv",
    "to_latex",
    "to_text",
    "write_claims",
    "write_report",
    "write_tables",
    "write_ties",
]
