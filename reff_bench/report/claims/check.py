"""The claims that the paper states, each with its rule: `check_claims` decides them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from reff_bench.catalog.methods import method_title
from reff_bench.grid.config import RunConfig
from reff_bench.report.claims import rules
from reff_bench.report.claims.evidence import (
    FAILS,
    HOLDS,
    OPEN,
    Claim,
    Evidence,
    Finding,
)
from reff_bench.report.settings import (
    Choice,
    choices,
    is_in,
    settings_of,
    telling_fields,
)
from reff_bench.report.statistics import wilson
from reff_bench.report.tables import describe_missing
from reff_bench.results.folder import RunFolder, RunRecord
from reff_bench.results.plan import Plan

SEEDS = 3
CHANCE = 0.1  # of the ten digits


class Domain(NamedTuple):
    """Some of the runs, in words, and whether one is of them."""

    words: str
    has: Callable[[RunConfig], bool]


TAB2 = Domain(
    "runs with a spurious feature (bg < 1) and full-size digits",
    lambda run: not run.has_small_digits and run.bg is not None and run.bg < 1,
)
TAB3 = Domain(
    "runs without a spurious feature (bg 1), full-size digits, all annotated",
    lambda run: not run.has_small_digits and run.bg == 1 and run.annotations == "all",
)
SMALL = Domain(
    "runs with digits smaller than the image, at random places",
    lambda run: run.has_small_digits,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """How a claim is decided.

    Attributes:
        statement: the paper's, in its words as far as we have them [paper].
        rule: the decision rule [assumed].
        test: the statistics.
        check: the rule as code.
        methods: whose runs count.
        about: which runs count.
        axis: the field whose values are the claim's rows.
        seeds: that every place needs.
    """

    statement: str
    rule: str
    test: str
    check: Callable[[Evidence], rules.Outcome]
    methods: tuple[str, ...]
    about: Domain
    axis: str = "annotations"
    seeds: int = SEEDS


PAIRED = "paired differences over seeds, 95 % t-interval"

RULES: Mapping[str, Rule] = {
    "C1": Rule(
        "With few annotations (pseudo-annotations partly wrong), ReFF has the highest "
        "test accuracy in most rows.",
        "ReFF, of ReFF, ReFF (L1), ReFF (L2) and ABN, is first by mean test accuracy "
        "in at least 3 of the 5 rows 1, 5, 10, 20, 50.",
        "means over the seeds that all four have; beside each row the paired "
        "difference from the best of the others with its 95 % t-interval",
        check=rules.first_with_few,
        methods=rules.PAPERS,
        about=TAB2,
    ),
    "C2": Rule(
        "With all annotations, ABN is above ReFF.",
        "The 95 % interval of the paired difference of test accuracies is above 0.",
        PAIRED,
        check=rules.overtaken_with_all,
        methods=("reff", "abn"),
        about=TAB2,
    ),
    "C3": Rule(
        "ReFF (L1) and ReFF (L2) are almost always below ReFF.",
        "By mean test accuracy in at least 10 of the 12 cells (6 rows, 2 variants).",
        "means of the paired differences over seeds; 95 % t-intervals beside them",
        check=rules.variants_below,
        methods=("reff", *rules.VARIANTS),
        about=TAB2,
    ),
    "C4": Rule(
        "Fewer annotations give worse pseudo-annotations; ReFF's Grad-CAMs stay on the "
        "digits, ABN's attention breaks.",
        "The annotator's mean IoU rises with the rows 1 to 50 (rank correlation above "
        "0); and from All to 1 the EPG of ABN's attention falls by more than that of "
        "ReFF's Grad-CAM, 95 % interval of the paired difference above 0.",
        f"Spearman's rank correlation of the rows' means; {PAIRED}",
        check=rules.attention_breaks,
        methods=rules.PAPERS,
        about=TAB2,
    ),
    "C5": Rule(
        "Grad-CAMs of ReFF (L1) and ReFF (L2) sit on the center, whatever the amount "
        "of annotation.",
        "Of the map's mass off the digit, the share in the central quarter of the "
        "image exceeds a uniform map's share: 95 % interval above 0 for both variants "
        "at every amount of annotation that was run.",
        PAIRED,
        check=rules.variants_on_the_centre,
        methods=rules.VARIANTS,
        about=SMALL,
    ),
    "C6": Rule(
        "With small digits at random places, ReFF's Grad-CAMs follow the digit.",
        "EPG above chance and above Baseline's: both 95 % intervals above 0, at every "
        "amount of annotation that was run.",
        PAIRED,
        check=rules.maps_follow_the_digit,
        methods=("baseline", "reff"),
        about=SMALL,
    ),
    "C7": Rule(
        "With no spurious feature in training, ReFF and Baseline are equal for every "
        "digit-texture randomness.",
        "Test accuracies equivalent within 2 points at 5 %, for each tex of 0, 0.2, "
        "0.4, 0.6, 0.8, 1; at least 5 seeds.",
        "two one-sided t-tests (TOST) of paired differences over seeds; 90 % intervals",
        check=rules.no_harm_without_spurious,
        methods=("baseline", "reff"),
        about=TAB3,
        axis="tex",
        seeds=5,
    ),
}


def check_claims(runs: RunFolder) -> tuple[Claim, ...]:
    """Decide every claim from a grid's runs.

    A claim has a finding for each selection of the grid and each setting, such as a
    second value of `tex`; fewer than 3 seeds (C7: 5) never give a verdict.
    """
    return tuple(
        Claim(
            *(name, rule.statement, rule.rule, rule.test),
            tuple(_judge(rule, one) for one in _evidence(rule, runs)),
        )
        for name, rule in RULES.items()
    )


def join_claims(parts: Sequence[tuple[Claim, ...]]) -> tuple[Claim, ...]:
    """Join the claims of several grids: findings of those that have runs for them."""
    joined = []
    for several in zip(*parts, strict=True):
        findings = tuple(one for claim in several for one in claim.findings)
        found = tuple(one for one in findings if one.found) or findings[:1]
        joined.append(replace(several[0], findings=found))
    return tuple(joined)


def _evidence(rule: Rule, runs: RunFolder) -> list[Evidence]:
    """Return the runs of a claim, the main setting of the first selection first."""
    plan = runs.plan
    counting = [
        row
        for row in runs.records
        if row.settings.dataset == "textured_mnist"
        and row.method in rule.methods
        and rule.about.has(row.settings)
    ]
    return [
        one
        for choice in choices(counting, plan.select)
        for one in sorted(_settings(rule, plan, choice), key=_rank)
    ] or [Evidence(plan.name, "", {}, (), rule.axis, rule.seeds, ())]


def _settings(rule: Rule, plan: Plan, choice: Choice) -> Iterator[Evidence]:
    axes = (rule.axis, "method")
    fields = telling_fields(choice.rows, axes, plan.select.options)
    for setting in settings_of(choice.rows, fields):
        late = [
            describe_missing(row, choice.by)
            for row in choice.provisional
            if is_in(row, setting, fields) and row.status in ("incomplete", "pending")
        ]
        inside = tuple(row for row in choice.rows if is_in(row, setting, fields))
        facts = (rule.axis, rule.seeds, tuple(late))
        yield Evidence(plan.name, choice.by, setting, inside, *facts)


def _rank(evidence: Evidence) -> tuple[float, float]:
    """Order settings: the lowest `tex` is the main one, then the lowest `bg`."""
    tex, bg = (evidence.setting.get(name, 0.0) for name in ("tex", "bg"))
    return tex, bg


def _judge(rule: Rule, evidence: Evidence) -> Finding:
    head = (evidence.grid, evidence.selection, evidence.setting)
    if not evidence.rows:
        needs = (f"the grid has no {rule.about.words}",)
        return Finding(*head, OPEN, "no runs", (), needs, found=False)
    outcome = rule.check(evidence)
    words = dict.fromkeys(evidence.unfinished)
    for quantity in outcome.quantities:
        words.update(dict.fromkeys(quantity.missing))
    missing = tuple(words)
    verdict = OPEN if missing else HOLDS if outcome.holds else FAILS
    summary = "; ".join([outcome.summary, *_unlearned(evidence)])
    return Finding(*(*head, verdict, summary, outcome.quantities, missing), found=True)


def _unlearned(evidence: Evidence) -> Iterator[str]:
    """Yield methods of networks that learned nothing: their maps tell nothing."""
    done = {row.id: row for row in evidence.rows if row.status == "done"}
    runs = Counter(row.method for row in done.values())
    at_chance = Counter(row.method for row in done.values() if _is_at_chance(row))
    for method, count in at_chance.items():
        yield (
            f"{method_title(method)} no better than chance on its own validation "
            f"images in {count} of {runs[method]} runs"
        )


def _is_at_chance(row: RunRecord) -> bool:
    """Whether the interval of its accuracy under the training's randomness has it."""
    accuracy, images = row.metrics.get("val_accuracy"), row.settings.val
    if accuracy is None or images is None:
        return False
    return wilson(accuracy, images).low <= CHANCE
