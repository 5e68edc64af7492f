"""What a page opens with: the main table, one chart, one row of maps."""

from collections.abc import Iterator

from reff_bench.report.page.content import Content
from reff_bench.report.page.figures import FIRST, show_figure
from reff_bench.report.page.html import Html, join, tag
from reff_bench.report.page.tables import show_main_table
from reff_bench.report.words import distinct

SHIFT = (
    "In training the background {told}; in the test it {test}. A network that relies "
    "on the background loses its accuracy there."
)
ROLES = {0.0: "predicts the label", 1.0: "says nothing about it"}


def show_result(content: Content) -> Html:
    """Return what was found, to be understood at a glance."""
    shown = [one for one in content.pictures if one.name in FIRST]
    return join(
        [
            *_shift(content),
            *show_main_table(content),
            *(show_figure(one) for one in shown),
            *_no_maps(content),
        ]
    )


def _shift(content: Content) -> Iterator[Html]:
    """Say what the test changes, where it changes the background."""
    rows = [
        row
        for row in content.rows
        if row.settings.bg is not None and row.settings.bg < 1
    ]
    bg, test = distinct(rows, "bg"), distinct(rows, "test_bg")
    if len(bg) == len(test) == 1 and bg != test:
        roles = [
            ROLES.get(one, f"is drawn at random in {one:.0%}") for one in (*bg, *test)
        ]
        yield tag("p", SHIFT.format(told=roles[0], test=roles[1]))


def _no_maps(content: Content) -> Iterator[Html]:
    if content.pictures and not any(one.name == FIRST[1] for one in content.pictures):
        yield tag(
            "p", "No maps are shown here: no example images lie beside the records."
        )
