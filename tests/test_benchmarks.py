import importlib
import inspect
from pathlib import Path

import click
import pytest

COMMANDS = sorted(
    path.stem
    for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py")
    if "__main__" in path.read_text() and path.stem != "ordinary"
)
OF_THE_BENCH = {
    *("data_root", "embedded", "cache_dir", "backgrounds", "device"),
    *("rounds", "seconds", "clock", "folder", "out"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_takes_the_options_that_it_offers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "spuco_methods":
        pytest.importorskip("spuco")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # some set it: it is put back
    command = importlib.import_module(f"benchmarks.{name}").main
    assert isinstance(command, click.Command)
    assert command.callback is not None
    offered = {str(parameter.name) for parameter in command.params}
    if name != "study_gpu":  # which writes no report
        offered = {*(offered - OF_THE_BENCH), "bench"}
    assert offered == {*inspect.signature(command.callback).parameters}
