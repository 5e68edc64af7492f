"""Claims as text, JSON, CSV and LaTeX."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reff_bench import __version__
from reff_bench.report.claims.evidence import Claim, Finding, Quantity
from reff_bench.report.claims.rules import brief
from reff_bench.report.render import csv_table, latex_table
from reff_bench.report.words import describe_setting
from texturedmnist.common.files import write_atomically
from texturedmnist.common.latex import escape
from texturedmnist.common.text import align

CLAIMS_NAME = "claims.json"
SCHEMA = 1
WIDTH = 88
SHOWN = 5  # missing runs of a finding on the terminal
CAPTION = (
    "The paper's stated outcomes, checked on this benchmark's own runs; none of its "
    "numbers can be held against the paper's. Statements are the paper's [paper], "
    "decision rules ours [assumed]. Differences in points of test accuracy or EPG with "
    "95 % t-intervals over seeds (C7: 90 %)."
)
NUMBERS = ("value", "low", "high", "level", "n", "unit", "p", "passes")


def write_claims(out: Path, claims: Sequence[Claim]) -> list[Path]:
    """Write `claims.json`, and the claims as tables; return the files."""
    texts = {
        out / CLAIMS_NAME: claims_json(claims),
        out / "tables" / "claims.csv": claims_csv(claims),
        out / "tables" / "claims.tex": claims_latex(claims),
    }
    for path, text in texts.items():
        write_atomically(path, text)
    return list(texts)


def claims_json(claims: Sequence[Claim]) -> str:
    """Return everything that is known of the claims; fractions in [-1, 1]."""
    content = {
        "schema": SCHEMA,
        "package_version": __version__,
        "claims": [{**asdict(claim), "verdict": claim.verdict} for claim in claims],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def claims_csv(claims: Sequence[Claim]) -> str:
    """Return one line per number, in full precision."""
    heads = ["claim", "grid", "selection", "setting", "verdict", "quantity", *NUMBERS]
    lines: list[list[Any]] = []
    for claim in claims:
        for finding in claim.findings:
            where = [claim.name, finding.grid, finding.selection]
            where.append(describe_setting(finding.setting))
            missing = " | ".join(finding.missing)
            numbers = [
                [one.name, *(getattr(one, number) for number in NUMBERS)]
                for one in finding.quantities
            ] or [[""] * (1 + len(NUMBERS))]
            lines += [[*where, finding.verdict, *line, missing] for line in numbers]
    return csv_table([*heads, "missing"], lines)


def claims_latex(claims: Sequence[Claim]) -> str:
    """Return the verdicts as LaTeX (booktabs)."""
    heads = ["Claim [paper]", "Rule [assumed]", "Found", "Verdict"]
    lines = []
    for claim in claims:
        about = [f"{claim.name} {claim.statement}", claim.rule]
        for finding in claim.findings:
            texts = [*about, found_in_words(finding), finding.verdict]
            lines.append([escape(text) for text in texts])
            about = ["", ""]
    wide = "".join(f"p{{{share}\\linewidth}}" for share in (0.3, 0.3, 0.2, 0.1))
    size = "\\footnotesize"
    table = latex_table(wide, heads, lines, caption=CAPTION, label="claims", size=size)
    return "% needs \\usepackage{booktabs}\n" + table


def claims_text(claims: Sequence[Claim]) -> str:
    """Return the claims for a terminal."""
    return "\n\n".join("\n".join(_claim_lines(claim)) for claim in claims)


def found_in_words(finding: Finding) -> str:
    """Return a finding's setting and summary in a line."""
    selected = f"selected by {finding.selection}" if finding.selection else ""
    parts = (describe_setting(finding.setting), selected)
    where = "; ".join(part for part in parts if part)
    return f"{where}: {finding.summary}" if where else finding.summary


def numbers_of(quantity: Quantity) -> tuple[str, str, str, str]:
    """Return number and interval, p, seeds, and whether the quantity passes."""
    p = "" if quantity.p is None else f"p = {quantity.p:.2g}"
    marks = {True: "yes", False: "no", None: ""}
    unit = "" if quantity.value is None else quantity.unit
    return (
        f"{brief(quantity)} {unit}".rstrip(),
        p,
        f"n = {quantity.n}",
        marks[quantity.passes],
    )


def _claim_lines(claim: Claim) -> list[str]:
    """Return a claim, with the numbers of its main finding."""
    lines = _wrapped(f"{claim.name} {claim.verdict.upper()}: {claim.statement} [paper]")
    lines += _wrapped(f"rule: {claim.rule} [assumed]", 3)
    lines += _wrapped(f"test: {claim.test}", 3)
    for finding in claim.findings:
        words = f"{finding.grid}: {found_in_words(finding)}: {finding.verdict}"
        lines += _wrapped(words, 3)
        lines += _numbers(finding) if finding is claim.findings[0] else []
    return lines


def _numbers(finding: Finding) -> list[str]:
    body = [(one.name, *numbers_of(one)) for one in finding.quantities]
    lines = [f"      {line}" for line in (align(body, "<<<<<") if body else ())]
    lines += [f"      missing: {words}" for words in finding.missing[:SHOWN]]
    more = len(finding.missing) - SHOWN
    if more > 0:
        lines.append(f"      and {more} more; all are in {CLAIMS_NAME}")
    return lines


def _wrapped(text: str, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 3),
        break_on_hyphens=False,
    )
