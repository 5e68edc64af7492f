"""What both commands share: paths, options, exit codes for errors and signals."""

import signal
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import click

from texturedmnist.common.console import open_streams, say, system_errors_told
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
            with interrupts_raised(), system_errors_told():
                return super().invoke(ctx)
        except self.misuse() as error:
            raise click.UsageError(printable(str(error))) from None
        except self.failures() as error:
            raise click.ClickException(printable(str(error))) from None
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Interrupt) else signal.SIGINT
            say(f"Error: {self.interrupted}", err=True)
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
