"""Whether the columns agree with one another, the ties and the manifest."""

import numpy as np
from numpy.typing import NDArray

from texturedmnist.audit.columns import LABELS, Choice, Dataset, Split
from texturedmnist.audit.report import Check, count_check


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
    text = f"{bad} aligned flags disagree with the ties."
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
