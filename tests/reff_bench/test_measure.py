from collections.abc import Callable

import pytest

from reff_bench.cost import Kind, work_of
from reff_bench.grid import Cell
from reff_bench.measure import PREPARE, device_name, find_pace, measure
from reff_bench.results import CellError
from reff_bench.train import find_machine
from tests.reff_bench.fakes import make_cell


class Work:
    """Laps that take a second of a made-up clock for each item."""

    def __init__(self, each: float) -> None:
        """Begin at 0."""
        self.now, self.each, self.counts = 0.0, each, list[int]()

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def prepare(self, count: int) -> Callable[[], None]:
        """Return a lap."""

        def lap() -> None:
            self.counts.append(count)
            self.now += self.each * count

        return lap


@pytest.mark.parametrize(
    ("each", "most", "count"),
    [(1e-3, 64, 64), (1e-3, 1, 1), (0.2, 64, 8), (30.0, 64, 8)],
)
def test_as_many_items_are_timed_as_time_permits(
    each: float, most: int, count: int
) -> None:
    work = Work(each)
    seconds, found = find_pace(work.prepare, most, 10.0, clock=work.clock)
    assert seconds == pytest.approx(each)
    assert found == count
    assert 3 <= work.counts.count(count) <= 21
    assert work.now <= max(2 * 10.0, 4 * 8 * each)


def test_a_whole_batch_can_be_asked_for() -> None:
    work = Work(1.0)
    assert find_pace(work.prepare, 64, 0.0, least=64, clock=work.clock) == (1.0, 64)
    assert {*work.counts} == {64}


def test_one_slow_lap_does_not_count() -> None:
    work, laps = Work(1.0), [0.0, 1.0, 9.0, 1.0]
    waits = iter([*laps, *[1.0] * 50])

    def prepare(count: int) -> Callable[[], None]:
        def lap() -> None:
            work.now += next(waits)

        return lap

    assert find_pace(prepare, 1, 8.0, clock=work.clock)[0] == 1.0


CELL = make_cell(annotations=5, annotator_base_channels=4, batch_size=4)
WORK = work_of([CELL])


@pytest.mark.parametrize("kind", WORK, ids=lambda kind: kind.what)
def test_every_kind_of_work_can_be_measured(kind: Kind) -> None:
    pace = measure(kind, WORK[kind], "cpu", 0.01)
    assert 0 < pace.seconds < 10
    assert pace.source.startswith("measured, ")
    assert pace.source.endswith(" images at once")


def test_all_kinds_of_work_can_be_prepared() -> None:
    assert {kind.what for kind in WORK} == {*PREPARE}


def test_a_batch_that_takes_too_long_is_scaled_up() -> None:
    cell = make_cell("baseline", batch_size=64)
    (kind,) = [kind for kind in work_of([cell]) if kind.what == "train"]
    small = measure(kind, cell, "cpu", 0.0)
    assert small.source == "measured, 8 of 64 images at once"
    whole = measure(kind, cell, "cpu", 2.0)
    assert 0.3 < small.seconds / whole.seconds < 30


def test_work_that_fails_is_named() -> None:
    cell = make_cell("reff", precision="float16")
    (kind,) = [kind for kind in work_of([cell]) if kind.what == "train"]
    with pytest.raises(CellError, match=r"measuring train of reff: .*float16"):
        measure(kind, cell, "cpu", 0.0)


def test_the_device_is_named_as_in_records() -> None:
    assert device_name("cpu") == find_machine("cpu").describe()


def test_measuring_downloads_nothing() -> None:
    cell: Cell = make_cell("baseline", backbone="resnet18", weights="imagenet")
    (kind,) = [kind for kind in work_of([cell]) if kind.what == "predict"]
    assert measure(kind, cell, "cpu", 0.0).seconds > 0


@pytest.mark.gpu
@pytest.mark.parametrize("kind", WORK, ids=lambda kind: kind.what)
def test_a_gpu_is_measured_with_whole_batches(kind: Kind) -> None:
    pace = measure(kind, WORK[kind], "cuda", 1.0)
    assert 0 < pace.seconds < 10
    assert " of " not in pace.source
