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
from texturedmnist.sources import procedural

NAMES = tuple(f"class_{number:02d}" for number in range(30))
TEN = NAMES[:10]
SINGLES = tuple((name,) for name in NAMES[10:20])


def recipe(digit: str = "dtd", background: str = "dtd", **fields: Any) -> Recipe:
    return Recipe(
        bg=0, tex=0, digit_textures=digit, background_textures=background, **fields
    )


def by_digit(values: Any) -> dict[int, Any]:  # noqa: ANN401 (names, or lists of them)
    return dict(enumerate(values))


def test_the_47_names_are_dtds_in_order() -> None:
    assert len(DTD_CLASSES) == len(set(DTD_CLASSES)) == 47
    assert sorted(DTD_CLASSES) == [*DTD_CLASSES]
    assert DTD_CLASSES[0] == "banded"
    assert DTD_CLASSES[46] == "zigzagged"
    assert "polka-dotted" in DTD_CLASSES
    assert procedural.CLASSES == DTD_CLASSES


@pytest.mark.parametrize("digit", NAMED_SOURCES)
@pytest.mark.parametrize("background", NAMED_SOURCES)
def test_default_ties_cut_the_47_names_in_ten_and_37(
    digit: str, background: str
) -> None:
    ties = resolve_assignment(recipe(digit, background), DTD_CLASSES, DTD_CLASSES)
    assert ties.digit_textures == DTD_CLASSES[:10]
    assert ties.background_classes == DTD_CLASSES[10:]
    assert [len(names) for names in ties.background_textures] == [4] * 7 + [3] * 3
    for number, name in enumerate(DTD_CLASSES[10:]):
        assert ties.background_textures[number % 10][number // 10] == name
    assert ties.background_textures[0] == (
        "dotted",
        "knitted",
        "polka-dotted",
        "studded",
    )
    assert ties.background_textures[9] == ("interlaced", "pleated", "striped")


def test_the_order_of_the_folders_does_not_matter() -> None:
    forth = resolve_assignment(recipe(), DTD_CLASSES, DTD_CLASSES)
    assert resolve_assignment(recipe(), DTD_CLASSES[::-1], DTD_CLASSES[::-1]) == forth


def test_one_folder_of_20_classes_serves_both_sides() -> None:
    ties = resolve_assignment(recipe("/mine", "/mine"), NAMES[:20], NAMES[:20])
    assert ties.digit_textures == TEN
    assert ties.background_textures == SINGLES


def test_one_folder_of_12_classes_is_too_small_for_both_sides() -> None:
    text = (
        "the default assignment needs 10 digit-texture classes and 10 further "
        "background classes; found 10 and 2: add class folders, choose another "
        "source, or give"
    )
    with pytest.raises(RecipeError, match=text):
        resolve_assignment(recipe("/mine", "/mine"), NAMES[:12], NAMES[:12])


def test_a_folder_of_12_classes_serves_as_backgrounds_of_dtd_digits() -> None:
    ties = resolve_assignment(recipe("dtd", "/mine"), DTD_CLASSES, NAMES[:12])
    assert ties.digit_textures == DTD_CLASSES[:10]
    assert ties.background_classes == NAMES[:12]
    assert ties.background_textures[:3] == (
        ("class_00", "class_10"),
        ("class_01", "class_11"),
        ("class_02",),
    )


def test_all_of_dtd_is_assigned_to_digits_with_textures_of_a_folder() -> None:
    ties = resolve_assignment(recipe("/mine", "dtd"), NAMES[:12], DTD_CLASSES)
    assert ties.digit_textures == TEN
    assert ties.background_classes == DTD_CLASSES


def test_fewer_than_ten_digit_classes_are_refused() -> None:
    with pytest.raises(RecipeError, match="classes; found 9 and 30"):
        resolve_assignment(recipe("/mine", "/yours"), NAMES[:9], NAMES)


@pytest.mark.parametrize("other", ["/yours", "/mine/deeper", "mine"])
def test_two_folders_may_hold_the_same_names(other: str) -> None:
    ties = Assignment(digit_textures=TEN, background_textures=[[name] for name in TEN])
    given = recipe("/mine", other, ties=ties)
    assert resolve_assignment(given, NAMES, NAMES) == ties
    assigned = resolve_assignment(recipe("/mine", other), TEN, TEN)
    assert assigned == ties


@pytest.mark.parametrize(
    ("digit", "background"),
    [("dtd", "dtd"), ("dtd", "embedded"), ("embedded", "dtd")],
)
def test_sets_that_overlap_within_a_source_are_refused(
    digit: str, background: str
) -> None:
    shared = [["banded"], ["zigzagged"], *([n] for n in DTD_CLASSES[10:18])]
    ties = Assignment(digit_textures=DTD_CLASSES[:10], background_textures=shared)
    text = "a class as digit texture and as background: banded; the two sets must not"
    with pytest.raises(RecipeError, match=text):
        resolve_assignment(
            recipe(digit, background, ties=ties), DTD_CLASSES, DTD_CLASSES
        )


@pytest.mark.parametrize("other", ["/mine/", "/mine/../mine", "~/../mine"])
def test_one_folder_written_in_two_ways_is_one_source(
    other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home")
    ties = resolve_assignment(recipe("/mine", other), NAMES[:20], NAMES[:20])
    assert ties.background_textures == SINGLES


def test_a_linked_folder_is_the_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to("mine")
    given = recipe(str(tmp_path / "mine"), str(tmp_path / "link"))
    assert resolve_assignment(given, NAMES, NAMES).background_classes == NAMES[10:]


@pytest.mark.parametrize(
    ("ties", "text"),
    [
        (
            {"digit_textures": (*DTD_CLASSES[:9], "crystaline")},
            "ties name an unknown digit-texture class 'crystaline'; did you mean "
            r"'crystalline'\? \(known: banded, blotchy, .*, zigzagged\)",
        ),
        (
            {"background_textures": [["qqq"], *([n] for n in DTD_CLASSES[10:19])]},
            r"ties name an unknown background class 'qqq' \(known: banded, .*\)",
        ),
    ],
)
def test_an_unknown_class_is_told_with_the_nearest(
    ties: dict[str, Any], text: str
) -> None:
    fields = {
        "digit_textures": DTD_CLASSES[:10],
        "background_textures": [[n] for n in DTD_CLASSES[10:20]],
    }
    given = recipe(ties=Assignment(**{**fields, **ties}))
    with pytest.raises(RecipeError, match=text):
        resolve_assignment(given, DTD_CLASSES, DTD_CLASSES)


def test_ties_may_leave_classes_out() -> None:
    ties = Assignment(
        digit_textures=DTD_CLASSES[46:36:-1],
        background_textures=[[name] for name in DTD_CLASSES[:10]],
    )
    assert resolve_assignment(recipe(ties=ties), DTD_CLASSES, DTD_CLASSES) is ties
    assert ties.digit_classes == DTD_CLASSES[37:]
    assert ties.background_classes == DTD_CLASSES[:10]


def test_ties_are_lists_or_mappings_by_digit() -> None:
    listed = Assignment(digit_textures=TEN, background_textures=SINGLES)
    turned = dict(reversed(by_digit(SINGLES).items()))
    for digit in (TEN, [*TEN], by_digit(TEN)):
        for background in ([*SINGLES], by_digit(SINGLES), turned, NAMES[10:20]):
            same = Assignment(digit_textures=digit, background_textures=background)
            assert same == listed


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"digit_textures": NAMES[:9]},
        "^ties need 10 different digit-texture classes, one per digit; 9 given$",
    ),
    ({"digit_textures": (*NAMES[:9], NAMES[0])}, "one per digit; 9 given$"),
    ({"digit_textures": NAMES[:11]}, "one per digit; 11 given$"),
    (
        {"background_textures": SINGLES[:9]},
        "^ties need at least one background class for each digit$",
    ),
    ({"background_textures": (*SINGLES[:9], ())}, "at least one background class for"),
    (
        {"background_textures": ((NAMES[11],), *SINGLES[1:9], NAMES[18:21])},
        "^background classes assigned twice: class_11, class_18$",
    ),
    (
        {"digit_textures": by_digit(NAMES[:9])},
        r"^digit_textures: the keys must be the digits 0 to 9; missing: \[9\]$",
    ),
    (
        {"background_textures": by_digit([*SINGLES, ("more",)])},
        "^background_textures: the keys must be the digits 0 to 9",
    ),
    ({"digit_textures": "banded"}, "^digit_textures = 'banded' is not allowed"),
    ({"background_textures": "banded"}, "^background_textures = 'banded' is not"),
    (
        {"background_textures": ((5,), *SINGLES[1:])},
        r"^background_textures\.0\.0 = 5 is not allowed: .* valid string$",
    ),
    ({"colours": 1}, "^unknown field 'colours'; known: digit_textures, background"),
]


@pytest.mark.parametrize(("fields", "text"), WRONG)
def test_wrong_ties_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(RecipeError, match=text):
        Assignment(**{"digit_textures": TEN, "background_textures": SINGLES, **fields})


def test_ties_may_have_quoted_digits_as_keys() -> None:
    names = DTD_CLASSES[:20]
    plain = Assignment(
        digit_textures=names[:10], background_textures=tuple((n,) for n in names[10:])
    )
    quoted = Assignment(
        digit_textures={str(d): name for d, name in enumerate(names[:10])},
        background_textures={str(d): [name] for d, name in enumerate(names[10:])},
    )
    assert quoted == plain
