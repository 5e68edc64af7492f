"""The `figures` command."""

from pathlib import Path

import click

from reff_bench.cli.options import FOLDER
from reff_bench.results import read_plan, read_rows


@click.command()
@click.argument("outs", metavar="OUT [OUT ...]", nargs=-1, required=True, type=FOLDER)
def figures(outs: tuple[Path, ...]) -> None:
    """Draw the figures of a folder of runs, finished or not, as PDF and PNG.

    Needs neither torch nor data. Fig. 1 shows the datasets of the further folders too;
    everything else is about the first. What can't be drawn is named.
    """
    # matplotlib, which only this command needs, takes a while to import.
    from reff_bench.report.figures import write_figures

    out, *others = outs
    plan = read_plan(out)
    drawn = write_figures(out, plan, read_rows(out, plan.cells), others)
    for line in drawn.missing:
        click.echo(f"missing: {line}")
    names = ", ".join(drawn.captions) or "none"
    click.echo(f"figures: {out / 'figures'}: {names}")
