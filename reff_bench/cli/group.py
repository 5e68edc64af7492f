"""The group of all commands: what each does with mistakes, and what `--help` lists."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import click

from reff_bench import __version__
from texturedmnist.common.cli import Commands, Errors


class BenchCommands(Commands):
    """The commands of `reff-bench`."""

    module = "reff_bench.cli.commands"
    interrupted = (
        "Interrupted: finished runs are kept, the others continue from their last "
        "checkpoint. Run the same command again."
    )
    summaries: ClassVar[Mapping[str, str]] = {
        "claims": "Say of each claim of the paper whether it holds here, and why.",
        "collect": "Write the records of finished runs to one file: no "
        "weights, some kB a run.",
        "evaluate": "Compute metrics again from weights, for finished runs or "
        "one of your own.",
        "figures": "Draw the figures of a folder of runs, finished or not, as "
        "PDF and PNG.",
        "list": "Show what a grid can name: methods, backbones, datasets or metrics.",
        "report": "Write one HTML page on a folder of runs, finished or not: "
        "OUT/report.html.",
        "retry": "Try the failed runs of a folder again, and do what is left.",
        "run": "Train and evaluate every run of a grid, or finish one that is "
        "incomplete.",
        "status": "Say what is done, failed, incomplete, pending; exit code 1 "
        "if a run failed.",
        "table": "Write the grid's tables again, from the records; needs "
        "neither torch nor data.",
    }

    def misuse(self) -> Errors:
        """Return the exceptions of wrong use."""
        # `--help` needs none of these.
        from reff_bench.grid.config import GridError
        from reff_bench.results.json_file import ResultsError

        return (*super().misuse(), GridError, ResultsError)

    def failures(self) -> Errors:
        """Return the exceptions of failed work."""
        from reff_bench.results.run import RunError

        return (*super().failures(), RunError)

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 (click's own)
        """Run a command; figures are drawn into files whatever a notebook has set."""
        os.environ["MPLBACKEND"] = "agg"
        return super().main(*args, **options)


@click.group(
    cls=BenchCommands, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="reff-bench")
def main() -> None:
    """Train a grid of methods on Textured MNIST, then write the paper's tables.

    \b
    reff-bench run grids/quick.yaml
    reff-bench status runs/quick
    reff-bench table runs/quick
    reff-bench report runs/quick
    reff-bench claims runs/quick
    reff-bench figures runs/quick
    """  # noqa: D301 (click's mark of lines that stay lines)
