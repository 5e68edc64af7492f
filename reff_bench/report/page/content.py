"""What a page is made of."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from reff_bench.report.claims import Claim
from reff_bench.results import Plan, RunRecord


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure.

    Attributes:
        caption: what it shows.
        place: its file, relative to the page.
        png: what the page shows of it; None for one that it has no room for.
        reduced: whether that has fewer colours than the file.
    """

    caption: str
    place: str
    png: bytes | None
    reduced: bool = False

    @property
    def name(self) -> str:
        """The figure's name."""
        return self.place.rpartition("/")[2].removesuffix(".png")


@dataclass(frozen=True, slots=True)
class Content:
    """All that a page shows.

    Attributes:
        plan: the grid.
        rows: one record per cell.
        claims: with their verdicts.
        pictures: in their order.
        lacking: figures that aren't there, and why.
        files: further files beside the page, relative to it.
        traces: what runs that failed have left of their errors, likewise.
    """

    plan: Plan
    rows: Sequence[RunRecord]
    claims: Sequence[Claim]
    pictures: Sequence[Picture] = ()
    lacking: Sequence[str] = ()
    files: Sequence[str] = ()
    traces: Collection[str] = ()

    def runs(self) -> list[RunRecord]:
        """Return one row per run: cells that share one count once."""
        return list({row.id: row for row in self.rows}.values())
