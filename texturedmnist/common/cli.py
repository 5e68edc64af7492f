"""What both commands share: streams, options, exit codes of errors and signals."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeAlias

import click

from texturedmnist.common.causes import is_short_of_memory
from texturedmnist.common.executors import (
    EXECUTORS,
    ExecutorError,
    Interrupt,
    WorkerError,
    interrupts_raised,
)
from texturedmnist.common.files import FolderError, WriteError
from texturedmnist.common.text import printable

Formatter: TypeAlias = click.HelpFormatter
Errors: TypeAlias = tuple[type[Exception], ...]
SIGNALED = 128  # added to a signal's number, as shells do


def echo(text: str, *, err: bool = False) -> None:
    """Print lines to standard output, or to standard error.

    Raises:
        click.ClickException: standard output can't be written.
    """
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shown = printable(text, keep="\n\t").encode(encoding, "backslashreplace")
    try:
        click.echo(shown.decode(encoding), err=err)
    except OSError as error:
        if err:
            return  # who doesn't listen stops no work
        _refuse_output(error)


def _refuse_output(error: OSError) -> NoReturn:
    """Give standard output up: what it still holds would be tried again at the end."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    if error.errno == errno.EPIPE:
        raise click.exceptions.Exit(1)  # the reader has gone (head): as others do
    raise click.ClickException(
        f"can't write to standard output: {error.strerror or error}"
    )


def open_streams() -> None:
    """Give a process that was started without standard streams (a daemon) empty ones.

    Otherwise the next file that is opened takes their place, and gets what libraries
    write to them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        nowhere = os.open(os.devnull, os.O_RDWR)
        try:
            os.fstat(number)
        except OSError:
            os.dup2(nowhere, number)
        if nowhere == number:
            os.set_inheritable(number, True)
        else:
            os.close(nowhere)
        mode = "r" if name == "stdin" else "w"
        stream = open(number, mode, closefd=False, encoding="utf-8")  # noqa: SIM115
        setattr(sys, name, stream)


@contextmanager
def report_system_errors() -> Iterator[None]:
    """Turn what the system refuses into one line: exit code 2 where a right is lacking.

    Raises:
        click.UsageError: the user may not read or write something.
        click.ClickException: a disk or a machine failed.
    """
    try:
        yield
    except WriteError:
        raise
    except Exception as error:
        if is_short_of_memory(error):
            raise click.ClickException(printable(_short_of_memory(error))) from None
        if not isinstance(error, OSError):
            raise
        place = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or str(error) or type(error).__name__
        if isinstance(error, PermissionError):
            raise click.UsageError(
                printable(f"can't open {place}{reason}; ask its owner for the right")
            ) from None
        if isinstance(error, BrokenPipeError):
            raise
        raise click.ClickException(printable(f"{place}{reason}")) from None


def _short_of_memory(error: Exception) -> str:
    reason = (str(error).strip().splitlines() or ["no more can be had"])[0]
    return (
        f"memory is short: {reason}; raise the limit of memory (ulimit -v), free some "
        "or give fewer --jobs; what is finished is kept: run the same command again"
    )


class Commands(click.Group):
    """Turns a user's mistake into one message and an exit code, never a traceback.

    `--help` stays quick: what defines the commands is imported when one is asked for.

    Attributes:
        module: defines the commands when it is imported.
        summaries: of the commands by name, as `--help` lists them.
        interrupted: what Ctrl-C and SIGTERM leave, in words.
    """

    module: ClassVar[str]
    summaries: ClassVar[Mapping[str, str]]
    interrupted: ClassVar[str]

    def misuse(self) -> Errors:
        """Return the exceptions of wrong use, exit code 2."""
        return ExecutorError, FolderError

    def failures(self) -> Errors:
        """Return the exceptions of failed work, exit code 1."""
        return WorkerError, WriteError

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return [*self.summaries]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command."""
        import_module(self.module)
        return super().get_command(ctx, name)

    def format_commands(self, ctx: click.Context, formatter: Formatter) -> None:
        """Write the list of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([*self.summaries.items()])

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 (click's own)
        """Run the command line, also where there are no standard streams."""
        open_streams()
        return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command; a signal's exit code is 128 and its number."""
        try:
            with interrupts_raised(), report_system_errors():
                return super().invoke(ctx)
        except self.misuse() as error:
            raise click.UsageError(printable(str(error))) from None
        except self.failures() as error:
            raise click.ClickException(printable(str(error))) from None
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Interrupt) else signal.SIGINT
            echo(f"Error: {self.interrupted}", err=True)
            raise click.exceptions.Exit(SIGNALED + number) from None


class Folder(click.Path):
    """A path as typed; `~` is a home also where the shell leaves it: `--out=~/tm`."""

    def __init__(self) -> None:
        """Take any path, of a file too."""
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401
        """Expand the path."""
        if value in ("", b""):
            self.fail("the path is empty; give a folder, or '.' for this one")
        if "\0" in str(value):
            self.fail("no path holds the character NUL")
        path = str(super().convert(value, param, ctx))
        try:
            return Path(path).expanduser()
        except RuntimeError:
            self.fail(f"there is no home folder for {path}; write the whole path")


FOLDER = Folder()
data_root_option = click.option(
    "--data-root",
    type=FOLDER,
    help="Where the data is.  [default: $TEXTUREDMNIST_DATA, else 'data']",
)
cache_dir_option = click.option(
    "--cache-dir", type=FOLDER, help="Where decoded images are kept."
)
executor_option = click.option(
    "--executor",
    type=click.Choice(EXECUTORS),
    default="local",
    show_default=True,
    help="Where the work is done: processes of this machine, or a Ray cluster.",
)
address_option = click.option(
    "--address",
    metavar="HOST:PORT",
    help="Of the Ray cluster.  [default: $RAY_ADDRESS, else one of this machine]",
)


def join_options(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Join options into one decorator, in the order in which help shows them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
