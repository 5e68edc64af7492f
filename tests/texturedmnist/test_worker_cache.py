import pickle
import weakref

import pytest

from texturedmnist.common.cache import Cache, cached


class Thing:
    """What is costly to make."""


@cached(2)
def make_thing(cache: Cache, name: str, size: int = 1) -> Thing:
    """Makes a new one whenever it is called."""
    return Thing()


@cached()
def make_other(cache: Cache, name: str) -> Thing:
    """Makes a new one whenever it is called."""
    return Thing()


def test_the_last_results_are_kept() -> None:
    cache = Cache()
    first, second = make_thing(cache, "a"), make_thing(cache, "b")
    assert first is not second
    assert make_thing(cache, "a") is first  # now "b" was used least recently
    make_thing(cache, "c")
    assert make_thing(cache, "a") is first
    assert make_thing(cache, "b") is not second
    assert make_thing(cache, "b", size=2) is not make_thing(cache, "b", size=3)


def test_functions_and_caches_share_nothing() -> None:
    cache = Cache()
    others = [make_other(cache, str(number)) for number in range(100)]
    assert make_thing(cache, "0") is not others[0]
    assert make_other(cache, "0") is others[0]
    assert make_other(Cache(), "0") is not others[0]


def test_what_fails_is_tried_again() -> None:
    asked: list[str] = []

    @cached(1)
    def read(_: Cache, name: str) -> str:
        asked.append(name)
        if len(asked) == 1:
            raise OSError("not yet")
        return name

    cache = Cache()
    with pytest.raises(OSError, match="not yet"):
        read(cache, "a")
    assert [read(cache, "a"), read(cache, "a")] == ["a", "a"]
    assert asked == ["a", "a"]


def test_what_a_cache_holds_goes_with_it() -> None:
    cache = Cache()
    thing = weakref.ref(make_thing(cache, "a"))
    assert thing() is not None
    del cache
    assert thing() is None


def test_a_copy_for_another_process_starts_empty() -> None:
    cache = Cache()
    first = make_thing(cache, "a")
    copy = pickle.loads(pickle.dumps(cache))
    assert make_thing(copy, "a") is not first
    assert make_thing(cache, "a") is first
