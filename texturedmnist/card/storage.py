"""How a card speaks of the files beside it: a dataset's, or an export's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
VERIFIED = (
    "`texturedmnist verify --deep` compares every byte with the digests of the "
    "manifest; `texturedmnist audit` checks for leakage, and the realised against the "
    "asked randomness."
)
SAMPLED = (
    "Digits are taken in hashed order, split 90 / 10 into train and val; a texture's "
    "class by the knobs, its file and crop uniformly. The dataset's `samples.csv` says "
    "which."
)


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

    def front(self, splits: Sequence[str]) -> dict[str, Any]:
        """Return the lines of the front matter that say where the samples are."""
        if not self.data_files:
            return {"viewer": False}
        names = [dict(self.split_names).get(split, split) for split in splits]
        paths = [
            {"split": name, "path": self.data_files.format(split=name)}
            for name in names
        ]
        return {"configs": [{"config_name": "default", "data_files": paths}]}

    def size(self, manifest: Manifest) -> str:
        """Return the size of the files in words."""
        shards = sum(shard.bytes for shard in manifest.shards)
        size = shards if self.bytes_on_disk is None else self.bytes_on_disk
        return f"{size / 1e6:,.1f} MB"

    def words(self) -> dict[str, str]:
        """Return the template's words on storage."""
        return {
            "access": self.access,
            "fields": self.fields,
            "example": self.example,
            "validation": VERIFIED,
            "sampling": SAMPLED,
        }


STORED = Storage(
    access="Everything lies in this folder: HDF5 shards that any reader opens, "
    "`samples.csv`, and `manifest.json`, which lists them with their digests. In "
    'Python, `texturedmnist.TexturedMNIST(folder, split="train")`.',
    fields=SHARD_FIELDS,
    example="`preview.png` shows samples of each digit and split.",
)
