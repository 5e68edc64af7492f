from pathlib import Path
from typing import Any

import pytest

from texturedmnist.recipe import (
    DTD_CLASSES,
    NAMED_SOURCES,
    Assignment,
    Recipe,
    RecipeError,
    resolve_assignment,
)

NAMES = tuple(f"class_{number:02d}" for number in range(30))
Names = tuple[str, ...]
TEN = NAMES[:10]
SINGLES = tuple((name,) for name in NAMES[10:20])


def recipe(digit: str = "dtd", background: str = "dtd", **fields: Any) -> Recipe:
    return Recipe(
        bg=0, tex=0, digit_textures=digit, background_textures=background, **fields
    )


def by_digit(values: Any) -> dict[int, Any]:  # noqa: ANN401 (names, or lists of them)
    return dict(enumerate(values))


@pytest.mark.parametrize("digit", NAMED_SOURCES)
@pytest.mark.parametrize("background", NAMED_SOURCES)
def test_default_ties_cut_the_names_in_ten_and_37(digit: str, background: str) -> None:
    assignment = resolve_assignment(recipe(digit, background), DTD_CLASSES, DTD_CLASSES)
    assert assignment.digit_textures == DTD_CLASSES[:10]
    assert assignment.background_classes == DTD_CLASSES[10:]
    assert [len(names) for names in assignment.background_textures] == [4] * 7 + [3] * 3
    for number, name in enumerate(DTD_CLASSES[10:]):
        assert assignment.background_textures[number % 10][number // 10] == name
    first, last = assignment.background_textures[0], assignment.background_textures[9]
    assert first == ("dotted", "knitted", "polka-dotted", "studded")
    assert last == ("interlaced", "pleated", "striped")


@pytest.mark.parametrize(
    ("digit", "background", "inside", "outside", "left"),
    [
        ("/mine", "/mine", NAMES[:20], NAMES[:20], NAMES[10:20]),
        ("dtd", "/mine", DTD_CLASSES, NAMES[:12], NAMES[:12]),
        ("/mine", "dtd", NAMES[:12], DTD_CLASSES, DTD_CLASSES),
    ],
)
def test_a_folder_s_classes_are_assigned_in_turn_in_any_order(
    digit: str, background: str, inside: Names, outside: Names, left: Names
) -> None:
    for step in (1, -1):
        given = recipe(digit, background)
        assignment = resolve_assignment(given, inside[::step], outside[::step])
        assert assignment.digit_textures == inside[:10]
        assert assignment.background_textures == tuple(left[k::10] for k in range(10))


def test_too_few_classes_are_refused() -> None:
    text = (
        "the default assignment needs 10 digit-texture classes and 10 further "
        "background classes; found 10 and 2: add class folders, choose another "
        "source, or give"
    )
    with pytest.raises(RecipeError, match=text):
        resolve_assignment(recipe("/mine", "/mine"), NAMES[:12], NAMES[:12])
    with pytest.raises(RecipeError, match="classes; found 9 and 30"):
        resolve_assignment(recipe("/mine", "/yours"), NAMES[:9], NAMES)


@pytest.mark.parametrize("other", ["/yours", "/mine/deeper", "mine"])
def test_two_folders_may_hold_the_same_names(other: str) -> None:
    assignment = Assignment(digit_textures=TEN, background_textures=TEN)
    given = recipe("/mine", other, ties=assignment)
    assert resolve_assignment(given, NAMES, NAMES) == assignment
    assigned = resolve_assignment(recipe("/mine", other), TEN, TEN)
    assert assigned == assignment


@pytest.mark.parametrize("digit", NAMED_SOURCES)
@pytest.mark.parametrize("background", NAMED_SOURCES)
def test_sets_that_overlap_in_a_source_are_refused(digit: str, background: str) -> None:
    shared = ("banded", "zigzagged", *DTD_CLASSES[10:18])
    assignment = Assignment(digit_textures=DTD_CLASSES[:10], background_textures=shared)
    given = recipe(digit, background, ties=assignment)
    text = "a class as digit texture and as background: banded; the two sets must not"
    with pytest.raises(RecipeError, match=text):
        resolve_assignment(given, DTD_CLASSES, DTD_CLASSES)


@pytest.mark.parametrize("other", ["mine/", "mine/../mine", "~/../mine", "link"])
def test_one_folder_written_in_two_ways_is_one_source(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mine", "home"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("mine")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = other if other[0] == "~" else f"{tmp_path}/{other}"
    given = recipe(str(tmp_path / "mine"), place)
    assignment = resolve_assignment(given, NAMES[:20], NAMES[:20])
    assert assignment.background_textures == SINGLES


@pytest.mark.parametrize(
    ("role", "name", "text"),
    [
        ("digit-texture", "crystaline", r"; did you mean 'crystalline'\? "),
        ("background", "qqq", " "),
    ],
)
def test_an_unknown_class_is_told_the_nearest(role: str, name: str, text: str) -> None:
    names = {"digit-texture": DTD_CLASSES[0], "background": DTD_CLASSES[10], role: name}
    inside = (names["digit-texture"], *DTD_CLASSES[1:10])
    outside = (names["background"], *DTD_CLASSES[11:20])
    assignment = Assignment(digit_textures=inside, background_textures=outside)
    text = rf"an unknown {role} class '{name}'{text}\(known: banded, blotchy, .*agged\)"
    with pytest.raises(RecipeError, match=f"ties name {text}"):
        resolve_assignment(recipe(ties=assignment), DTD_CLASSES, DTD_CLASSES)


def test_ties_may_leave_classes_out() -> None:
    inside, outside = DTD_CLASSES[46:36:-1], DTD_CLASSES[:10]
    assignment = Assignment(digit_textures=inside, background_textures=outside)
    given = recipe(ties=assignment)
    assert resolve_assignment(given, DTD_CLASSES, DTD_CLASSES) is assignment
    assert assignment.digit_classes == DTD_CLASSES[37:]
    assert assignment.background_classes == DTD_CLASSES[:10]


def test_ties_are_lists_or_mappings_by_digit() -> None:
    listed = Assignment(digit_textures=TEN, background_textures=SINGLES)
    turned = dict(reversed(by_digit(SINGLES).items()))
    quoted = {str(digit): names for digit, names in enumerate(SINGLES)}
    inside = {str(digit): name for digit, name in enumerate(TEN)}
    for digit in (TEN, [*TEN], by_digit(TEN), inside):
        for background in ([*SINGLES], by_digit(SINGLES), turned, quoted, NAMES[10:20]):
            same = Assignment(digit_textures=digit, background_textures=background)
            assert same == listed


INSIDE, OUTSIDE = "digit_textures", "background_textures"
DOUBLE = ((NAMES[11],), *SINGLES[1:9], NAMES[18:21])
WRONG: list[tuple[str, object, str]] = [
    (INSIDE, NAMES[:9], "^ties need 10 different digit-texture classes, one per digit"),
    (INSIDE, (*NAMES[:9], NAMES[0]), "one per digit; 9 given$"),
    (INSIDE, NAMES[:11], "one per digit; 11 given$"),
    (OUTSIDE, SINGLES[:9], "^ties need at least one background class for each digit$"),
    (OUTSIDE, (*SINGLES[:9], ()), "^ties need at least one background class for each"),
    (OUTSIDE, DOUBLE, "^background classes assigned twice: class_11, class_18$"),
    (INSIDE, by_digit(TEN[:9]), r"^\w+: the keys must be .* 0 to 9; missing: \[9\]$"),
    (OUTSIDE, by_digit([*SINGLES, ("more",)]), f"^{OUTSIDE}: the keys must be the di"),
    (INSIDE, "banded", "^digit_textures = 'banded' is not allowed"),
    (OUTSIDE, "banded", "^background_textures = 'banded' is not"),
    (OUTSIDE, ((5,), *SINGLES[1:]), rf"^{OUTSIDE}\.0\.0 = 5 is not .* valid string$"),
    ("colours", 1, "^unknown field 'colours'; known: digit_textures, background"),
]


@pytest.mark.parametrize(("field", "value", "text"), WRONG)
def test_wrong_ties_are_refused(field: str, value: object, text: str) -> None:
    fields: dict[str, Any] = {INSIDE: TEN, OUTSIDE: SINGLES, field: value}
    with pytest.raises(RecipeError, match=text):
        Assignment(**fields)
