from functools import partial
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.texturedmnist.banks import make_index
from tests.texturedmnist.test_draws import reference_draw
from texturedmnist.plan import SamplePlan, other_class, plan_samples
from texturedmnist.recipe import SPLITS, Recipe
from texturedmnist.sources import SourceIndex

Role = Literal["digit_texture", "background_texture"]
Split = Literal["train", "val", "test", "val_shifted"]
INDEX = make_index()
FULL = make_index(development=60_000, test=10_000)
KNOB_OF: dict[Role, str] = {"digit_texture": "tex", "background_texture": "bg"}
ROLES = tuple(KNOB_OF)
# What depends on the candidate class; all else depends on no randomness at all.
BY_CLASS = ("", "_file", "_y", "_x")


def recipe(**fields: Any) -> Recipe:
    chosen = {"bg": 0.2, "tex": 0.5, "image_size": 32, "train": 540, "val": 60}
    return Recipe(**{**chosen, **fields})


def plan(
    count: int, split: str = "train", index: SourceIndex = INDEX, **fields: Any
) -> SamplePlan:
    return plan_samples(recipe(**fields), index, split, np.arange(count))


def at(role: Role, role_name: float) -> dict[str, Any]:
    """Return the recipe field of a role's randomness."""
    return {KNOB_OF[role]: role_name}


def equal(one: SamplePlan, other: SamplePlan, *but: str) -> bool:
    """Compare every field but some of `columns()`."""
    mine, others = one.columns(), other.columns()
    return set(mine) == set(others) and all(
        np.array_equal(mine[name], others[name]) for name in mine if name not in but
    )


def below_reference(word: int, bound: int) -> int:
    return (word >> 32) * bound >> 32


