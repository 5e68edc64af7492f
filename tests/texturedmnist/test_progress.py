import io
from unittest.mock import Mock

import pytest

from texturedmnist.common.progress import Progress, on_terminal


def test_a_pipe_gets_ten_lines_or_none(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1000, "generate", "samples", show=True) as progress:
        for _ in range(1000):
            progress(1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("generate: 100 of 1000 samples, ")
    assert lines[-1].startswith("generate: 1000 of 1000 samples, ")
    with Progress(10, "generate", "samples", show=False) as progress:
        progress(10)
    assert progress.done == 10
    assert capsys.readouterr().err == ""


def test_work_may_be_taken_back_and_there_may_be_none() -> None:
    with Progress(10, "generate", "samples", show=True) as progress:
        progress(7)
        progress(-7)
        progress(10)
    assert progress.done == 10
    with Progress(0, "generate", "samples", show=True) as progress:
        progress(0)


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress(10, "generate", "samples", show=True) as progress:
        progress(10)
    shown = capsys.readouterr().err
    assert "generate: 100%" in shown
    assert "10/10" in shown


def test_no_stream_or_a_closed_one_is_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr("sys.stderr", stream)
        assert not on_terminal()
        with Progress(10, "generate", "samples", show=True) as progress:
            progress(10)
        assert progress.done == 10


def test_a_terminal_that_goes_is_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    write = Mock(side_effect=len)
    monkeypatch.setattr("sys.stderr.write", write)
    with Progress(10, "generate", "samples", show=True) as progress:
        progress(1)
        write.reset_mock()
        write.side_effect = OSError(5, "Input/output error")
        for _ in range(9):
            progress(1)
    assert write.called
    assert progress.done == 10
