"""Whether splits share digit images or texture files."""

from collections.abc import Iterable, Mapping
from itertools import chain, combinations

import numpy as np

from texturedmnist.audit.columns import Choice, Dataset, Split
from texturedmnist.audit.report import Check, count_check
from texturedmnist.manifest import Repeats

NAMED_SOURCES = ("dtd", "embedded")  # a name there means one image, in either role
SHOWN = 3  # pictures by name


def check_leakage(dataset: Dataset) -> list[Check]:
    """Compare train, val and test pairwise; val_shifted counts as val."""
    splits = [(s.name.removesuffix("_shifted"), s) for s in dataset.splits.values()]
    parts = {
        name: [split for part, split in splits if part == name]
        for name in ("train", "val", "test")
    }
    checks = []
    for first, second in combinations(filter(parts.get, parts), 2):
        checks += _compare(f"{first} / {second}", parts[first], parts[second])
        if dataset.manifest.repeats:
            checks.append(
                _compare_pictures(dataset.manifest.repeats, parts, first, second)
            )
    return checks + _check_twins(dataset)


def _compare(names: str, first: list[Split], second: list[Split]) -> list[Check]:
    one, two = (
        {digit for split in part for digit in split.digit.tolist()}
        for part in (first, second)
    )
    shared = len(one & two)
    text = (
        f"{shared} digit images are in both ({len(one)} and {len(two)} different ones "
        "in use)."
    )
    checks = [count_check("digits apart", names, "", shared, text)]
    files = [_used_files(part) for part in (first, second)]
    for role, texture in enumerate(first[0].choices):
        shared = len(files[0][role] & files[1][role])
        text = (
            f"{shared} texture files are in both ({len(files[0][role])} and "
            f"{len(files[1][role])} different ones in use)."
        )
        name = texture.texture.name
        checks.append(count_check("texture files apart", names, name, shared, text))
    sources = {choice.texture.source for choice in first[0].choices}
    if len(sources) == 1 and sources <= set(NAMED_SOURCES):
        checks.append(_compare_roles(names, files))
    return checks


def _used_files(part: Iterable[Split]) -> list[set[str]]:
    """Return the names of the files in use: of backgrounds, of digit textures."""
    used: list[set[str]] = [set(), set()]
    for split in part:
        for names, choice in zip(used, split.choices, strict=True):
            names.update(choice.texture.files[k] for k in np.unique(choice.file))
    return used


def _compare_roles(names: str, files: list[list[set[str]]]) -> Check:
    crossed = (files[0][0] & files[1][1]) | (files[0][1] & files[1][0])
    text = f"{len(crossed)} files are background in one and digit texture in the other."
    return count_check("textures apart across roles", names, "", len(crossed), text)


def _compare_pictures(
    repeats: Repeats, parts: Mapping[str, list[Split]], *names: str
) -> Check:
    """Look for one picture in use in two parts, under whatever names."""
    used = [_used_names(parts[name]) for name in names]
    pictures = [{*chain(*picture.values())} for picture in repeats]
    shared = [p for p in pictures if all(part & p for part in used)]
    named = "".join(f"; {' = '.join(min(u & p) for u in used)}" for p in shared[:SHOWN])
    text = f"{len(shared)} pictures are in both under several names{named}."
    return count_check("pictures apart", " / ".join(names), "", len(shared), text)


def _used_names(part: Iterable[Split]) -> set[str]:
    """Return the names of all pictures in use, as a manifest's `repeats` have them."""
    backgrounds, inside = _used_files(part)
    return {
        *(f"digits/{number}" for split in part for number in split.digit.tolist()),
        *(f"background_textures/{name}" for name in backgrounds),
        *(f"digit_textures/{name}" for name in inside),
    }


def _check_twins(dataset: Dataset) -> list[Check]:
    """Compare val_shifted with val, of which it is a copy under another randomness."""
    if "val_shifted" not in dataset.splits or "val" not in dataset.splits:
        return []
    val, shifted = dataset.splits["val"], dataset.splits["val_shifted"]
    names = "val / val_shifted"
    if len(val.digit) != len(shifted.digit):
        text = "The two splits have different sizes."
        return [count_check("same digits", names, "", 1, text)]
    bad = int(((val.digit != shifted.digit) | (val.label != shifted.label)).sum())
    text = f"{bad} samples have another digit than the sample of val they repeat."
    pairs = zip(val.choices, shifted.choices, strict=True)
    return [
        count_check("same digits", names, "", bad, text),
        *(_compare_choices(names, one, two) for one, two in pairs),
    ]


def _compare_choices(names: str, one: Choice, two: Choice) -> Check:
    """Only a draw between the two values may change the class, only that the file."""
    same = one.number == two.number
    same_side = (one.draw < one.randomness) == (two.draw < two.randomness)
    wrong = (one.draw != two.draw) | (same_side & ~same)
    wrong |= same & (one.file != two.file)
    bad = int(wrong.sum())
    text = (
        f"{bad} samples differ from val's in more than what the randomness can change."
    )
    return count_check("same choices", names, one.texture.name, bad, text)
