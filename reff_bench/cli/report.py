"""The commands that judge and show finished runs: `claims`, `report`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reff_bench.cli.options import FOLDER
from reff_bench.results import read_plan, read_rows

if TYPE_CHECKING:
    from reff_bench.report import Claim


@click.command()
@click.argument("out", metavar="OUT", type=FOLDER)
@click.argument("others", metavar="[OTHER]...", type=FOLDER, nargs=-1)
def claims(out: Path, others: tuple[Path, ...]) -> None:
    """Say of each claim of the paper whether it holds here, and why.

    The runs of OTHER folders, such as Tab. 3's, count too where they serve a claim.
    Written to OUT/claims.json and, as tables, to OUT/tables.
    """
    # scipy, which the intervals need, takes a while to import.
    from reff_bench.report import claims_text, join_claims, write_claims

    found = join_claims([_check(folder) for folder in (out, *others)])
    files = write_claims(out, found)
    click.echo(claims_text(found))
    click.echo(f"\nclaims: {', '.join(map(str, files))}", err=True)


@click.command()
@click.argument("out", metavar="OUT", type=FOLDER)
@click.argument("others", metavar="[OTHER]...", type=FOLDER, nargs=-1)
def report(out: Path, others: tuple[Path, ...]) -> None:
    """Write one HTML page on a folder of runs, finished or not: OUT/report.html.

    The tables, claims and figures that it shows and links are written anew, too. The
    runs of OTHER folders count for the claims and Fig. 1, as in `claims` and `figures`.
    """
    from reff_bench.report import write_tables

    plan = read_plan(out)
    write_tables(out, plan, read_rows(out, plan.cells), plan.tables)
    click.echo(f"report: {write_page(out, others)}")


def write_page(out: Path, others: tuple[Path, ...] = ()) -> Path:
    """Judge the claims, draw the figures and write the page that shows them."""
    # matplotlib and scipy take a while to import.
    from reff_bench.report import join_claims, write_claims, write_report
    from reff_bench.report.figures import write_figures

    plan = read_plan(out)
    rows = read_rows(out, plan.cells)
    found = join_claims([_check(folder) for folder in (out, *others)])
    write_claims(out, found)
    drawn = write_figures(out, plan, rows, others)
    pictures = [
        (caption, out / "figures" / f"{name}.png")
        for name, caption in drawn.captions.items()
    ]
    return write_report(
        out, plan, rows, claims=found, pictures=pictures, lacking=drawn.missing
    )


def _check(out: Path) -> "tuple[Claim, ...]":
    from reff_bench.report import check_claims

    plan = read_plan(out)
    return check_claims(plan, read_rows(out, plan.cells))
