"""The claims of the paper, each with its runs and its rule: `check_claims`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from reff_bench.catalog.methods import method_title
from reff_bench.report.choice import Choice, choices
from reff_bench.report.claims.evidence import Evidence
from reff_bench.report.claims.model import FAILS, HOLDS, OPEN, Claim, Finding
from reff_bench.report.claims.statements import RULES, Rule
from reff_bench.report.settings import is_in, settings_of, telling_fields
from reff_bench.report.statistics import wilson
from reff_bench.report.tables import describe_missing
from reff_bench.results.folder import RunFolder, RunRecord
from reff_bench.results.plan import Plan

CHANCE = 0.1  # of the ten digits


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
            if is_in(row, setting) and row.status in ("incomplete", "pending")
        ]
        inside = tuple(row for row in choice.rows if is_in(row, setting))
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
