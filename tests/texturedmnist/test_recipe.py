import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from texturedmnist.recipe import (
    DTD_CLASSES,
    RECIPE_VERSION,
    SPLITS,
    Assignment,
    Recipe,
    RecipeError,
    dataset_identity,
    load_recipe,
    recipe_hash,
    resolve_assignment,
)

NAMES = [f"class_{number:02d}" for number in range(30)]
TEN = NAMES[:10]
TIES = {"digit_textures": TEN, "background_textures": [[n] for n in NAMES[10:20]]}
FIELDS = ", ".join(Recipe.model_fields)
RANDOMNESS = st.floats(0, 1)


def recipe(**fields: Any) -> Recipe:
    return Recipe(**{"bg": 0.2, "tex": 0.5, **fields})


def default_assignment(chosen: Recipe) -> Assignment:
    return resolve_assignment(chosen, DTD_CLASSES, DTD_CLASSES)


def hash_of(**fields: Any) -> str:
    chosen = recipe(**fields)
    return recipe_hash(chosen.canonical(chosen.ties or default_assignment(chosen)))


# The default of each field (`bg` and `tex` have none), and another value.
VALUES: dict[str, tuple[object, object]] = {
    "bg": (0.2, 0.3),
    "tex": (0.5, 0.4),
    "test_bg": (1.0, 0.9),
    "test_tex": (None, 0.4),
    "seed": (0, 1),
    "digits": ("mnist", "embedded"),
    "digit_textures": ("dtd", "embedded"),
    "background_textures": ("dtd", "embedded"),
    "train": (54_000, 900),
    "val": (6_000, 90),
    "test": (10_000, 90),
    "val_shifted": (False, True),
    "image_size": (224, 225),
    "digit_size": (None, 112),
    "embedded_instances": (24, 25),
    "dtd_partition": (1, 2),
    "ties": (None, Assignment(**TIES)),
}


def test_defaults_are_the_papers() -> None:
    assert recipe().model_dump() == {name: one for name, (one, _) in VALUES.items()}
    assert SPLITS == ("train", "val", "test", "val_shifted")


def test_every_field_is_part_of_the_hash() -> None:
    hashes = {hash_of(**{name: other}) for name, (_, other) in VALUES.items()}
    assert len(hashes | {hash_of()}) == len(VALUES) + 1


WRONG = [
    ({"bg": 1.5}, "bg = 1.5 is not allowed: Input should be less than or equal to 1"),
    ({"tex": -0.1}, "tex = -0.1 is not allowed: Input should be greater than or equal"),
    ({"bg": float("nan")}, "bg = nan is not allowed: Input should be a finite number"),
    ({"bg": "much"}, "bg = 'much' is not allowed: give a number"),
    ({"bg": None}, "bg = None is not allowed: Input should be a valid number"),
    ({"seed": -1}, "seed = -1 is not allowed: Input should be greater than or equal"),
    ({"seed": 2**63}, "seed = 9223372036854775808 is not allowed"),
    ({"seed": 1.5}, "seed = 1.5 is not allowed: Input should be a valid integer"),
    ({"seed": 10**5000}, "seed = a number of thousands of digits is not allowed"),
    ({"digits": "x" * 9000}, f"digits = '{'x' * 199}... is not allowed: Input should"),
    ({"digits": "svhn"}, "digits = 'svhn' is not allowed: Input should be 'mnist' or"),
    ({"digit_textures": ""}, "digit_textures = '' is not allowed"),
    ({"background_textures": ""}, "background_textures = '' is not allowed"),
    ({"train": -1}, "train = -1 is not allowed"),
    ({"val": 10**10}, "val = 10000000000 is not allowed: Input should be less than"),
    ({"test": "many"}, "test = 'many' is not allowed"),
    ({"val_shifted": "no way"}, "val_shifted = 'no way' is not allowed"),
    ({"image_size": 27}, "image_size = 27 is not allowed: Input should be greater"),
    ({"image_size": 2049}, "image_size = 2049 is not allowed"),
    ({"digit_size": 27}, "digit_size = 27 is not allowed: Input should be greater"),
    ({"digit_size": 225}, "digit_size 225 is larger than image_size 224; the digit mu"),
    ({"embedded_instances": 2}, "embedded_instances = 2 is not allowed"),
    ({"dtd_partition": 0}, "dtd_partition = 0 is not allowed"),
    ({"dtd_partition": 11}, "dtd_partition = 11 is not allowed"),
    ({"train": 0, "val": 0, "test": 0}, "train, val and test are all 0: there is no"),
    ({"colour": 1}, f"unknown field 'colour'; known: {FIELDS}"),
    ({"ties": "dtd"}, "ties = 'dtd' is not allowed"),
    (
        {"ties": [1]},
        "ties: Input should be a valid dictionary or instance of Assignmen",
    ),
    ({"ties": {**TIES, "hue": 1}}, "ties: unknown field 'hue'; known: digit_textures,"),
    ({"ties": {"digit_textures": TEN}}, "ties: background_textures is missing; known:"),
]


