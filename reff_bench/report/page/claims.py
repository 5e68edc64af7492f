"""The claims of a page."""

from itertools import compress

from reff_bench.report.claims import FAILS, HOLDS, Claim, Finding
from reff_bench.report.claims.write import CAPTION, found_in_words, numbers_of
from reff_bench.report.page.content import Content
from reff_bench.report.page.html import Html, fold, grid, join, short_or_folded, tag

CHIPS = {HOLDS: ("yes", "✓"), FAILS: ("no", "✗")}  # by class, with a sign


def show_claims(content: Content) -> Html:
    """Return every claim with its rule, numbers and verdicts."""
    return join(
        [
            tag("p", CAPTION),
            *(_claim(claim, content.plan.name) for claim in content.claims),
        ]
    )


def show_verdicts(content: Content) -> Html:
    """Return the verdicts in short, each a link to its claim."""
    decided = [claim for claim in content.claims if claim.verdict in CHIPS]
    waiting = [claim.name for claim in content.claims if claim.verdict not in CHIPS]
    heads = ("Claim", "The paper states [paper]; found here", "Verdict")
    lines = [
        (
            tag("a", claim.name, href=f"#{claim.name}"),
            join([claim.statement, _found(claim, content.plan.name)]),
            chip(claim.verdict),
        )
        for claim in decided
    ]
    parts = [grid("Verdicts", heads, lines)] if decided else []
    if waiting:
        links = [tag("a", name, href=f"#{name}") for name in waiting]
        between = (part for link in links for part in (" ", link))
        parts.append(tag("p", "Inconclusive, since runs are missing:", *between))
    return join(parts)


def _found(claim: Claim, grid_name: str) -> Html:
    words = _words(claim.findings[0], grid_name)
    return tag("span", f"Found: {words}", class_="note")


def chip(verdict: str) -> Html:
    """Return a verdict that shows in words, sign and colour."""
    kind, sign = CHIPS.get(verdict, ("open", "?"))
    sign_alone = tag("span", sign, aria_hidden="true")
    return tag("span", sign_alone, f" {verdict}", class_=f"chip {kind}")


def _claim(claim: Claim, grid_name: str) -> Html:
    main, *others = claim.findings
    return tag(
        "section",
        tag("h3", f"{claim.name} ", chip(claim.verdict)),
        tag("p", tag("strong", claim.statement), " [paper]"),
        tag("p", f"Rule: {claim.rule} [assumed]"),
        tag("p", f"Test: {claim.test}."),
        tag("p", _result(main, grid_name)),
        *_evidence(claim, main),
        # Other settings and selections, their numbers folded.
        *(fold(_result(one, grid_name), *_evidence(claim, one)) for one in others),
        id=claim.name,
    )


def _result(finding: Finding, grid_name: str) -> Html:
    return join([_words(finding, grid_name), ": ", chip(finding.verdict)])


def _words(finding: Finding, grid_name: str) -> str:
    """Return a finding in a line; one of another folder's runs says so."""
    own = finding.grid == grid_name
    return f"{'' if own else f'{finding.grid}: '}{found_in_words(finding)}"


def _evidence(claim: Claim, finding: Finding) -> list[Html]:
    """Return the numbers, and what is missing."""
    parts = []
    if finding.quantities:
        heads = ("Quantity", "Value [interval]", "p", "Seeds", "Passes")
        lines = [(one.name, *numbers_of(one)) for one in finding.quantities]
        used = [any(column) for column in zip(*lines, strict=True)]
        shown = [tuple(compress(line, used)) for line in (heads, *lines)]
        parts.append(grid(f"Numbers of {claim.name}", shown[0], shown[1:]))
    if finding.missing:
        words = f"Missing before there is a verdict: {len(finding.missing)}"
        parts.append(short_or_folded(words, finding.missing))
    return parts