def reference_sample(
    chosen: Recipe, index: SourceIndex, split: Split, number: int
) -> dict[str, int | float | bool]:
    """Plan one sample in plain Python, as `docs/recipe.md` writes it out."""

    def word(purpose: str) -> int:
        return reference_draw(chosen.seed, split, purpose, number)

    def order(count: int) -> list[int]:
        name = chosen.seed, "corpus", "digit_order"
        return sorted(range(count), key=lambda n: reference_draw(*name, n))

    development = index.development
    if split == "test":
        pool = [development + n for n in order(len(index.labels) - development)]
    elif split == "train":
        pool = order(development)[: development * 9 // 10]
    else:
        pool = order(development)[development * 9 // 10 :]
    digit = pool[number % len(pool)]
    label = int(index.labels[digit])
    room = chosen.image_size - chosen.digit_size_px + 1
    row: dict[str, int | float | bool] = {
        "label": label,
        "index": number,
        "plan/digit": digit,
        "plan/digit_y": below_reference(word("digit_y"), room),
        "plan/digit_x": below_reference(word("digit_x"), room),
    }
    randomness = dict(zip(("bg", "tex"), chosen.randomness(split), strict=True))
    for role, role_name in KNOB_OF.items():
        inside = role == "digit_texture"
        files = getattr(index, f"{role}s")
        assigned = getattr(index.assignment, f"{role}s")[label]
        assigned = [assigned] if inside else assigned
        drawn = (word(role_name) >> 11) / 2**53
        if drawn < randomness[role_name]:
            number_of = below_reference(word(f"{role}_free"), len(files.classes))
        else:
            name = assigned[below_reference(word(f"{role}_tied"), len(assigned))]
            number_of = files.classes.index(name)
        part = {"train": 0, "test": 2}.get(split, 1)
        first, count = files.first[part, number_of], files.count[part, number_of]
        file = int(first) + below_reference(word(f"{role}_file"), int(count))
        size = chosen.digit_size_px if inside else chosen.image_size
        high, wide = int(files.heights[file]), int(files.widths[file])
        row |= {
            role: number_of,
            f"{role.split('_')[0]}_aligned": files.classes[number_of] in assigned,
            f"plan/{role_name}_draw": drawn,
            f"plan/{role}_file": file,
            f"plan/{role}_y": below_reference(word(f"{role}_y"), high - size + 1),
            f"plan/{role}_x": below_reference(word(f"{role}_x"), wide - size + 1),
        }
    return row


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("digit_size", [None, 28])
def test_plans_equal_the_plain_reference(split: Split, digit_size: int | None) -> None:
    small = make_index(development=70, test=20)
    chosen = recipe(seed=11, test_bg=0.7, test_tex=0.3, digit_size=digit_size)
    columns = plan_samples(chosen, small, split, np.arange(90)).columns()
    for number in range(90):
        found = {name: column[number].item() for name, column in columns.items()}
        assert found == reference_sample(chosen, small, split, number)


@given(st.lists(st.integers(0, 2**40), max_size=30), st.sampled_from(SPLITS))
@settings(deadline=None, max_examples=40)
def test_a_sample_depends_neither_on_the_others_asked_for_nor_on_the_number_of_all(
    numbers: list[int], split: str
) -> None:
    indices = np.array(numbers, np.int64)
    together = plan_samples(recipe(), INDEX, split, indices)
    assert together.index.tolist() == numbers
    sizes = {"train": 54_000, "val": 6_000, "test": 10_000}
    for place in range(len(numbers)):
        alone = plan_samples(recipe(**sizes), INDEX, split, indices[[place]])
        assert equal(alone, together.take(np.array([place])))
    turned = plan_samples(recipe(), INDEX, split, indices[::-1])
    assert equal(turned, together.take(np.arange(len(numbers))[::-1]))
    assert len(together.take(slice(2, 9))) == len(numbers[2:9])


def test_no_digit_and_no_file_is_shared_between_splits() -> None:
    plans = {name: plan(3_000, name, bg=1, tex=1) for name in ("train", "val", "test")}
    for mine, others in combinations(plans.values(), 2):
        assert not {*mine.digit.tolist()} & {*others.digit.tolist()}
        for role in ROLES:
            files = getattr(mine, role).file, getattr(others, role).file
            assert not len(np.intersect1d(*files))
    used = [len(np.unique(one.background_texture.file)) for one in plans.values()]
    assert used == [8 * 37, 2 * 37, 3 * 37]


def test_60000_digits_are_split_54000_to_6000() -> None:
    counts = {"train": 54_000, "val": 6_000, "test": 10_000}
    digits = {name: plan(n, name, FULL, **counts).digit for name, n in counts.items()}
    everything = np.concatenate(list(digits.values()))
    assert np.array_equal(np.sort(everything), np.arange(70_000))
    assert digits["test"].min() == 60_000
    other = plan(6_000, "val", FULL, seed=1).digit
    assert len(np.intersect1d(other, digits["val"])) < 800


def test_digits_repeat_past_the_corpus_but_textures_differ() -> None:
    twice = plan(2 * 540, train=1_080, bg=1, tex=1)
    first, second = twice.take(slice(540)), twice.take(slice(540, None))
    assert np.array_equal(first.digit, second.digit)
    assert sorted(first.digit.tolist()) == sorted(set(first.digit.tolist()))
    for role in ROLES:
        one, other = getattr(first, role), getattr(second, role)
        same = (one.file == other.file) & (one.y == other.y) & (one.x == other.x)
        assert same.mean() < 0.02


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_randomness_switches_exactly_the_samples_whose_draw_lies_between(
    role: Role, split: str
) -> None:
    low, high = plan(5_000, split, **at(role, 0.2)), plan(5_000, split, **at(role, 0.4))
    before, after = getattr(low, role), getattr(high, role)
    assert np.array_equal(before.draw, after.draw)
    between = (before.draw >= 0.2) & (before.draw < 0.4)
    assert 0.15 < between.mean() < 0.25
    free = getattr(plan(5_000, split, **at(role, 1)), role)
    assigned = getattr(plan(5_000, split, **at(role, 0)), role)
    for name in ("number", "file", "y", "x", "aligned"):
        mine = getattr(after, name)[between], getattr(before, name)[between]
        assert np.array_equal(mine[0], getattr(free, name)[between])
        assert np.array_equal(mine[1], getattr(assigned, name)[between])
        rest = getattr(after, name)[~between], getattr(before, name)[~between]
        assert np.array_equal(*rest)
    moved = before.number != after.number
    assert not (moved & ~between).any()
    assert moved[between].mean() > 0.8
    switched = [role if not end else f"plan/{role}{end}" for end in BY_CLASS]
    switched.append(f"{role.split('_')[0]}_aligned")
    assert equal(low, high, *switched)


@pytest.mark.parametrize("role", ROLES)
def test_a_draw_equal_to_the_randomness_is_assigned(role: Role) -> None:
    assigned, free = (getattr(plan(50, **at(role, end)), role) for end in (0, 1))
    for sample in np.flatnonzero(assigned.number != free.number)[:5]:
        drawn = free.draw[sample].item()
        for bound, expected in ((drawn, assigned), (np.nextafter(drawn, 1), free)):
            found = getattr(plan(50, **at(role, float(bound))), role)
            assert found.number[sample] == expected.number[sample]


@given(*[st.tuples(st.floats(0, 1), st.floats(0, 1))] * 2)
@settings(deadline=None, max_examples=40)
def test_any_two_randomness_settings_differ_only_between_the_randomness(
    tex: tuple[float, float], bg: tuple[float, float]
) -> None:
    one, other = (plan(300, bg=bg[k], tex=tex[k]) for k in (0, 1))
    for role, ends in zip(ROLES, (sorted(tex), sorted(bg)), strict=True):
        mine, others = getattr(one, role), getattr(other, role)
        between = (mine.draw >= ends[0]) & (mine.draw < ends[1])
        assert not ((mine.file != others.file) & ~between).any()
        assert not ((mine.number != others.number) & ~between).any()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_randomness_1_says_nothing_of_the_label(role: Role, split: str) -> None:
    whole = plan(20_000, split, FULL, bg=1, tex=1)
    textures, classes = getattr(whole, role), 10 if "digit" in role else 37
    table = np.zeros((10, classes), np.int64)
    np.add.at(table, (whole.label, textures.number), 1)
    assert stats.chisquare(table.sum(axis=0)).pvalue > 1e-3
    assert stats.chi2_contingency(table).pvalue > 1e-3
    assigned = np.array([len(range(d, classes, 10)) for d in range(10)])
    expected = (assigned / classes)[whole.label].mean()
    found = stats.binomtest(int(textures.aligned.sum()), 20_000, expected)
    assert found.pvalue > 1e-3


@pytest.mark.parametrize("role", ROLES)
def test_a_given_class_changes_only_its_role(role: Role) -> None:
    given_class = np.arange(500) % 10
    own = plan(500)
    plan_given = partial(plan_samples, recipe(), INDEX, "train", np.arange(500))
    counterfactuals = plan_given(**{role: given_class})
    textures = getattr(counterfactuals, role)
    assert np.array_equal(textures.number, given_class)
    aligned = f"{role.split('_')[0]}_aligned"
    by_class = [f"plan/{role}{end}" for end in BY_CLASS[1:]]
    assert equal(own, counterfactuals, role, aligned, *by_class)
    assigned = given_class % 10 == own.label  # both roles deal class c to digit c % 10
    assert np.array_equal(textures.aligned, assigned)
    assert equal(own, plan_given(**{role: getattr(own, role).number}))


@pytest.mark.parametrize(("role", "classes"), [(ROLES[0], 10), (ROLES[1], 37)])
def test_another_class_is_uniform_over_all_but_one(role: Role, classes: int) -> None:
    indices, own = np.arange(20_000), np.arange(20_000) % classes
    other = other_class(recipe(), "val", indices, role, own, classes)
    assert 0 <= other.min() <= other.max() == classes - 1
    steps = np.bincount((other - own) % classes, minlength=classes)
    assert steps[0] == 0
    assert stats.chisquare(steps[1:]).pvalue > 1e-3
    again = other_class(recipe(), "val_shifted", indices[5:9], role, own[5:9], classes)
    assert np.array_equal(again, other[5:9])
    two = other_class(recipe(), "val", indices, role, own % 2, 2)
    assert np.array_equal(two, 1 - own % 2)
