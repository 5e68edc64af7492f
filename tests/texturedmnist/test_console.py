import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.faults.commands import Command
from tests.python import ROOT, run_python
from texturedmnist.common.cli import Folder, echo, report_system_errors
from texturedmnist.common.text import printable
from texturedmnist.generate import verify

COMMAND = [sys.executable, "-c", "from texturedmnist.cli import main; main()"]
SMALL = (
    *("--bg=0.5", "--tex=0.5", "--embedded", "--train=20", "--val=10", "--test=10"),
    *("--image-size=28", "--embedded-instances=3", "--jobs=1"),
)


def shell(
    words: Sequence[object], streams: str, folder: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does, with streams such as `2>&-`."""
    line = f'exec "$@" {streams}'
    return subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain café", "plain café"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\x07\x9b", "a\\nb\\x07\\x9b"),
        ("a\udcffb", "a\\udcffb"),
        ("txt\u202egnp", "txt\\u202egnp"),
    ],
)
def test_text_of_others_can_not_command_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_are_kept_where_they_are_ours(capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\nb\x1b\udcff")
    assert capsys.readouterr().out == "a\nb\\x1b\\udcff\n"


@click.command()
@click.option("--out", type=Folder())
def told(out: Path) -> None:
    click.echo(out)


def test_a_home_is_found_also_where_the_shell_leaves_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert CliRunner().invoke(told, ["--out=~/tm"]).output == "/home/me/tm\n"
    for value, text in (
        ("~nobody-of-this-name/tm", "there is no home folder for ~nobody-of-this-name"),
        ("", "the path is empty; give a folder, or '.' for this one"),
        ("a\0b", "no path holds the character NUL"),
    ):
        result = CliRunner().invoke(told, [f"--out={value}"])
        assert (result.exit_code, text in result.output) == (2, True)


def test_what_the_system_refuses_is_one_line() -> None:
    lacking = PermissionError(13, "Permission denied", "a\x1b")
    text = r"can't open a\\x1b: Permission denied"
    with pytest.raises(click.UsageError, match=text), report_system_errors():
        raise lacking
    text = r"^b: No space left on device$"
    with pytest.raises(click.ClickException, match=text), report_system_errors():
        raise OSError(28, "No space left on device", "b")
    for error in (
        MemoryError("Unable to allocate 4 GiB"),
        RuntimeError("can't start new thread"),
        ImportError("x.so: failed to map segment from shared object"),
    ):
        text = f"memory is short: {error}; raise the limit of memory"
        with pytest.raises(click.ClickException, match=text), report_system_errors():
            raise error
    for other in (RuntimeError("a fault of ours"), ImportError("no module x")):
        with pytest.raises(type(other)), report_system_errors():
            raise other
    with pytest.raises(BrokenPipeError), report_system_errors():
        raise BrokenPipeError


# Every command; `generate` comes first.
COMMANDS: dict[str, tuple[str, ...]] = {
    "generate": ("generate", "--out=new", *SMALL),
    "generate --jobs 2": ("generate", "--out=new2", *SMALL, "--jobs=2"),
    "dry-run": ("generate", "--out=new3", "--dry-run", *SMALL),
    "verify": ("verify", "tm", "--jobs=1"),
    "info": ("info", "tm"),
    "ties": ("info", "tm", "--latex"),
    "preview": ("preview", "tm", "--out=sheet.png"),
    "card": ("card", "tm"),
    "audit": ("audit", "tm"),
    "sources": ("sources",),
    "export": ("export", "tm", "--layout=folder", "--jobs=1"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished dataset `tm`, and decoded textures."""
    folder = tmp_path_factory.mktemp("console")
    made = shell(("generate", "--out=tm", *SMALL), "", folder, XDG_CACHE_HOME="cache")
    assert made.returncode == 0, made.stderr
    return folder


def close_streams(folder: Path) -> None:
    """Work in a folder as a daemon does, whose next file takes a stream's place."""
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = "cache"
    for number in range(3):
        os.close(number)
    sys.stdin = sys.stdout = sys.stderr = None  # as Python finds them when it starts


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_works_without_standard_streams(name: str, place: Path) -> None:
    close = partial(close_streams, place)
    Command("texturedmnist", COMMANDS[name]).finish(place, close)
    if name.startswith("generate"):
        out = COMMANDS[name][1].removeprefix("--out=")
        assert verify(place / out) == ()


SLOW = [pytest.param(n, marks=pytest.mark.slow) for n in COMMANDS if n != "info"]


@pytest.mark.parametrize("name", ["info", *SLOW])
def test_a_full_standard_output_is_reported(name: str, place: Path) -> None:
    ended = shell(COMMANDS[name], ">/dev/full", place, XDG_CACHE_HOME="cache")
    assert ended.returncode == 1
    text = "Error: can't write to standard output: No space left on device"
    assert ended.stderr.splitlines()[-1] == text
    assert name != "info" or ended.stderr == f"{text}\n"


def test_who_does_not_listen_to_progress_stops_no_work(place: Path) -> None:
    words = ("generate", "--out=unheard", *SMALL)
    ended = shell(words, "2>/dev/full", place, XDG_CACHE_HOME="cache")
    assert ended.returncode == 0
    assert (place / "unheard" / "manifest.json").is_file()


needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user"
)


