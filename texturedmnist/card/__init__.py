"""A manifest as a data card and as Croissant, pure."""

from texturedmnist.card.croissant import CROISSANT_NAME, croissant
from texturedmnist.card.readme import CARD_NAME, data_card

__all__ = ["CARD_NAME", "CROISSANT_NAME", "croissant", "data_card"]
