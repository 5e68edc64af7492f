import csv
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from reff_bench.report.claims.check import check_claims, join_claims
from reff_bench.report.claims.evidence import Claim
from reff_bench.report.claims.write import claims_text, write_claims
from reff_bench.results.folder import RunRecord
from tests.reff_bench import fakes
from tests.reff_bench.fakes import make_config, make_plan, make_row, make_runs

Rows = list[RunRecord]
AMOUNTS = (1, 5, 10, 20, 50, "all")
PAPERS = ("reff", "reff_l1", "reff_l2", "abn")
TEX = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def judge(rows: Rows, name: str, **select: Any) -> Claim:
    claims = check_claims(make_runs(rows, make_plan([], **select)))
    return next(claim for claim in claims if claim.name == name)


def run(method: str, values: dict[str, float], **fields: Any) -> RunRecord:
    return make_row(make_config(method, **fields), "done", **values)


def wobble(seed: int, method: str) -> float:
    """A little spread over seeds, another for each method."""
    return 0.001 * ((3 * seed + PAPERS.index(method)) % 4) if method in PAPERS else 0


# Means of a study in which all of C1 to C4 hold.
ACCURACY = {"reff": 0.8, "reff_l1": 0.6, "reff_l2": 0.5, "abn": 0.7}
EPG = {"abn": (0.3, 0.9), "reff": (0.8, 0.85), "reff_l1": (0, 0), "reff_l2": (0, 0)}


def tab2_rows(seeds: int = 3, **fields: Any) -> Rows:
    rows = []
    for method, amount, seed in product(PAPERS, AMOUNTS, range(seeds)):
        accuracy = ACCURACY[method] + wobble(seed, method)
        if (method, amount) == ("abn", "all"):
            accuracy += 0.2
        few, many = EPG[method]
        values = {"test_accuracy": accuracy, "val_accuracy": accuracy, "epg": many}
        if amount != "all":
            values["epg"] = few + wobble(seed, method)
            values["annotator_iou"] = 0.5 + 0.05 * AMOUNTS.index(amount)
        rows.append(run(method, values, annotations=amount, seed=seed, **fields))
    return rows


def small_rows(seeds: int = 3) -> Rows:
    """Half-size digits: C5 and C6 hold."""
    rows = []
    shares = {"reff": 0.2, "reff_l1": 0.5, "reff_l2": 0.6, "baseline": 0.3}
    epg = {"reff": 0.7, "reff_l1": 0.2, "reff_l2": 0.2, "baseline": 0.3}
    for method, amount, seed in product(shares, (5, "all"), range(seeds)):
        values = {
            "off_mask_central_share": shares[method] + 0.01 * seed,
            "off_mask_central_share_chance": 0.25,
            "epg": epg[method] + 0.01 * (seed % 2),
            "epg_chance": 0.06,
        }
        rows.append(run(method, values, annotations=amount, seed=seed, digit_size=28))
    return rows


def tab3_rows(seeds: int = 5, distance: float = 0.0) -> Rows:
    """Data without a spurious feature: C7 holds while the distance is small."""
    rows = []
    for tex, seed in product(TEX, range(seeds)):
        baseline = 0.9 + 0.002 * (seed % 2 == 0)
        reff = 0.9 + distance + 0.002 * (seed % 2 == 1)
        fields = {"bg": 1.0, "tex": tex, "test_tex": tex, "seed": seed}
        rows.append(run("baseline", {"test_accuracy": baseline}, **fields))
        rows.append(run("reff", {"test_accuracy": reff}, **fields))
    return rows


def changed(rows: Rows, key: str, value: Callable[[Any], Any], **where: Any) -> Rows:
    """Change a metric in the rows that have these settings."""
    return [
        fakes.changed(row, **{key: value(row.metrics.get(key))})
        if all(getattr(row.settings, name) == one for name, one in where.items())
        else row
        for row in rows
    ]


