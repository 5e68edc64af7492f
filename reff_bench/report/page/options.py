"""Tab. 4 of a page: the hyper-parameters used, with their marks."""

from reff_bench.report.options import CAPTION, option_rows
from reff_bench.report.page.content import Content
from reff_bench.report.page.html import Html, grid, join, tag


def show_options(content: Content) -> Html:
    """Return every option's values."""
    lines = [
        (row.meaning, tag("code", row.option), row.value, row.methods, f"[{row.mark}]")
        for row in option_rows(content.plan)
    ]
    heads = ("Option", "Name", "Value", "Methods", "Mark")
    return join([tag("p", CAPTION), grid("Tab. 4, hyper-parameters", heads, lines)])
