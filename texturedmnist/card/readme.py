"""The data card of a dataset: Hugging Face's front matter, Data Cards' headings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

import yaml

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
    sources_of,
    terms_of,
)
from texturedmnist.manifest import Manifest

SHARD_FIELDS = """| field | type | meaning |
| --- | --- | --- |
| `image` | (H, W, 3) uint8 | RGB |
| `mask` | (H, W) uint8 | 1 exactly where the digit's texture was painted, else 0 |
| `label` | uint8 | the digit |
| `index` | int64 | place in the split |
| `digit_texture`, `background_texture` | int16 | class numbers |
| `digit_aligned`, `background_aligned` | uint8 | 1: the class is tied to the label |
| `plan/...` | | what it takes to render the sample again |

The HDF5 shards hold them; `samples.csv` holds all but the pixels, classes by name."""
CARD_NAME = "README.md"
TAGS = ("spurious-correlation", "shortcut-learning", "explainability", "synthetic")
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 10**6: "100K<n<1M"}


@dataclass(frozen=True, slots=True)
class Storage:
    """What is said of the files beside a card.

    Attributes:
        access: how they are read.
        fields: what a sample holds, Markdown.
        example: where to look at samples.
        data_files: place of each split's files for `datasets`, with `{split}` for the
            split's name; "" where `datasets` doesn't read them.
        split_names: what a split is called in them, where that differs.
        bytes_on_disk: their size, or None for that of the dataset's shards.
    """

    access: str
    fields: str
    example: str
    data_files: str = ""
    split_names: tuple[tuple[str, str], ...] = ()
    bytes_on_disk: int | None = None


STORED = Storage(
    access="Everything lies in this folder: HDF5 shards that any reader opens, "
    "`samples.csv`, and `manifest.json`, which lists them with their digests. In "
    'Python, `texturedmnist.TexturedMNIST(folder, split="train")`.',
    fields=SHARD_FIELDS,
    example="`preview.png` shows samples of each digit and split.",
)


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
    front: dict[str, Any] = {"pretty_name": _title(manifest), "license": terms.license}
    if terms.name:
        front |= {"license_name": terms.name, "license_link": terms.url}
    front |= {
        "annotations_creators": ["machine-generated"],
        "task_categories": ["image-classification", "image-segmentation"],
        "size_categories": [size],
        "tags": list(TAGS),
    }
    if not storage.data_files:
        return front | {"viewer": False}
    names = [dict(storage.split_names).get(split, split) for split in manifest.splits]
    paths = [
        {"split": name, "path": storage.data_files.format(split=name)} for name in names
    ]
    return front | {"configs": [{"config_name": "default", "data_files": paths}]}


def _title(manifest: Manifest) -> str:
    bg, tex = manifest.recipe["bg"], manifest.recipe["tex"]
    return f"Textured MNIST (bg {bg:g}, tex {tex:g})"


def _words(manifest: Manifest, storage: Storage) -> dict[str, str]:
    recipe = manifest.recipe
    plain = {name: value for name, value in recipe.items() if name != "ties"}
    total = sum(split.count for split in manifest.splits.values())
    size = storage.bytes_on_disk
    if size is None:
        size = sum(shard.bytes for shard in manifest.shards)
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
        "bytes": f"{size / 1e6:,.1f} MB",
        "image_size": str(recipe["image_size"]),
        "digit_size": str(recipe["digit_size"]),
        "digit_classes": str(len(manifest.digit_texture_classes)),
        "background_classes": str(len(manifest.background_texture_classes)),
        "recipe": yaml.safe_dump(plain, sort_keys=False, width=88).strip(),
    }
    tables = {
        "split_rows": _rows(_split_row(manifest, split) for split in manifest.splits),
        "license_rows": _rows(_license_rows(recipe)),
        "source_rows": _rows(_source_rows(manifest)),
        "group_table": _group_table(manifest),
        "references": _references(recipe),
    }
    stored = {name: getattr(storage, name) for name in ("access", "fields", "example")}
    return statements | numbers | tables | _examples(manifest) | stored


def _summary(manifest: Manifest) -> str:
    names = dict.fromkeys(s.name for s in sources_of(manifest.recipe).values())
    return (
        "Handwritten digits painted with one texture on a background of another, with "
        "an exact mask of every digit, for the study of spurious correlations. Made of "
        f"{', '.join(names)}. {SUITABLE[0]}"
    )


def _split_row(manifest: Manifest, split: str) -> tuple[str, ...]:
    bg, tex = manifest.randomness(split)
    share = f"{100 * manifest.splits[split].aligned:.1f} %"
    return split, f"{manifest.splits[split].count:,}", f"{bg:g}", f"{tex:g}", share


def _license_rows(recipe: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for source in dict.fromkeys(sources_of(recipe).values()):
        link = f" ({source.license_url})" if source.license_url else ""
        yield source.name, source.license + link


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
    """Describe an aligned and a conflicting sample of digit 3, by the assignment."""
    assignment = manifest.recipe["ties"]
    inside, foreign = assignment["digit_textures"][3:5]
    backgrounds = assignment["background_textures"]
    return {
        "typical": "The more typical, the less randomness: a 3 of "
        f"*{inside}* on *{backgrounds[3][0]}*, both tied to the digit 3.",
        "atypical": f"A 3 of *{foreign}*, the digit 4's texture, on "
        f"*{backgrounds[8][0]}*, one of the digit 8's backgrounds: whoever reads "
        "textures is misled twice.",
    }


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
