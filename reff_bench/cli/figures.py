"""The `figures` command."""

from pathlib import Path

import click

from reff_bench.cli.report import drawing
from reff_bench.results.folder import open_runs
from texturedmnist.common.cli import FOLDER
from texturedmnist.common.console import say


@click.command()
@click.argument("outs", metavar="OUT [OUT ...]", nargs=-1, required=True, type=FOLDER)
def figures(outs: tuple[Path, ...]) -> None:
    """Draw the figures of a folder of runs, finished or not, as PDF and PNG.

    Needs neither torch nor data. Fig. 1 shows the datasets of the further folders too,
    the chart of costs their methods; everything else is about the first. What can't be
    drawn is named.
    """
    # matplotlib, which only this command needs, takes a while to import.
    from reff_bench.report.figures.write import write_figures

    runs, *others = map(open_runs, outs)
    with drawing(runs.out):
        drawn = write_figures(runs, others)
    for line in drawn.missing:
        say(f"missing: {line}")
    names = ", ".join(drawn.captions) or "none"
    say(f"figures: {runs.out / 'figures'}: {names}")
