"""The commands that judge, show and keep finished runs."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reff_bench.results.collected import collect_runs
from reff_bench.results.folder import RunFolder, open_runs
from reff_bench.results.json_file import ResultsError
from reff_bench.results.panels import PANELS_NAME
from reff_bench.results.plan import PLAN_NAME
from reff_bench.results.run import EVALUATION_NAME, RECORD_NAME
from texturedmnist.common.cli import FOLDER, echo
from texturedmnist.common.files import clear_temporaries, one_writer

if TYPE_CHECKING:
    from reff_bench.report.comparison import Comparison

LEFTOVERS = (".claims.json.*.tmp", "tables/.*.tmp", "figures/.*.tmp")


@contextmanager
def drawing(out: Path) -> Iterator[None]:
    """Let one process write a folder's tables, figures, claims and page; others wait.

    What killed ones have left is cleared.
    """
    words = f"waiting for another process that writes the report of {out}"
    with one_writer(out / "report.html", partial(echo, words, err=True)):
        clear_temporaries(out, LEFTOVERS)
        yield


@click.command()
@click.argument("out", metavar="OUT", type=FOLDER)
@click.argument("others", metavar="[OTHER]...", type=FOLDER, nargs=-1)
def claims(out: Path, others: tuple[Path, ...]) -> None:
    """Say of each claim of the paper whether it holds here, and why.

    The runs of OTHER folders, such as Tab. 3's, count too where they serve a claim.
    Written to OUT/claims.json and, as tables, to OUT/tables.
    """
    # scipy, which the intervals need, takes a while to import.
    from reff_bench.report.claims.check import check_claims, join_claims
    from reff_bench.report.claims.write import claims_text, write_claims

    runs = [open_runs(path) for path in (out, *others)]
    found = join_claims([check_claims(one) for one in runs])
    with drawing(runs[0].out):
        files = write_claims(runs[0].out, found)
    echo(claims_text(found))
    echo(f"\nclaims: {', '.join(map(str, files))}", err=True)


@click.command()
@click.argument("out", metavar="OUT", type=FOLDER)
@click.argument("others", metavar="[OTHER]...", type=FOLDER, nargs=-1)
@click.option(
    "--keep-first",
    is_flag=True,
    help="Of a run with other results in a later OTHER the first ones count; the page "
    "lists such runs.  [default: an error]",
)
@click.option(
    "--tuning",
    multiple=True,
    type=FOLDER,
    help="Runs that served to find options on other data, a folder or file of records: "
    "they count as trainings of their method; may be repeated.",
)
def report(
    out: Path, others: tuple[Path, ...], keep_first: bool, tuning: tuple[Path, ...]
) -> None:
    """Write one HTML page on a folder of runs, finished or not: OUT/report.html.

    The tables, claims and figures that it shows and links are written again, too. One
    table has all methods of OUT and of the OTHER folders and files of records, which
    count for the claims, Fig. 1 and the chart of costs, too.
    """
    from reff_bench.report.comparison import compare
    from reff_bench.report.files import write_tables

    runs, *further = (open_runs(path) for path in (out, *others))
    found = compare([runs, *further], [*map(open_runs, tuning)])
    twice = found.contradictions
    if twice and not keep_first:
        raise ResultsError(
            f"two results of {twice[0]} (such runs: {len(twice)}); leave one of the "
            "two out, or let the first one count with --keep-first"
        )
    with drawing(runs.out):
        write_tables(runs)
        echo(f"report: {write_page(runs, further, found)}")


def page_is_due(runs: RunFolder) -> bool:
    """Whether something that the page shows is newer, or was never written."""
    out = runs.out
    page = out / "report.html"
    parts = (page, out / "claims.json", out / "figures")
    if not all(part.exists() for part in parts):
        return True
    shown = {out / PLAN_NAME} | {
        out / "cells" / run.id / name
        for run in runs.runs()
        for name in (RECORD_NAME, EVALUATION_NAME, PANELS_NAME)
    }
    written = page.stat().st_mtime_ns
    return any(one.stat().st_mtime_ns >= written for one in shown if one.exists())


def write_page(
    runs: RunFolder,
    others: Sequence[RunFolder] = (),
    comparison: "Comparison | None" = None,
) -> Path:
    """Judge the claims, draw the figures, write the page and table of all methods."""
    # matplotlib and scipy take a while to import.
    from reff_bench.report.claims.check import check_claims, join_claims
    from reff_bench.report.claims.write import write_claims
    from reff_bench.report.comparison import compare
    from reff_bench.report.figures.write import write_figures
    from reff_bench.report.files import write_methods
    from reff_bench.report.page.write import write_report

    gc.freeze()  # what was read stays to the end: no collection need walk it
    judged = join_claims([check_claims(one) for one in (runs, *others)])
    write_claims(runs.out, judged)
    found = comparison or compare([runs, *others])
    write_methods(runs.out, found)
    drawn = write_figures(runs, others, comparison=found)
    return write_report(
        runs,
        comparison=found,
        claims=judged,
        captions=drawn.captions,
        missing=drawn.missing,
    )


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
        echo(f"missing: {line}")
    names = ", ".join(drawn.captions) or "none"
    echo(f"figures: {runs.out / 'figures'}: {names}")


@click.command()
@click.argument("outs", metavar="OUT [OUT ...]", nargs=-1, required=True, type=FOLDER)
@click.option("--into", required=True, type=FOLDER, help="The file: RECORDS.jsonl.")
def collect(outs: tuple[Path, ...], into: Path) -> None:
    """Write the records of finished runs to one file: no weights, some kB a run.

    The runs of several folders, machines and files of records become one; what the
    file holds already stays. table, claims, report and figures take the file where
    they take a folder, and write beside it; run --records counts its runs as done.
    """
    found = collect_runs(outs, into)
    left = len({*map(found.id_of, found.plan.configs)}) - len(found.runs)
    echo(f"{into}: {len(found.runs)} runs, {left} not done yet")
