"""From a folder of runs to its page: `write_report`."""

import io
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from reff_bench import __version__
from reff_bench.catalog.methods import distinct_titles
from reff_bench.report.claims.check import check_claims
from reff_bench.report.claims.evidence import Claim
from reff_bench.report.comparison import Comparison, compare
from reff_bench.report.methods_table import methods_content
from reff_bench.report.page.content import page_content
from reff_bench.results.folder import RunFolder
from reff_bench.results.plan import PLAN_NAME
from reff_bench.results.run import ERROR_NAME
from texturedmnist.common.files import write_atomically
from texturedmnist.common.text import printable

PAGE_NAME = "report.html"
PACKAGE = "reff_bench.report.page"
ROOM = 6_500_000  # bytes of figures in a page: 8.7 MB in base64, the page under 10 MB
COLORS = 256
FILES = (PLAN_NAME, "claims.json", "tables/*.csv", "tables/*.tex", "figures/*.pdf")


def write_report(
    runs: RunFolder,
    *,
    comparison: Comparison | None = None,
    claims: Sequence[Claim] | None = None,
    captions: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
) -> Path:
    """Write `OUT/report.html`: one page that needs no other file and no network.

    The same records give the same page.

    Args:
        runs: of a grid, finished or not.
        comparison: for the table of all methods; of this folder alone if None.
        claims: with their verdicts; those of this folder if None.
        captions: of the figures `OUT/figures/<name>.png`, by name.
        missing: figures that aren't there or are partial, and why.
    """
    out = runs.out
    found = compare([runs]) if comparison is None else comparison
    methods = [config.method for config in runs.plan.configs]
    methods += [line.first.method for line in found.lines]
    with distinct_titles(methods):
        content = page_content(runs, check_claims(runs) if claims is None else claims)
        content["comparison"] = methods_content(found)
    script = resources.files(PACKAGE).joinpath("templates/sort.js").read_text("utf-8")
    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        content,
        version=__version__,
        script=Markup(script),
        script_digest=b64encode(sha256(script.encode()).digest()).decode(),
        figures=list(read_figures(out / "figures", captions or {})),
        missing_figures=missing,
        files=_files(out, FILES),
        traces=_files(out, (f"cells/*/{ERROR_NAME}",)),
    )
    write_atomically(out / PAGE_NAME, page)
    return out / PAGE_NAME


def _files(out: Path, patterns: Sequence[str]) -> list[str]:
    found = (path for pattern in patterns for path in sorted(out.glob(pattern)))
    return [path.relative_to(out).as_posix() for path in found]


def _finalize(value: object) -> object:
    """Write out control characters of anybody's text before it is escaped."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value, keep="\n\t")
    return value


def read_figures(folder: Path, captions: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Read figures, the largest with fewer colors where all of them have no room.

    What has no room even so comes without its content.
    """
    contents = {name: (folder / f"{name}.png").read_bytes() for name in captions}
    notes = dict.fromkeys(captions, "")
    for name in sorted(contents, key=lambda one: len(contents[one]), reverse=True):
        if sum(map(len, contents.values())) <= ROOM:
            break
        contents[name] = _with_fewer_colors(contents[name])
        notes[name] = " Shown in fewer colors than the file:"
    room = ROOM
    for name, png in contents.items():
        fits = len(png) <= room
        room -= len(png) if fits else 0
        yield {
            "name": name,
            "path": f"{folder.name}/{name}.png",
            "caption": captions[name] + notes[name],
            "png": b64encode(png).decode() if fits else "",
        }


def _with_fewer_colors(png: bytes) -> bytes:
    """Return an image with a palette, or as it is where that isn't smaller."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        colors = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    colors.save(file, "png")
    return min(png, file.getvalue(), key=len)
