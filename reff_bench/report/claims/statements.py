"""The claims that the paper states, each with the rule that decides it here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from reff_bench.grid.config import RunConfig
from reff_bench.report.claims import rules
from reff_bench.report.claims.evidence import Evidence

SEEDS = 3


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
