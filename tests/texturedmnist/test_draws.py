import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from texturedmnist import draws
from texturedmnist.draws import (
    GOLDEN_GAMMA,
    PURPOSE_CODES,
    SPLIT_CODES,
    below,
    draw,
    hash_order,
    unit,
)

# The published first outputs of SplitMix64 with seed 0.
SPLITMIX64 = (
    0xE220A8397B1DCDAF,
    0x6E789E6AA1B965F4,
    0x06C45D188009454F,
    0xF88BB8A8724C81EC,
    0x1B39896A51A8749B,
)
# Words at the indices 0, 1 and 2**40: part of the data's definition, never to change.
GOLDEN = {
    "6F3405D0E8B457B0 730EE932B89863AD 4A4B7D3588A33775": (0, "train", "bg"),
    "DAEA0DD0FF243F45 30F8BBD6F2B93354 8CE31D753314474E": (0, "val", "tex"),
    "22F778345D6538E0 223C7A7C5ED21CB1 9203CA66CCE3371E": (7, "test", "digit_y"),
    "ED5E8FCDAD571DFF 51DE3AD69DE43904 FD0A5DAC222B5A99": (
        *(2**63 - 1, "corpus", "digit_order"),
    ),
    "C9208115718800FA 8F661E86F2D7C9CC E4AD4C1C5615ECDD": (
        *(123456789, "train", "background_texture_twin"),
    ),
}
# In the order of their codes, 1 to 20.
PURPOSES = (
    "digit_order digit_partition file_partition texture digit_y digit_x tex "
    "digit_texture_tied digit_texture_free digit_texture_file digit_texture_y "
    "digit_texture_x digit_texture_twin bg background_texture_tied "
    "background_texture_free background_texture_file background_texture_y "
    "background_texture_x background_texture_twin"
)
SPLITS = {"train": 1, "val": 2, "val_shifted": 2, "test": 3, "corpus": 4}
WORDS = st.integers(0, 2**64 - 1)


