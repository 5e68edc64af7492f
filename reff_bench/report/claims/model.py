"""What is said of a claim: quantities, findings, the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOLDS = "holds"
FAILS = "does not hold"
OPEN = "inconclusive"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number that a verdict rests on.

    Attributes:
        name: what it is, in words.
        value: a mean over seeds, as a fraction, or a correlation; None without runs.
        low: lower end of its t-interval; None where there is none.
        high: its upper end.
        level: of the interval.
        n: seeds behind it; of a correlation, its points.
        unit: `points` of a difference of fractions, `per cent` of a fraction, or empty.
        p: of the test of equivalence; else None.
        passes: whether it satisfies its part of the rule; None if it has none, or while
            runs are missing.
        missing: the runs that it lacks, in words.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    level: float | None
    n: int
    unit: str
    p: float | None = None
    passes: bool | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim under one setting, with the hyper-parameters of one selection.

    Attributes:
        grid: whose runs these are.
        selection: the metric that chose hyper-parameters; empty if none are tuned.
        setting: values of the fields that tell settings apart.
        verdict: `holds`, `does not hold` or `inconclusive` (runs are missing).
        summary: the result in a few words.
        quantities: the numbers.
        missing: what there has to be before there is a verdict, in words.
        found: whether the grid has any run for the claim.
    """

    grid: str
    selection: str
    setting: Mapping[str, Any]
    verdict: str
    summary: str
    quantities: tuple[Quantity, ...]
    missing: tuple[str, ...]
    found: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the paper.

    Attributes:
        name: `C1` ... `C7`.
        statement: the paper's [paper].
        rule: how it is decided [assumed].
        test: the statistics behind it.
        findings: the main one first: lowest `tex`, the grid's first selection.
    """

    name: str
    statement: str
    rule: str
    test: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """That of the main finding."""
        return self.findings[0].verdict
