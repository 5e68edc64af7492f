import _thread
import threading
import time
from unittest.mock import Mock

import pytest

from texturedmnist.common.threads import map_in_threads


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_results_come_in_order(count: int) -> None:
    assert map_in_threads(str, range(count)) == [str(n) for n in range(count)]


def test_several_threads_work() -> None:
    together = threading.Barrier(4, timeout=20)
    assert len({*map_in_threads(lambda _: (together.wait(), 0)[1], range(4))}) == 1


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="'seven'"):
        map_in_threads(int, [*"123456", "seven", *"89"])


def test_a_thread_that_cannot_start_or_dies_at_its_start_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse = Mock(side_effect=RuntimeError("can't start new thread"))
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    assert map_in_threads(str, [1, 2, 3]) == ["1", "2", "3"]
    monkeypatch.setattr(_thread, "start_new_thread", lambda *_: 0)  # none is run
    assert map_in_threads(str, [1, 2, 3]) == ["1", "2", "3"]


def test_what_a_helper_leaves_is_done_by_the_caller() -> None:
    caller = threading.get_ident()

    def work(number: int) -> int:
        if threading.get_ident() != caller:
            raise MemoryError
        time.sleep(0.01)  # the helpers have their turns
        return number

    assert map_in_threads(work, range(8)) == [*range(8)]
