"""The claims of a page."""

from reff_bench.report.claims import FAILS, HOLDS, Claim, Finding
from reff_bench.report.claims.write import CAPTION, numbers_of, setting
from reff_bench.report.page.content import Content
from reff_bench.report.page.html import Html, fold, grid, items, join, tag

CHIPS = {HOLDS: ("yes", "✓"), FAILS: ("no", "✗")}  # by class, with a sign


def show_claims(content: Content) -> Html:
    """Return every claim with its rule, numbers and verdicts."""
    return join([tag("p", CAPTION), *(_claim(claim) for claim in content.claims)])


def show_verdicts(content: Content) -> Html:
    """Return the verdicts in short, each a link to its claim."""
    lines = [
        (_link(claim), claim.statement, chip(claim.verdict)) for claim in content.claims
    ]
    return grid("Verdicts", ("Claim", "The paper states [paper]", "Here"), lines)


def chip(verdict: str) -> Html:
    """Return a verdict that shows in words, sign and colour."""
    kind, sign = CHIPS.get(verdict, ("open", "?"))
    sign_alone = tag("span", sign, aria_hidden="true")
    return tag("span", sign_alone, f" {verdict}", class_=f"chip {kind}")


def _link(claim: Claim) -> Html:
    return tag("a", claim.name, href=f"#{claim.name}")


def _claim(claim: Claim) -> Html:
    return tag(
        "section",
        tag("h3", f"{claim.name} ", chip(claim.verdict)),
        tag("p", tag("strong", claim.statement), " [paper]"),
        tag("p", f"Rule: {claim.rule} [assumed]"),
        tag("p", f"Test: {claim.test}."),
        *(_finding(claim, finding) for finding in claim.findings),
        id=claim.name,
    )


def _finding(claim: Claim, finding: Finding) -> Html:
    selected = f"selected by {finding.selection}" if finding.selection else ""
    where = "; ".join(part for part in (setting(finding), selected) if part)
    about = f"{where}: " if where else ""
    parts: list[str] = [tag("p", f"{about}{finding.summary}: ", chip(finding.verdict))]
    if finding.quantities:
        heads = ("Quantity", "Value [interval]", "p", "Seeds", "Passes")
        lines = [(one.name, *numbers_of(one)) for one in finding.quantities]
        parts.append(grid(f"Numbers of {claim.name}", heads, lines))
    if finding.missing:
        parts.append(
            fold(f"{len(finding.missing)} missing for it", items(finding.missing))
        )
    return tag("div", *parts, class_="finding")
