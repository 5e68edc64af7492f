"""The commands that judge and show finished runs: `claims`."""

from pathlib import Path

import click

from reff_bench.cli.options import FOLDER
from reff_bench.results import read_plan, read_rows


@click.command()
@click.argument("out", metavar="OUT", type=FOLDER)
@click.argument("others", metavar="[OTHER]...", type=FOLDER, nargs=-1)
def claims(out: Path, others: tuple[Path, ...]) -> None:
    """Say of each claim of the paper whether it holds here, and why.

    The runs of OTHER folders, such as Tab. 3's, count too where they serve a claim.
    Written to OUT/claims.json and, as tables, to OUT/tables.
    """
    # scipy, which the intervals need, takes a while to import.
    from reff_bench.report import check_claims, claims_text, join_claims, write_claims

    plans = {folder: read_plan(folder) for folder in (out, *others)}
    found = join_claims(
        [check_claims(plan, read_rows(at, plan.cells)) for at, plan in plans.items()]
    )
    files = write_claims(out, found)
    click.echo(claims_text(found))
    click.echo(f"\nclaims: {', '.join(map(str, files))}", err=True)
