"""The data card of a dataset: Hugging Face's front matter, Data Cards' headings."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

import yaml

from texturedmnist.card.sources import sources_of, terms_of
from texturedmnist.card.statements import (
    ANNOTATION,
    CITATION,
    COLLECTION,
    CREATOR,
    MAINTENANCE,
    PREPROCESSING,
    SENSITIVE,
    SUITABLE,
    UNSUITABLE,
    known_correlations,
    limitations,
)
from texturedmnist.card.storage import STORED, Storage
from texturedmnist.manifest import Manifest

TAGS = ("spurious-correlation", "shortcut-learning", "explainability", "synthetic")
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 10**6: "100K<n<1M"}


def data_card(manifest: Manifest, storage: Storage = STORED) -> str:
    """Return the card of a dataset, stored so, as Markdown."""
    template = files("texturedmnist.card").joinpath("template.md").read_text("utf-8")
    body = Template(template).substitute(_words(manifest, storage))
    front = yaml.safe_dump(_front(manifest, storage), sort_keys=False, width=88)
    return f"---\n{front}---\n\n{body}"


def _front(manifest: Manifest, storage: Storage) -> dict[str, Any]:
    terms = terms_of(manifest.recipe)
    total = sum(split.count for split in manifest.splits.values())
    size = next((name for most, name in SIZES.items() if total < most), "n>1M")
    front: dict[str, Any] = {"pretty_name": _title(manifest), "license": terms.licence}
    if terms.name:
        front |= {"license_name": terms.name, "license_link": terms.url}
    front |= {
        "annotations_creators": ["machine-generated"],
        "task_categories": ["image-classification", "image-segmentation"],
        "size_categories": [size],
        "tags": list(TAGS),
    }
    return front | storage.front(list(manifest.splits))


def _title(manifest: Manifest) -> str:
    bg, tex = manifest.recipe["bg"], manifest.recipe["tex"]
    return f"Textured MNIST (bg {bg:g}, tex {tex:g})"


def _words(manifest: Manifest, storage: Storage) -> dict[str, str]:
    recipe = manifest.recipe
    total = sum(split.count for split in manifest.splits.values())
    statements = {
        "creator": CREATOR,
        "maintenance": MAINTENANCE,
        "suitable": _bullets(SUITABLE),
        "unsuitable": _bullets(UNSUITABLE),
        "terms": terms_of(recipe).words,
        "collection": COLLECTION,
        "sensitive": SENSITIVE,
        "correlations": _bullets(known_correlations(manifest)),
        "preprocessing": _bullets(PREPROCESSING),
        "annotation": ANNOTATION,
        "citation": CITATION,
        "limitations": _bullets(limitations(manifest)),
    }
    numbers = {
        "title": _title(manifest),
        "summary": _summary(manifest),
        "package_version": manifest.package_version,
        "recipe_version": str(manifest.recipe_version),
        "format_version": str(manifest.format_version),
        "identity": manifest.identity,
        "samples": f"{total:,}",
        "bytes": storage.size(manifest),
        "image_size": str(recipe["image_size"]),
        "digit_size": str(recipe["digit_size"]),
        "digit_classes": str(len(manifest.digit_texture_classes)),
        "background_classes": str(len(manifest.background_texture_classes)),
        "recipe": yaml.safe_dump(_plain(recipe), sort_keys=False, width=88).strip(),
    }
    tables = {
        "split_rows": _rows(_split_row(manifest, split) for split in manifest.splits),
        "licence_rows": _rows(_licence_rows(recipe)),
        "source_rows": _rows(_source_rows(manifest)),
        "group_table": _group_table(manifest),
        "references": _references(recipe),
    }
    return statements | numbers | tables | _examples(manifest) | storage.words()


def _summary(manifest: Manifest) -> str:
    names = dict.fromkeys(s.name for s in sources_of(manifest.recipe).values())
    return (
        "Handwritten digits painted with one texture on a background of another, with "
        "an exact mask of every digit, for the study of spurious correlations. Made of "
        f"{', '.join(names)}. {SUITABLE[0]}"
    )


def _plain(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name != "ties"}


def _split_row(manifest: Manifest, split: str) -> tuple[str, ...]:
    bg, tex = manifest.randomness(split)
    share = f"{100 * manifest.splits[split].aligned:.1f} %"
    return split, f"{manifest.splits[split].count:,}", f"{bg:g}", f"{tex:g}", share


def _licence_rows(recipe: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for source in dict.fromkeys(sources_of(recipe).values()):
        link = f" ({source.licence_url})" if source.licence_url else ""
        yield source.name, source.licence + link


def _source_rows(manifest: Manifest) -> Iterable[tuple[str, ...]]:
    for role, source in sources_of(manifest.recipe).items():
        digest = f"`{manifest.sources[role]}`"
        yield role.replace("_", " "), source.name, source.contents, digest


def _references(recipe: Mapping[str, Any]) -> str:
    used = dict.fromkeys(sources_of(recipe).values())
    return _bullets(f"{s.name}: {s.reference}" for s in used if s.reference)


def _group_table(manifest: Manifest) -> str:
    head = ("digit", *manifest.splits)
    rows = [head, ("---",) * len(head)]
    for digit in range(10):
        cells = []
        for split in manifest.splits.values():
            other, aligned = (split.groups[str(2 * digit + k)] for k in (0, 1))
            cells.append(f"{aligned:,} / {other:,}")
        rows.append((str(digit), *cells))
    return _rows(rows)


def _examples(manifest: Manifest) -> dict[str, str]:
    """Describe an aligned and a conflicting sample of digit 3, by the ties."""
    ties = manifest.recipe["ties"]
    inside, grounds = ties["digit_textures"][3], ties["background_textures"]
    foreign = ties["digit_textures"][4]
    return {
        "typical": "The more typical, the less randomness: a 3 of "
        f"*{inside}* on *{grounds[3][0]}*, both tied to the digit 3.",
        "atypical": f"A 3 of *{foreign}*, the digit 4's texture, on *{grounds[8][0]}*, "
        "one of the digit 8's backgrounds: whoever reads textures is misled twice.",
    }


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
