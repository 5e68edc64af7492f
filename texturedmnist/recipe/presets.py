"""Frozen recipes that studies can cite by name: `PRESETS`."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """A recipe but for its sources, which the user chooses.

    Attributes:
        purpose: what it is for.
        fields: of the recipe; they are never changed.
        digests: sha256 (hex) of each split from the embedded sources, as a manifest has
            it: whoever makes the preset can hold their own against it.
    """

    purpose: str
    fields: Mapping[str, Any]
    digests: Mapping[str, str]


_COMMON = {
    **{"train": 5000, "val": 1000, "test": 5000, "val_shifted": True},
    **{"image_size": 96, "seed": 0, "test_bg": 1.0},
}


def _preset(purpose: str, digests: str, **fields: float) -> Preset:
    splits = ("train", "val", "test", "val_shifted")
    by_split = dict(zip(splits, digests.split(), strict=True))
    return Preset(purpose, {**_COMMON, **fields}, by_split)


PRESETS: Mapping[str, Preset] = {
    "easy": _preset(
        "a fifth of the backgrounds in training are random: counter-examples abound, "
        "groups suffice",
        """
        7301f83c1fcbc8a9cf799fba197e29d7653d05de2423cd9076d607021702f838
        dd8f913b4f00e27174a9e46a0963da7dba50fe7e6f4120a6b9bd0e6c4404f574
        9e16e619d0349b0f3f3fb918841ad52cacec1b387c1a4bbd697bf7ba345383d1
        20df392f7460c01279bae986dd268cab6f6b4a2b07c024ea5e3efed20d436135
        """,
        bg=0.2,
        tex=0.0,
    ),
    "medium": _preset(
        "one background in twenty is random: few counter-examples, groups can still "
        "help",
        """
        2f401ad4780d1e921fa65f390ea8325a024506302d7fc0171113ccc2308f1186
        161f6f790f0d19042db03549a711a3019b5cc11774d2946c303245977f6d3203
        9e16e619d0349b0f3f3fb918841ad52cacec1b387c1a4bbd697bf7ba345383d1
        20df392f7460c01279bae986dd268cab6f6b4a2b07c024ea5e3efed20d436135
        """,
        bg=0.05,
        tex=0.0,
    ),
    "hard": _preset(
        "no background in training is random: no counter-example, only masks can help",
        """
        d9780bc6c923439680f8334863c87ebaa21a29094861fd9896eb3b2b4b4bfe33
        8b82c1bd2f0ae04542f2a5029f6b719607b2b59d16cdadfa612a074ca1e0325c
        9e16e619d0349b0f3f3fb918841ad52cacec1b387c1a4bbd697bf7ba345383d1
        20df392f7460c01279bae986dd268cab6f6b4a2b07c024ea5e3efed20d436135
        """,
        bg=0.0,
        tex=0.0,
    ),
    "two-shortcuts": _preset(
        "background and digit texture both predict the label in training and say "
        "nothing in the test: only the digit's shape is left",
        """
        ff7b6923f6cd155a129f1138a25f8e7412aeb97476281e2bdbe6a0a7f66a8d49
        a7066941c7cc831cc1d32fc271191d06df00132d866c8dd81b85756fe9c254c4
        3234aaff1973321f3d71b351233daddf2089610e79814b16bdf2f1fd0ab2c096
        b2ff26058b62145ad03b9850cb241965e3ce556475e81b4631d94be6eb691a1e
        """,
        bg=0.05,
        tex=0.05,
        test_tex=1.0,
    ),
}


def find_preset(digests: Mapping[str, str]) -> str | None:
    """Return the preset whose splits from the embedded sources have these digests."""
    same = (name for name, preset in PRESETS.items() if preset.digests == digests)
    return next(same, None)
