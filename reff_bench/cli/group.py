"""What every command does with streams, signals and mistakes: `Commands`."""

import errno
import os
import signal
import sys
from typing import Any

import click

from reff_bench.grid import GridError
from reff_bench.results import CellError, ResultsError
from texturedmnist.executors import (
    ExecutorError,
    Interrupt,
    WorkerError,
    interrupts_raised,
)

INTERRUPTED = (
    "Interrupted: finished cells are kept, the others continue from their last "
    "checkpoint. Run the same command again."
)
SIGNALED = 128  # added to a signal's number, as shells do


class Commands(click.Group):
    """Turns a user's mistake into one message and an exit code, never a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (click's own)
        """See that the three standard streams are there, then run a command."""
        open_standard_streams()
        # Of a notebook, say, whose backend isn't installed here. We draw into files.
        os.environ["MPLBACKEND"] = "agg"
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command: exit code 2 for wrong use, 1 for failed work."""
        try:
            with interrupts_raised():
                return super().invoke(ctx)
        except (GridError, ResultsError, ExecutorError) as error:
            raise click.UsageError(str(error)) from None
        except (CellError, WorkerError) as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads on: click ends in silence
                raise
            raise _in_one_line(error) from None
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Interrupt) else signal.SIGINT
            click.echo(f"Error: {INTERRUPTED}", err=True)
            raise click.exceptions.Exit(SIGNALED + number) from None


def _in_one_line(error: OSError) -> click.ClickException:
    if isinstance(error, PermissionError) and error.filename:
        return click.UsageError(
            f"can't read or write {error.filename}: permission denied; ask its owner, "
            "or use a folder of your own"
        )
    place = f"{error.filename}: " if error.filename else ""
    return click.ClickException(f"{place}{error.strerror or error}")


def open_standard_streams() -> None:
    """Give a stream that the caller has closed (`2>&-`) somewhere to write.

    Else Python has None in its place, and the next file that is opened gets its number,
    so that a library's warning could end in a checkpoint.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free; workers inherit it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            if getattr(sys, name) is None:
                mode = "r" if number == 0 else "w"
                setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
