"""What every command does with streams, signals and mistakes: `Commands`."""

import os
import signal
from typing import Any

import click

from reff_bench.grid import GridError
from reff_bench.results import CellError, ResultsError
from texturedmnist.console import open_streams, printable, say, system_errors_told
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

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 (click's own)
        """See that the three standard streams are there, then run a command."""
        open_streams()
        # A notebook's backend may not be installed here, and we draw into files.
        os.environ["MPLBACKEND"] = "agg"
        return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command: exit code 2 for wrong use, 1 for failed work.

        A signal's is 128 and its number, as a shell has it: 130 for Ctrl-C.
        """
        try:
            with interrupts_raised(), system_errors_told():
                return super().invoke(ctx)
        except (GridError, ResultsError, ExecutorError) as error:
            raise click.UsageError(printable(str(error))) from None
        except (CellError, WorkerError) as error:
            raise click.ClickException(printable(str(error))) from None
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Interrupt) else signal.SIGINT
            say(f"Error: {INTERRUPTED}", err=True)
            raise click.exceptions.Exit(SIGNALED + number) from None