# Rows of which a claim holds, how many seeds it needs, and a run that it can't lack.
CLAIMS: dict[str, tuple[Callable[..., Rows], int, tuple[str, Any]]] = {
    "C1": (tab2_rows, 3, ("reff", 1)),
    "C2": (tab2_rows, 3, ("reff", "all")),
    "C3": (tab2_rows, 3, ("reff", 1)),
    "C4": (tab2_rows, 3, ("reff", 1)),
    "C5": (small_rows, 3, ("reff_l1", 5)),
    "C6": (small_rows, 3, ("reff", 5)),
    "C7": (tab3_rows, 5, ("reff", "all")),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_holds_where_its_rule_does(name: str) -> None:
    make, *_ = CLAIMS[name]
    claim = judge(make(), name)
    assert claim.verdict == "holds"
    assert claim.findings[0].missing == ()
    assert all(one.passes is not False for one in claim.findings[0].quantities)


@pytest.mark.parametrize("name", CLAIMS)
def test_too_few_seeds_are_no_verdict(name: str) -> None:
    (finding,) = judge([], name).findings
    assert finding.verdict == "inconclusive"
    assert finding.missing[0].startswith("the grid has no runs with")
    make, seeds, _ = CLAIMS[name]
    assert judge(make(1), name).verdict == "inconclusive"
    claim = judge(make(seeds - 1), name)
    assert claim.verdict == "inconclusive"
    missing = " ".join(claim.findings[0].missing)
    assert f"the grid has {seeds - 1} of {seeds} seeds" in missing
    assert any(one.value is not None for one in claim.findings[0].quantities)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_run_that_failed_is_no_verdict_and_named(name: str) -> None:
    make, _, vital = CLAIMS[name]
    rows = make()
    bad = [(row.method, row.settings.annotations) for row in rows].index(vital)
    results = ("test_accuracy", "epg", "annotator_iou", "off_mask_central_share")
    gone: dict[str, Any] = dict.fromkeys(results)
    why = {"status": "failed", "reason": "the loss is NaN"}
    rows[bad] = fakes.changed(rows[bad], **gone, **why)
    claim = judge(rows, name)
    assert claim.verdict == "inconclusive"
    missing = " ".join(claim.findings[0].missing)
    assert f"failed: the loss is NaN; {rows[bad].id}" in missing


def shifted(rows: Rows, by: float, **where: Any) -> Rows:
    """Change the test accuracy in the rows that have these settings."""
    return changed(rows, "test_accuracy", lambda value: value + by, **where)


def test_c1_needs_three_of_the_five_rows() -> None:
    rows = tab2_rows()
    for amount in (1, 5):
        rows = shifted(rows, 0.2, method="abn", annotations=amount)
    assert judge(rows, "C1").verdict == "holds"
    rows = shifted(rows, 0.5, method="reff_l2", annotations=50)
    claim = judge(rows, "C1")
    assert claim.verdict == "does not hold"
    (finding,) = claim.findings
    assert finding.summary == "ReFF first in 2 of 5 rows"
    names = [one.name for one in finding.quantities]
    assert names[0] == "annotations 1: ReFF - best of the others (ABN)"
    assert names[4] == "annotations 50: ReFF - best of the others (ReFF (L2))"


def test_c1_looks_at_the_papers_methods_and_the_seeds_that_all_have() -> None:
    rivals = [
        run(name, {"test_accuracy": 0.99}, annotations=amount, seed=seed)
        for name in ("reff_plus", "background_swap", "baseline")
        for amount in AMOUNTS
        for seed in range(3)
    ]
    assert judge([*tab2_rows(), *rivals], "C1").verdict == "holds"
    odd = run("abn", {"test_accuracy": 1.0}, annotations=1, seed=9)
    finding = judge([*tab2_rows(), odd], "C1").findings[0]
    assert finding.quantities[0].n == 3
    assert finding.quantities[0].value == pytest.approx(0.1, abs=0.005)


def test_c2_is_about_the_interval_not_the_mean() -> None:
    rows = tab2_rows()
    for seed, shift in enumerate((-0.15, 0.0, 0.3)):
        rows = shifted(rows, shift, method="abn", seed=seed)
    claim = judge(rows, "C2")
    (one,) = claim.findings[0].quantities
    abn, reff = (
        [
            row.metrics["test_accuracy"]
            for row in rows
            if (row.method, row.settings.annotations) == (method, "all")
        ]
        for method in ("abn", "reff")
    )
    theirs = stats.ttest_rel(abn, reff).confidence_interval(0.95)
    assert (one.low, one.high) == pytest.approx((theirs.low, theirs.high))
    assert one.value is not None
    assert one.value > 0
    assert claim.verdict == "does not hold"


def test_c3_allows_two_runs_of_twelve() -> None:
    rows = tab2_rows()
    for amount in (1, "all"):
        rows = shifted(rows, 0.3, method="reff_l1", annotations=amount)
    claim = judge(rows, "C3")
    assert claim.verdict == "holds"
    assert claim.findings[0].summary == "below ReFF in 10 of 12 cells"
    rows = shifted(rows, 0.4, method="reff_l2", annotations=5)
    assert judge(rows, "C3").verdict == "does not hold"


def test_c4_fails_with_either_half() -> None:
    falling = changed(tab2_rows(), "annotator_iou", lambda v: v and 1 - v)
    assert judge(falling, "C4").verdict == "does not hold"
    steady = changed(tab2_rows(), "epg", lambda _: 0.9, method="abn", annotations=1)
    assert judge(steady, "C4").verdict == "does not hold"


def test_c4_needs_the_annotator_of_any_method_only() -> None:
    rows = tab2_rows()
    for method in ("reff_l1", "reff_l2", "abn"):
        rows = changed(rows, "annotator_iou", lambda _: None, method=method)
    assert judge(rows, "C4").verdict == "holds"
    rows = changed(rows, "annotator_iou", lambda _: None, method="reff")
    assert judge(rows, "C4").verdict == "inconclusive"


def test_c5_needs_both_variants_at_every_amount() -> None:
    for method in ("reff_l1", "reff_l2"):
        where: dict[str, Any] = {"method": method, "annotations": 5}
        rows = changed(small_rows(), "off_mask_central_share", lambda _: 0.2, **where)
        assert judge(rows, "C5").verdict == "does not hold"
    rows = [row for row in small_rows() if row.method != "reff_l2"]
    claim = judge(rows, "C5")
    assert claim.verdict == "inconclusive"
    assert "ReFF (L2), annotations 5: not in the grid" in claim.findings[0].missing


def test_c6_needs_chance_and_the_one_baseline_at_every_amount() -> None:
    low = changed(small_rows(), "epg_chance", lambda _: 0.9, method="reff")
    assert judge(low, "C6").verdict == "does not hold"
    rival = changed(small_rows(), "epg", lambda v: v + 0.5, method="baseline")
    assert judge(rival, "C6").verdict == "does not hold"
    # Baseline doesn't depend on annotations: a grid may name one amount.
    rows = [
        row
        for row in small_rows()
        if row.method != "baseline" or row.settings.annotations == "all"
    ]
    claim = judge(rows, "C6")
    assert claim.verdict == "holds"
    assert len(claim.findings[0].quantities) == 4


def test_c7_is_equivalence_not_a_lack_of_difference() -> None:
    assert judge(tab3_rows(distance=0.03), "C7").verdict == "does not hold"
    rows = tab3_rows()
    for seed, shift in enumerate((-0.2, -0.1, 0.0, 0.1, 0.2)):  # no difference shown
        rows = shifted(rows, shift, method="reff", seed=seed, tex=0.4)
    claim = judge(rows, "C7")
    assert claim.verdict == "does not hold"
    assert [one.passes for one in claim.findings[0].quantities].count(False) == 1


def test_c7_of_some_values_shows_the_numbers() -> None:
    rows = [row for row in tab3_rows() if row.settings.tex in (0.0, 0.6)]
    claim = judge(rows, "C7")
    assert claim.verdict == "inconclusive"
    (finding,) = claim.findings
    passes = [one.passes for one in finding.quantities]
    assert passes == [True, None, None, True, None, None]
    assert finding.summary == (
        "equivalent within 2 points in 2 of 6 comparisons (4 without enough runs)"
    )
    assert "ReFF, tex 0.2: not in the grid" in finding.missing


def test_seeds_that_are_not_shared_are_not_paired() -> None:
    rows = [
        fakes.changed(row, seed=row.seed + 10) if row.method == "abn" else row
        for row in tab2_rows()
    ]
    claim = judge(rows, "C2")
    assert claim.verdict == "inconclusive"
    assert claim.findings[0].missing == (
        "ABN, annotations All and ReFF, annotations All: 0 of 3 seeds in common",
    )


def test_each_setting_has_its_verdict_and_the_lowest_tex_is_the_main_one() -> None:
    plain = tab2_rows()
    other = shifted(tab2_rows(tex=0.5, test_tex=0.5), -0.7, method="reff")
    claim = judge([*other, *plain], "C1")
    found = [(one.setting, one.verdict) for one in claim.findings]
    assert found == [({"tex": 0.0}, "holds"), ({"tex": 0.5}, "does not hold")]
    assert claim.verdict == "holds"


def tuned_rows() -> Rows:
    """The validation set favors weight 1, the test set weight 10."""
    rows = changed(tab2_rows(weight=1.0), "val_shifted_accuracy", lambda _: 0.1)
    other = changed(tab2_rows(weight=10.0), "val_accuracy", lambda _: 0.1)
    other = changed(other, "val_shifted_accuracy", lambda _: 0.9)
    return rows + shifted(other, -0.75, method="reff")


TUNED: dict[str, Any] = {"options": {"weight": (1.0, 10.0)}}


def test_hyper_parameters_are_chosen_by_validation() -> None:
    claim = judge(tuned_rows(), "C1", **TUNED)
    assert [one.verdict for one in claim.findings] == ["holds"]
    both = judge(tuned_rows(), "C1", also="val_shifted_accuracy", **TUNED)
    assert [(one.selection, one.verdict) for one in both.findings] == [
        ("val_accuracy", "holds"),
        ("val_shifted_accuracy", "does not hold"),
    ]


def test_a_candidate_that_may_still_be_chosen_holds_the_verdict_back() -> None:
    *rows, last = tuned_rows()
    pending = fakes.changed(last, val_accuracy=None, status="pending")
    claim = judge([*rows, pending], "C1", **TUNED)
    assert claim.verdict == "inconclusive"
    assert "weight 10, seed 2 (pending; " in claim.findings[0].missing[0]
    failed = fakes.changed(last, val_accuracy=None, status="failed")
    assert judge([*rows, failed], "C1", **TUNED).verdict == "holds"


def test_several_grids_are_joined() -> None:
    grids = (tab2_rows(), tab3_rows(), small_rows())
    joined = join_claims([check_claims(make_runs(rows)) for rows in grids])
    assert {claim.verdict for claim in joined} == {"holds"}
    assert all(len(claim.findings) == 1 for claim in joined)
    empty = join_claims([check_claims(make_runs([]))] * 2)
    assert all(len(claim.findings) == 1 for claim in empty)


def test_the_text_says_rule_test_numbers_and_what_is_missing() -> None:
    text = claims_text(check_claims(make_runs([*tab2_rows(), *tab3_rows(2)])))
    for words in (
        "C1 HOLDS: With few annotations",
        "rule: ReFF, of ReFF, ReFF (L1), ReFF (L2) and ABN, is first",
        "made-up: ReFF first in 5 of 5 rows: holds",
        "annotations 1: ReFF - best of the others (ABN)   +10.0 [9.4, 10.5] points",
        "C5 INCONCLUSIVE",
        "missing: the grid has no runs with digits smaller than the image",
        "C7 INCONCLUSIVE",
        "missing: ReFF, tex 0: the grid has 2 of 5 seeds",
        "and 7 more; all are in claims.json",
    ):
        assert words in text, text
    assert max(map(len, text.splitlines())) <= 110


def test_the_files_hold_every_number(tmp_path: Path) -> None:
    claims = check_claims(make_runs([*tab2_rows(), *tab3_rows()]))
    files = write_claims(tmp_path, claims)
    assert [path.name for path in files] == ["claims.json", "claims.csv", "claims.tex"]
    content = json.loads(files[0].read_text())["claims"]
    assert [claim["name"] for claim in content] == [f"C{n}" for n in range(1, 8)]
    assert content[0]["verdict"] == "holds"
    with files[1].open() as file:
        rows = list(csv.DictReader(file))
    written = [row["value"] for row in rows if row["claim"] == "C2" and row["value"]]
    (quantity,) = claims[1].findings[0].quantities
    assert [*map(float, written)] == [quantity.value]
    assert {row["verdict"] for row in rows if row["claim"] == "C5"} == {"inconclusive"}


def test_a_verdict_names_methods_that_learned_nothing() -> None:
    correct = {"reff": (20, 28, 31), "baseline": (190, 190, 190)}  # of 200 images
    rows = [
        run(
            method,
            {"epg": 0.2, "epg_chance": 0.1, "val_accuracy": count / 200},
            **{"annotations": "all", "seed": seed, "digit_size": 28, "val": 200},
        )
        for method, counts in correct.items()
        for seed, count in enumerate(counts)
    ]
    tests = [stats.binomtest(count, 200) for count in correct["reff"]]
    lows = [test.proportion_ci(method="wilson").low for test in tests]
    assert [low <= 0.1 for low in lows] == [True, True, False]
    summary = judge(rows, "C6").findings[0].summary
    words = "ReFF no better than chance on its own validation images in 2 of 3 runs"
    assert words in summary
    assert "Baseline no better" not in summary
