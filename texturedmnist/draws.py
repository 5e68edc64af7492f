"""The counter hash behind every random choice.

A draw is a pure function of (seed, split, purpose, index) in unsigned 64-bit
arithmetic: SplitMix64 (Steele, Lea & Flood 2014) started at a key of the first
three and read at the position of the fourth. No stream, no state, no library
whose methods may change. `docs/recipe.md` writes it out for other languages.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
WORD = (1 << 64) - 1

# `val_shifted` draws as `val`: the same digits, files and crops under another
# randomness.
SPLIT_CODES: Mapping[str, int] = {
    "train": 1,
    "val": 2,
    "val_shifted": 2,
    "test": 3,
    "corpus": 4,
}
# Codes are part of the data's definition: append, never renumber.
PURPOSE_CODES: Mapping[str, int] = {
    "digit_order": 1,
    "digit_partition": 2,
    "file_partition": 3,
    "texture": 4,
    "digit_y": 5,
    "digit_x": 6,
    "tex": 7,
    "digit_texture_tied": 8,
    "digit_texture_free": 9,
    "digit_texture_file": 10,
    "digit_texture_y": 11,
    "digit_texture_x": 12,
    "digit_texture_twin": 13,
    "bg": 14,
    "background_texture_tied": 15,
    "background_texture_free": 16,
    "background_texture_file": 17,
    "background_texture_y": 18,
    "background_texture_x": 19,
    "background_texture_twin": 20,
}


def draw(
    seed: int, split: str, purpose: str, index: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Draw one uniform 64-bit word per index.

    Args:
        seed: any integer; taken modulo 2**64.
        split: a key of `SPLIT_CODES`.
        purpose: a key of `PURPOSE_CODES`.
        index: int64, >= 0, any shape of one axis or more.

    Returns:
        uint64 words of the index's shape, uniform in [0, 2**64).
    """
    key = _mix(seed & WORD)
    key = _mix(key + SPLIT_CODES[split] * GOLDEN_GAMMA & WORD)
    key = _mix(key + PURPOSE_CODES[purpose] * GOLDEN_GAMMA & WORD)
    words = np.asarray(index).astype(np.uint64) + np.uint64(1)
    return _mix_array(words * np.uint64(GOLDEN_GAMMA) + np.uint64(key))


def below(
    draws: NDArray[np.uint64], bound: int | NDArray[np.int64]
) -> NDArray[np.int64]:
    """Scale words to whole numbers in [0, bound), exactly.

    The upper 32 bits are read as a fraction of the bound, so that one draw serves
    ranges of different length: `(word >> 32) * bound >> 32`, with 1 <= bound < 2**32.
    """
    factor = np.asarray(bound).astype(np.uint64)
    return ((draws >> np.uint64(32)) * factor >> np.uint64(32)).astype(np.int64)


def unit(draws: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Scale words to float64 in [0, 1): the upper 53 bits times 2**-53, exactly."""
    return (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53


def hash_order(seed: int, purpose: str, count: int) -> NDArray[np.int64]:
    """Return the permutation of range(count) that sorts its `corpus` draws."""
    words = draw(seed, "corpus", purpose, np.arange(count, dtype=np.int64))
    return np.argsort(words, kind="stable")


def _mix(word: int) -> int:
    """Apply SplitMix64's finaliser to one word."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & WORD
    return word ^ word >> 31


def _mix_array(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply SplitMix64's finaliser to each word; products wrap modulo 2**64."""
    words = (words ^ words >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ words >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return words ^ words >> np.uint64(31)
