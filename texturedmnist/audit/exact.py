"""What holds without exception: columns agree, and splits share nothing."""

from collections.abc import Iterable, Mapping
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from texturedmnist.audit.columns import LABELS, Choice, Dataset, Split
from texturedmnist.audit.report import Check, count_check
from texturedmnist.manifest import Repeats

NAMED_SOURCES = ("dtd", "embedded")  # a name there means one image, in either role
SHOWN = 3  # pictures by name


def check_numbers(dataset: Dataset) -> list[Check]:
    """Check that every number names something; without that no other check is safe."""
    manifest = dataset.manifest
    listed = manifest.background_texture_classes, manifest.digit_texture_classes
    read = tuple(texture.classes for texture in dataset.textures)
    strays = dataset.strays + (listed != read)
    text = (
        f"{strays} shards have other class or file names than the first, or than the "
        "manifest."
    )
    checks = [count_check("one list of names", "all", "", strays, text)]
    for split in dataset.splits.values():
        checks.append(_check_labels(split))
        checks += [_check_range(choice) for choice in split.choices]
    return checks


def check_consistency(dataset: Dataset) -> list[Check]:
    """Check what is stored twice or follows from something else that is stored."""
    checks = []
    for split in dataset.splits.values():
        checks += [_check_index(dataset, split), _check_groups(dataset, split)]
        for choice in split.choices:
            checks += [_check_flags(choice), _check_files(choice), _check_draws(choice)]
    return [*checks, _check_digits(dataset)]


def _check_labels(split: Split) -> Check:
    bad = _outside(split.label, LABELS) + int((split.digit < 0).sum())
    text = f"{bad} samples have a label outside 0 ... 9 or a negative digit number."
    return count_check("labels in range", split.name, "", bad, text)


def _check_range(choice: Choice) -> Check:
    texture = choice.texture
    bad = _outside(choice.number, len(texture.classes))
    bad += _outside(choice.file, len(texture.files))
    bad += int((~((choice.draw >= 0) & (choice.draw < 1))).sum())
    text = f"{bad} class numbers, file numbers or draws lie outside their range."
    return count_check("numbers in range", choice.split, texture.name, bad, text)


def _outside(numbers: NDArray[np.int64], stop: int) -> int:
    return int(((numbers < 0) | (numbers >= stop)).sum())


def _check_index(dataset: Dataset, split: Split) -> Check:
    count = dataset.manifest.splits[split.name].count
    bad = int((split.index != np.arange(len(split.index))).sum())
    bad += abs(count - len(split.index))
    text = f"{bad} indices are missing, doubled or out of order in 0 ... {count - 1}."
    return count_check("index", split.name, "", bad, text)


def _check_groups(dataset: Dataset, split: Split) -> Check:
    listed = dataset.manifest.splits[split.name].groups
    counts = split.count_groups().sum(axis=2).ravel()  # 2 * label + background_aligned
    found = {str(group): int(count) for group, count in enumerate(counts)}
    bad = sum(found.get(g, 0) != listed.get(g, 0) for g in {*found, *listed})
    text = f"{bad} of the manifest's groups have another size when counted again."
    return count_check("group table", split.name, "", bad, text)


def _check_flags(choice: Choice) -> Check:
    bad = int((choice.flag != choice.aligned).sum())
    text = f"{bad} aligned flags disagree with the assignment."
    return count_check("aligned flags", choice.split, choice.texture.name, bad, text)


def _check_files(choice: Choice) -> Check:
    bad = int((choice.texture.file_class[choice.file] != choice.number).sum())
    text = f"{bad} samples have a texture file of another class than theirs."
    return count_check("files of class", choice.split, choice.texture.name, bad, text)


def _check_draws(choice: Choice) -> Check:
    bad = int((~choice.aligned & (choice.draw >= choice.randomness)).sum())
    text = (
        f"{bad} samples have a class not assigned to their label though their draw "
        f"isn't below {choice.texture.randomness} {choice.randomness:g}."
    )
    name, texture = "choice follows draw", choice.texture.name
    return count_check(name, choice.split, texture, bad, text)


def _check_digits(dataset: Dataset) -> Check:
    """Compare the labels of samples that share a digit image, in whatever splits."""
    digit = np.concatenate([split.digit for split in dataset.splits.values()])
    label = np.concatenate([split.label for split in dataset.splits.values()])
    pairs = np.unique(digit * LABELS + label)
    bad = len(pairs) - len(np.unique(digit))
    text = f"{bad} digit images have one label here and another there."
    return count_check("one label per digit", "all", "", bad, text)


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
