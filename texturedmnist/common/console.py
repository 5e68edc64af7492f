"""Standard streams: what is said there, and what happens where they are missing."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import click

from texturedmnist.common.causes import is_short_of_memory
from texturedmnist.common.files import WriteError
from texturedmnist.common.text import printable


def say(text: str, *, err: bool = False) -> None:
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
def system_errors_told() -> Iterator[None]:
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