# Becomes a user whom the machine doesn't know, once all is loaded: this Python may be
# out of that user's reach.
UNKNOWN = """
import os
import importlib.readers, importlib.resources
import scipy.stats, scipy.signal, sklearn
import texturedmnist.audit, texturedmnist.interop.export
from texturedmnist.cli import main
os.setgroups([])
os.setgid(54321)
os.setuid(54321)
main()
"""


def unknown_user(
    words: Sequence[str], folder: Path, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """Run a command as that user."""
    bare = {"PYTHONDONTWRITEBYTECODE": "1"}
    ended = run_python("-c", UNKNOWN, *words, folder=folder, code=code, env=bare)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


@pytest.fixture
def shared(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder, opened to everybody; no variable names another one."""
    for name in ("HOME", "XDG_CACHE_HOME", "TEXTUREDMNIST_DATA"):
        monkeypatch.delenv(name, raising=False)
    temporary = ("pytest-", "popen-gw")  # pytest's own folders, one more with workers
    for path in (place, *place.parents):
        if path == place or path.name.startswith(temporary):
            path.chmod(0o755)
    return place


@needs_root
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COMMANDS if "2" not in name])
def test_every_command_works_for_a_user_whom_nobody_knows(
    name: str, shared: Path
) -> None:
    shared.chmod(0o777)
    for path in (shared / "tm", *(shared / "tm").iterdir()):
        path.chmod(0o777)
    words = [word.replace("new", "unknown") for word in COMMANDS[name]]
    if words[0] == "export":
        words.append("--out=unknown_export")
    if words[0] == "generate":
        ended = unknown_user(words, shared, 2)
        assert "no home folder to keep decoded textures in" in ended.stderr
        assert "--cache-dir DIR" in ended.stderr
        words.append("--cache-dir=others")
    unknown_user(words, shared)


@needs_root
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["verify", "info", "ties", "preview", "card", "audit", "export"]
)
@pytest.mark.parametrize("target", ["manifest.json", "*.h5", "."])
def test_another_user_s_files_are_reported(
    name: str, target: str, shared: Path
) -> None:
    files = [shared / "tm"] if target == "." else list((shared / "tm").glob(target))
    modes = [path.stat().st_mode for path in files]
    (shared / "tm").chmod(0o755)
    try:
        for path in files:
            os.chown(path, 0, 0)  # a stranger's `card` has written the manifest again
            path.chmod(0o600)
        code = 2 if target != "*.h5" else None
        ended = unknown_user(COMMANDS[name], shared, code)
    finally:
        for path, mode in zip(files, modes, strict=True):
            path.chmod(mode)
    if code:
        told = ("ermission denied", "Path 'tm' is not readable")
        assert any(text in ended.stderr for text in told)
