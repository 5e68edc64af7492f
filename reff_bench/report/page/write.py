"""From a folder of runs to its page: `write_report`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reff_bench import __version__
from reff_bench.catalog import distinct_titles
from reff_bench.report.claims import Claim, check_claims
from reff_bench.report.page.claims import show_claims, show_verdicts
from reff_bench.report.page.content import Content
from reff_bench.report.page.figures import show_figures
from reff_bench.report.page.html import Html, tag
from reff_bench.report.page.options import show_options
from reff_bench.report.page.overview import (
    counts_in_words,
    show_overview,
    show_rules,
)
from reff_bench.report.page.pictures import read_pictures
from reff_bench.report.page.result import show_result
from reff_bench.report.page.runs import show_environment, show_files, show_missing
from reff_bench.report.page.tables import show_tables
from reff_bench.results import ERROR_NAME, PLAN_NAME, RunFolder
from texturedmnist.common.files import write_atomically

PAGE_NAME = "report.html"
STYLE = "style.css"
# Nothing is loaded from anywhere, and nothing runs.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
FILES = (PLAN_NAME, "claims.json", "tables/*.csv", "tables/*.tex", "figures/*.pdf")

SECTIONS: Mapping[str, tuple[str, Callable[[Content], Html]]] = {
    "result": ("Result", show_result),
    "verdicts": ("Verdicts", show_verdicts),
    "overview": ("What was run", show_overview),
    "rules": ("Selection and deviations", show_rules),
    "tables": ("Tables", show_tables),
    "claims": ("Claims", show_claims),
    "figures": ("Figures", show_figures),
    "missing": ("What failed and what is missing", show_missing),
    "options": ("Tab. 4: hyper-parameters", show_options),
    "environment": ("Environment", show_environment),
    "files": ("Files", show_files),
}


def write_report(
    runs: RunFolder,
    *,
    claims: Sequence[Claim] | None = None,
    pictures: Sequence[tuple[str, Path]] = (),
    lacking: Sequence[str] = (),
) -> Path:
    """Write `OUT/report.html`: one page that needs no other file and no network.

    The same records give the same page.

    Args:
        runs: of a grid, finished or not.
        claims: with their verdicts; those of this folder if None.
        pictures: captions and PNG files under `out`.
        lacking: figures that aren't there, and why.
    """
    out = runs.out
    content = Content(
        plan=runs.plan,
        rows=runs.records,
        claims=check_claims(runs) if claims is None else claims,
        pictures=read_pictures(out, pictures),
        lacking=lacking,
        files=_files(out, FILES),
        traces=set(_files(out, (f"cells/*/{ERROR_NAME}",))),
    )
    style = Path(__file__).with_name(STYLE).read_text(encoding="utf-8")
    with distinct_titles(cell.method for cell in runs.plan.cells):
        write_atomically(out / PAGE_NAME, render_page(content, style))
    return out / PAGE_NAME


def render_page(content: Content, style: str) -> str:
    """Return the page as HTML, pure."""
    title = f"ReFF benchmark: {content.plan.name}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", title),
        tag("style", Html(style)),
    )
    links = [
        tag("li", tag("a", heading, href=f"#{name}"))
        for name, (heading, _) in SECTIONS.items()
    ]
    top = tag(
        "header",
        tag("h1", title),
        tag("p", counts_in_words(content)),
        tag("p", f"Written by reff-bench {__version__} from the records beside it."),
    )
    sections = (
        tag("section", tag("h2", heading), show(content), id=name)
        for name, (heading, show) in SECTIONS.items()
    )
    contents = tag("nav", tag("ol", *links), aria_label="Contents")
    body = tag("body", top, contents, tag("main", *sections))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _files(out: Path, patterns: Sequence[str]) -> list[str]:
    found = (path for pattern in patterns for path in sorted(out.glob(pattern)))
    return [path.relative_to(out).as_posix() for path in found]
