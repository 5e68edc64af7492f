"""Pictures of the sources that more than one of train, val and test would show."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256

from texturedmnist.manifest import Repeats
from texturedmnist.plan import digit_pool
from texturedmnist.recipe import Recipe
from texturedmnist.sources import Sources

SPLITS = ("train", "val", "test")  # by the number of their partition
ROLES = ("digit_textures", "background_textures")

Picture = tuple[str, str, str]  # digest, split, name


def find_repeats(recipe: Recipe, sources: Sources) -> Repeats:
    """Find pictures of equal pixels whose names stand in different partitions.

    Textures are compared as they were decoded, over both roles.

    Returns:
        For each picture its names by partition, `digits/NUMBER` or `ROLE/FILE`.
    """
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for digest, split, name in (*_digits(recipe, sources), *_textures(sources)):
        found[digest][split].append(name)
    return tuple(
        {split: tuple(names) for split, names in by_split.items()}
        for by_split in found.values()
        if len(by_split) > 1
    )


def _digits(recipe: Recipe, sources: Sources) -> Iterator[Picture]:
    """Yield the digit images of which there are several."""
    digests = [sha256(image).hexdigest() for image in sources.digits.images]
    count = Counter(digests)
    if len(count) == len(digests):
        return
    for split in SPLITS:
        for number in digit_pool(recipe.seed, split, sources.index).tolist():
            if count[digests[number]] > 1:
                yield digests[number], split, f"digits/{number}"


def _textures(sources: Sources) -> Iterator[Picture]:
    for role in ROLES:
        bank = getattr(sources, role)
        files = zip(bank.file_digests, bank.partition, bank.names, strict=True)
        for digest, partition, name in files:
            yield digest, SPLITS[partition], f"{role}/{name}"
