"""A manifest as a data card and as Croissant, pure."""

from texturedmnist.card.croissant import croissant
from texturedmnist.card.readme import data_card
from texturedmnist.manifest import Manifest

CARD_NAME = "README.md"
CROISSANT_NAME = "croissant.json"


def make_cards(manifest: Manifest, table_bytes: int) -> dict[str, str]:
    """Return the texts of a dataset's cards by file name.

    Args:
        manifest: of the dataset; the same one gives the same texts.
        table_bytes: size of `samples.csv`.
    """
    return {
        CARD_NAME: data_card(manifest),
        CROISSANT_NAME: croissant(manifest, table_bytes),
    }


__all__ = ["CARD_NAME", "CROISSANT_NAME", "croissant", "data_card", "make_cards"]