@pytest.mark.parametrize(("fields", "text"), WRONG, ids=[t[:60] for _, t in WRONG])
def test_a_wrong_field_is_told_the_allowed(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(RecipeError, match=f"^{re.escape(text)}") as caught:
        recipe(**fields)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 350
    assert caught.value.__cause__ is None


def test_a_missing_randomness_is_reported_and_one_given_stays_as_it_is() -> None:
    with pytest.raises(RecipeError, match=f"^bg is missing; known: {FIELDS}$"):
        Recipe(**{"tex": 0.5})
    with pytest.raises(ValidationError, match="frozen"):
        recipe().bg = 0.3  # type: ignore[misc]
    assert str(Recipe(bg=-0.0, tex=0.5).bg) == "0.0"


@given(RANDOMNESS, RANDOMNESS, RANDOMNESS, st.none() | RANDOMNESS)
def test_every_randomness_in_range_is_kept_exactly(
    bg: float, tex: float, test_bg: float, test_tex: float | None
) -> None:
    chosen = Recipe(bg=bg, tex=tex, test_bg=test_bg, test_tex=test_tex)
    shifted = test_bg, tex if test_tex is None else test_tex
    assert chosen.randomness("train") == chosen.randomness("val") == (bg, tex)
    assert chosen.randomness("test") == chosen.randomness("val_shifted") == shifted
    canonical = chosen.canonical(default_assignment(chosen))
    again = Recipe(**json.loads(json.dumps(canonical)))
    assert again.randomness("train") == (bg, tex)
    assert again.randomness("test") == shifted
    assert again.canonical(default_assignment(again)) == canonical


@given(st.floats(allow_nan=True).filter(lambda randomness: not 0 <= randomness <= 1))
def test_every_randomness_out_of_range_is_refused(randomness: float) -> None:
    for name in ("bg", "tex", "test_bg", "test_tex"):
        with pytest.raises(RecipeError, match=f"^{name} = .* is not allowed"):
            recipe(**{name: randomness})


def test_the_counts_are_those_of_the_stored_splits() -> None:
    small = recipe(train=5, val=3, test=2)
    assert small.counts() == {"train": 5, "val": 3, "test": 2}
    assert recipe(train=5, val=0, test=2).counts() == {"train": 5, "test": 2}
    stored = recipe(train=5, val=3, test=2, val_shifted=True)
    assert stored.counts() == {"train": 5, "val": 3, "test": 2, "val_shifted": 3}
    assert [small.count(split) for split in SPLITS] == [5, 3, 2, 3]
    assert "val_shifted" not in recipe(val=0, val_shifted=True).counts()


def test_the_canonical_recipe_is_resolved() -> None:
    chosen = recipe(image_size=64)
    assignment = default_assignment(chosen)
    canonical = chosen.canonical(assignment)
    assert canonical["test_tex"] == 0.5
    assert canonical["digit_size"] == 64
    assert canonical["ties"] == json.loads(assignment.model_dump_json())
    assert chosen.canonical(assignment) == recipe(
        image_size=64, digit_size=64, test_tex=0.5, ties=assignment
    ).canonical(assignment)
    assert recipe(digit_size=112).digit_size_px == 112


def test_the_hash_never_changes() -> None:
    # A change of this value makes every finished dataset another one: raise
    # RECIPE_VERSION when the samples change, else mend what changed it.
    assert RECIPE_VERSION == 1
    assert hash_of() == GOLDEN_HASH


GOLDEN_HASH = "cbd77f4746508bd20dbb2d891365e75fbfd2f75d20d59f021087b19531960bf7"


def test_identity_holds_no_path(tmp_path: Path) -> None:
    assignment = Assignment(**TIES)
    here, there = (
        recipe(digit_textures=f"{place}/a", background_textures=place, ties=TIES)
        for place in (str(tmp_path), "/some/where/else")
    )
    canonical = here.canonical(assignment)  # which identities are of
    assert str(tmp_path) not in json.dumps(canonical)
    assert canonical["digit_textures"] == "folder"
    assert canonical == there.canonical(assignment)


def test_identity_depends_on_recipe_and_sources() -> None:
    assignment = default_assignment(recipe())
    canonical, digests = recipe().canonical(assignment), {"digits": "d", "more": "t"}
    identities = {
        dataset_identity(canonical, digests),
        dataset_identity(recipe(bg=0.3).canonical(assignment), digests),
        dataset_identity(canonical, {**digests, "digits": "e"}),
        dataset_identity(recipe().canonical(Assignment(**TIES)), digests),
    }
    assert len(identities) == 4
    turned = dict(reversed(digests.items()))
    assert dataset_identity(canonical, turned) in identities
    assert all(re.fullmatch("[0-9a-f]{64}", name) for name in identities)


def test_a_recipe_file_gives_every_field(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "bg: 1e-3\ntex: 1.0e-3\ntest_bg: .5\nseed: 3\ndigits: embedded\n"
        f"ties:\n  digit_textures: [{', '.join(NAMES[:10])}]\n"
        "  background_textures:\n"
        + "".join(f"    {d}: [{NAMES[10 + d]}]\n" for d in range(10))
    )
    chosen = load_recipe(path)
    assert chosen == recipe(
        bg=0.001, tex=0.001, test_bg=0.5, seed=3, digits="embedded", ties=TIES
    )
    assert isinstance(chosen.bg, float)


UNREADABLE = {  # a recipe file -> what is said of it
    "bg: 2\ntex: 0": "recipe.yaml: bg = 2 is not allowed",
    "bg: 0\ntex: 0\nbgs: 0": f"recipe.yaml: unknown field 'bgs'; known: {FIELDS}",
    "": "must be a YAML mapping of recipe fields such as 'bg: 0.2'; known: bg",
    "- bg": "must be a YAML mapping of recipe fields",
    "bg: [0.2": "recipe.yaml: line 1, column 9: not valid YAML: expected ','",
    "bg: 0.1\nbg: 0.2": "recipe.yaml: line 2: the key 'bg' is there twice",
    "a: &a [*a]": "an alias refers to itself",
    "bg: 0\ntex: 0\nseed: 010": "seed = '010' is not allowed: give a number",
    "bg: 0\ntex: 0\nseed: 1:30": "seed = '1:30' is not allowed: give a number",
    "bg: 1:30.5\ntex: 0": "bg = '1:30.5' is not allowed: give a number",
    "bg: 0\ntex: 0\nseed: 0x_": "seed = '0x_' is not allowed: give a number",
    "seed: !!int x": "recipe.yaml: not valid YAML: a value can't be read",
    f"seed: 1{'0' * 5000}": "not valid YAML: a value can't be read",
    "bg: !!float x": "not valid YAML: ",
    "bg: !!binary é": "not valid YAML: ",
    "bg: !!timestamp x": "not valid YAML: ",
    "bg: " + "[" * 5000: "line 1: nested more than 100 deep",
    "- " * 5000: "line 1: nested more than 100 deep",
    "{1: 2}": "must be a YAML mapping of recipe fields",
    "bg: 2024-01-01\ntex: 0": "bg = '2024-01-01' is not allowed: give a number",
    "bg: 0\ntex: yes": "tex = True is not allowed: give a number",
    "bg: 0\ntex: 0\ntrain: on": "train = True is not allowed: give a number",
    "bg: 0\ntex: 0\nties: {1: 2}": "ties: its keys are digit_textures and background",
    'bg: 0\ntex: 0\ndigit_textures: "a\\0b"': "no path holds the character NUL",
}


@pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_file_that_reads_otherwise_than_it_looks(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=UNREADABLE[text]) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_few_lines_never_stand_for_gigabytes(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} [{f'*a{level - 1}, ' * 9}]")
    path = tmp_path / "recipe.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(RecipeError, match="values, those that aliases repeat counted"):
        load_recipe(path)


def test_a_file_of_too_many_values_is_not_composed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("texturedmnist.common.yaml_file.LARGEST", 1000)
    path = tmp_path / "recipe.yaml"
    path.write_text("bg: [" + "1," * 1000 + "]")
    with pytest.raises(RecipeError, match="more than 1,000 values"):
        load_recipe(path)


def test_what_is_no_file_of_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"bg: \xff\xfe")
    for place, text in (
        (path, r"recipe\.yaml is not a YAML file: it isn't UTF-8 text"),
        (tmp_path, f"can't read the recipe {tmp_path}: Is a"),
        (tmp_path / "none.yaml", r"can't read the recipe .*: No such file"),
        (Path("/dev/zero"), "is larger than 4,000,000 bytes"),  # not read to its end
    ):
        with pytest.raises(RecipeError, match=text):
            load_recipe(place)


def test_names_of_ties_are_compared_and_hashed_in_one_form() -> None:
    canonical = []
    for name in ("caf\u00e9", "cafe\u0301"):
        names = (name, *NAMES[1:10])
        backgrounds = tuple((f"{name} {digit}",) for digit in range(10))
        assignment = Assignment(digit_textures=names, background_textures=backgrounds)
        chosen = recipe(ties=assignment)
        canonical.append(chosen.canonical(assignment))
    assert canonical[0] == canonical[1]
