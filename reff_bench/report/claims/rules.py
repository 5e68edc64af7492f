"""The decision rules of the claims (method.md section 1) [assumed], pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from reff_bench.report.claims.evidence import Evidence, Quantity, Source
from reff_bench.report.statistics import (
    TOST_LEVEL,
    common_seeds,
    equivalence,
    rank_correlation,
)
from reff_bench.report.words import show

FEW = (1, 5, 10, 20, 50)
ROWS = (*FEW, "all")
PAPERS = ("reff", "reff_l1", "reff_l2", "abn")
VARIANTS = ("reff_l1", "reff_l2")
TEX = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
FIRST_ROWS = 3  # of the five few ones
BELOW_CELLS = 10  # of the twelve
MARGIN = 0.02  # of C7, a fraction
ALPHA = 0.05
ACCURACY, SHARE = "test_accuracy", "off_mask_central_share"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule says of evidence; `holds` means nothing while runs are missing."""

    quantities: tuple[Quantity, ...]
    holds: bool
    summary: str


def first_with_few(evidence: Evidence) -> Outcome:
    """C1: ReFF is first, by mean, in at least 3 of the 5 few rows."""
    found = tuple(_lead(evidence, amount) for amount in FEW)
    summary = f"ReFF first in {_count(found, 'rows')}"
    return Outcome(found, _passing(found) >= FIRST_ROWS, summary)


def _lead(evidence: Evidence, amount: int) -> Quantity:
    """Return ReFF minus the best of the others, over the seeds that all have."""
    sources = {name: Source(ACCURACY, name, amount) for name in PAPERS}
    series = {name: evidence.series(source) for name, source in sources.items()}
    seeds = common_seeds(list(series.values()))
    shared = {name: {s: series[name][s] for s in seeds} for name in PAPERS}
    means = {name: fmean(shared[name].values()) for name in PAPERS[1:] if seeds}
    rival = max(means, key=means.__getitem__, default=PAPERS[1])
    best = f" ({show(rival)})" if seeds else ""
    name = f"annotations {amount}: ReFF - best of the others{best}"
    found = evidence.compared(name, shared["reff"], shared[rival], sources.values())
    return _above_zero(found, by_mean=True)


def overtaken_with_all(evidence: Evidence) -> Outcome:
    """C2: with all annotations the interval of ABN minus ReFF is above 0."""
    found = _above_zero(
        evidence.difference(
            "annotations All: ABN - ReFF",
            Source(ACCURACY, "abn", "all"),
            Source(ACCURACY, "reff", "all"),
        )
    )
    return Outcome((found,), bool(found.passes), f"ABN - ReFF {brief(found)}")


def variants_below(evidence: Evidence) -> Outcome:
    """C3: ReFF (L1) and ReFF (L2) are below ReFF, by mean, in 10 of 12 cells."""
    found = tuple(
        _above_zero(
            evidence.difference(
                f"annotations {show(amount)}: ReFF - {show(variant)}",
                Source(ACCURACY, "reff", amount),
                Source(ACCURACY, variant, amount),
            ),
            by_mean=True,
        )
        for amount in ROWS
        for variant in VARIANTS
    )
    summary = f"below ReFF in {_count(found, 'cells')}"
    return Outcome(found, _passing(found) >= BELOW_CELLS, summary)


def attention_breaks(evidence: Evidence) -> Outcome:
    """C4: the annotator improves with the row; ABN loses more EPG than ReFF."""
    overlaps = [
        evidence.mean(
            f"annotations {amount}: IoU of the pseudo-annotations",
            Source("annotator_iou", None, amount),
        )
        for amount in FEW
    ]
    rising = _rising(overlaps)
    falls = {
        name: [Source("epg", name, amount) for amount in ("all", 1)]
        for name in ("abn", "reff")
    }
    drops = {name: _drops(evidence, *ends) for name, ends in falls.items()}
    more = _above_zero(
        evidence.compared(
            "fall of EPG from All to 1: ABN - ReFF",
            *(drops["abn"], drops["reff"], [*falls["abn"], *falls["reff"]]),
        )
    )
    summary = f"rank correlation {brief(rising)}; fall of EPG, ABN - ReFF {brief(more)}"
    holds = bool(rising.passes and more.passes)
    return Outcome((*overlaps, rising, more), holds, summary)