def splitmix64(state: int, steps: int) -> int:
    """Return the output number `steps` (from 1) of SplitMix64, in plain integers."""
    z = (state + steps * 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def reference_draw(seed: int, split: str, purpose: str, index: int) -> int:
    """Draw one word as `docs/recipe.md` writes it out."""
    codes = dict(zip(PURPOSES.split(), range(1, 21), strict=True))
    key = splitmix64(seed % 2**64, 0)
    key = splitmix64(key, SPLITS[split])
    key = splitmix64(key, codes[purpose])
    return splitmix64(key, index + 1)


def words_of(*name: int | str, count: int = 20_000) -> np.ndarray:
    seed, split, purpose = name
    return draw(int(seed), str(split), str(purpose), np.arange(count))


def test_golden_words_never_change() -> None:
    places = np.array([0, 1, 2**40])
    for words, name in GOLDEN.items():
        found = [f"{word:016X}" for word in draw(*name, places).tolist()]
        assert " ".join(found) == words


@given(
    st.integers(-(2**70), 2**70),
    st.sampled_from(sorted(SPLITS)),
    st.sampled_from(PURPOSES.split()),
    st.lists(st.integers(0, 2**63 - 1), max_size=5),
)
def test_a_draw_equals_the_reference_in_plain_integers(
    seed: int, split: str, purpose: str, indices: list[int]
) -> None:
    expected = [reference_draw(seed, split, purpose, index) for index in indices]
    found = draw(seed, split, purpose, np.array(indices, np.int64))
    assert found.dtype == np.uint64
    assert found.tolist() == expected


def test_the_mixer_gives_the_published_splitmix64() -> None:
    counter = np.arange(1, 6, dtype=np.uint64) * np.uint64(GOLDEN_GAMMA)
    assert draws._mix_array(counter).tolist() == [*SPLITMIX64]
    steps = range(1, 6)
    assert tuple(draws._mix(n * GOLDEN_GAMMA % 2**64) for n in steps) == SPLITMIX64
    assert tuple(splitmix64(0, n) for n in steps) == SPLITMIX64


def test_codes_are_unique_and_never_renumbered() -> None:
    codes = zip(PURPOSES.split(), range(1, 21), strict=True)
    assert [*PURPOSE_CODES.items()] == [*codes]
    assert dict(SPLIT_CODES) == SPLITS


def test_a_draw_keeps_the_shape_and_the_place_of_its_index() -> None:
    index = np.arange(12).reshape(3, 4)
    grid = draw(1, "train", "tex", index)
    assert grid.shape == (3, 4)
    assert np.array_equal(draw(1, "train", "tex", index[2, ::-2]), grid[2, ::-2])
    assert draw(1, "train", "tex", np.arange(0)).shape == (0,)


@given(st.lists(WORDS, min_size=1), st.integers(1, 2**32 - 1))
@example([0, 2**64 - 1], 37)
def test_below_is_exact_for_every_bound(words: list[int], bound: int) -> None:
    found = below(np.array(words, np.uint64), bound)
    assert found.dtype == np.int64
    assert found.tolist() == [(word >> 32) * bound >> 32 for word in words]
    assert 0 <= found.min() <= found.max() < bound
    bounds = np.array([1 + (bound - 1) // (k + 1) for k in range(len(words))])
    pairs = zip(words, bounds.tolist(), strict=True)
    found = below(np.array(words, np.uint64), bounds)
    assert found.tolist() == [(word >> 32) * one >> 32 for word, one in pairs]


@given(WORDS)
@example(0)
@example(2**64 - 1)
def test_unit_is_exact_and_below_one(word: int) -> None:
    value = unit(np.array([word], np.uint64))
    assert value.dtype == np.float64
    assert value.item() * 2**53 == word >> 11
    assert 0 <= value.item() < 1


def test_streams_of_other_purposes_splits_and_seeds_are_uncorrelated() -> None:
    names = [(0, "train", purpose) for purpose in PURPOSES.split()]
    names += [(0, split, "bg") for split in ("val", "test", "corpus")]
    names += [(seed, "train", "bg") for seed in (1, 2, 3, 2**32, 2**63 - 1)]
    streams = np.array([unit(words_of(*name)) for name in names])
    shifted = np.array([np.roll(stream, 1) for stream in streams])
    found = np.corrcoef(np.concatenate([streams, shifted])) * np.sqrt(20_000)
    pairs = found[~np.eye(len(found), dtype=bool)]
    # 3,080 standard normal values: one beyond 5 would be a chance of 1 in 500.
    assert np.abs(pairs).max() < 5


def test_words_are_uniform_and_their_bits_fair_coins() -> None:
    assert stats.kstest(unit(words_of(11, "test", "tex")), "uniform").pvalue > 1e-3
    words = words_of(0, "train", "texture")
    bits = (words[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    deviation = (bits.sum(axis=0).astype(float) - 10_000) / np.sqrt(5_000)
    assert np.abs(deviation).max() < 4.5


@pytest.mark.parametrize("count", [0, 1, 2, 50, 1_797])
def test_hash_order_sorts_the_corpus_draws(count: int) -> None:
    words = [reference_draw(4, "corpus", "file_partition", i) for i in range(count)]
    expected = sorted(range(count), key=words.__getitem__)
    assert hash_order(4, "file_partition", count).tolist() == expected
    kept = [number for number in expected if number < 20]
    assert hash_order(4, "file_partition", min(20, count)).tolist() == kept


def test_equal_words_keep_their_indices_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def coarse(*name: object) -> np.ndarray:
        return np.asarray(name[-1]).astype(np.uint64) % np.uint64(3)

    monkeypatch.setattr(draws, "draw", coarse)
    assert hash_order(0, "digit_order", 7).tolist() == [0, 3, 6, 1, 4, 2, 5]