def _rising(overlaps: Sequence[Quantity]) -> Quantity:
    """Return the rank correlation of the rows with their mean IoU."""
    known = [
        (row, overlap.value)
        for row, overlap in zip(FEW, overlaps, strict=True)
        if overlap.value is not None
    ]
    value = rank_correlation([row for row, _ in known], [iou for _, iou in known])
    name = "rank correlation of annotations with IoU"
    complete = not any(overlap.missing for overlap in overlaps)
    passes = value is not None and value > 0 if complete else None
    return Quantity(name, value, None, None, None, len(known), "", passes=passes)


def _drops(evidence: Evidence, start: Source, end: Source) -> dict[int, float]:
    before, after = evidence.series(start), evidence.series(end)
    return {seed: before[seed] - after[seed] for seed in common_seeds((before, after))}


def variants_on_the_centre(evidence: Evidence) -> Outcome:
    """C5: off the digit, L1's and L2's maps lie on the center more than by chance."""
    found = tuple(
        _above_zero(
            evidence.difference(
                f"annotations {show(amount)}: {show(variant)} - chance",
                Source(SHARE, variant, amount),
                Source(f"{SHARE}_chance", variant, amount),
            )
        )
        for amount in evidence.places(VARIANTS)
        for variant in VARIANTS
    )
    return _all_of(found, "central share above chance")


def maps_follow_the_digit(evidence: Evidence) -> Outcome:
    """C6: ReFF's EPG is above chance and above Baseline's."""
    found = []
    for amount in evidence.places(("reff",)) or ["all"]:
        ours = Source("epg", "reff", amount)
        rivals = {
            "chance": Source("epg_chance", "reff", amount),
            "Baseline": Source("epg", "baseline", amount),
        }
        found += [
            _above_zero(
                evidence.difference(
                    f"annotations {show(amount)}: EPG, ReFF - {name}", ours, rival
                )
            )
            for name, rival in rivals.items()
        ]
    return _all_of(found, "EPG above chance and Baseline's")


def no_harm_without_spurious(evidence: Evidence) -> Outcome:
    """C7: for every tex, ReFF and Baseline are equivalent within two points."""
    found = [_equal(evidence, tex) for tex in TEX]
    return _all_of(found, "equivalent within 2 points")


def _equal(evidence: Evidence, tex: float) -> Quantity:
    a, b = (Source(ACCURACY, method, tex) for method in ("reff", "baseline"))
    found = equivalence(evidence.series(a), evidence.series(b), MARGIN)
    between = found.difference
    lacking = evidence.missing_pairs(between, (a, b))
    return Quantity(
        f"tex {tex:g}: ReFF - Baseline",
        *(between.mean, between.low, between.high, TOST_LEVEL, between.n, "points"),
        p=found.p,
        passes=None if lacking or found.p is None else found.p < ALPHA,
        missing=lacking,
    )


def brief(quantity: Quantity) -> str:
    """Return a quantity's number, in its unit, with its interval: `+3.1 [0.2, 6.0]`."""
    if quantity.value is None:
        return "--"
    scale, digits = (100, 1) if quantity.unit else (1, 2)
    sign = "" if quantity.unit == "per cent" else "+"
    text = f"{scale * quantity.value:{sign}z.{digits}f}"
    if quantity.low is None or quantity.high is None:
        return text
    ends = (f"{scale * end:z.{digits}f}" for end in (quantity.low, quantity.high))
    return f"{text} [{', '.join(ends)}]"


def _all_of(found: Iterable[Quantity], what: str) -> Outcome:
    quantities = tuple(found)
    summary = f"{what} in {_count(quantities, 'comparisons')}"
    return Outcome(quantities, 0 < len(quantities) == _passing(quantities), summary)


def _passing(found: Iterable[Quantity]) -> int:
    return sum(one.passes is True for one in found)


def _count(found: Sequence[Quantity], kind: str) -> str:
    """Say how many pass, and how many can't be judged yet."""
    unknown = sum(one.passes is None for one in found)
    note = f" ({unknown} without enough runs)" if unknown else ""
    return f"{_passing(found)} of {len(found)} {kind}{note}"


def _above_zero(found: Quantity, *, by_mean: bool = False) -> Quantity:
    """Judge by the interval, or by the mean alone."""
    bound = found.value if by_mean else found.low
    if found.missing or bound is None:
        return found
    return replace(found, passes=bound > 0)
