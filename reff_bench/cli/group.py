"""What every command does with streams, signals and mistakes: `BenchCommands`."""

import os
from typing import Any

from reff_bench.grid import GridError
from reff_bench.results import ResultsError, RunError
from texturedmnist.common.cli import Commands


class BenchCommands(Commands):
    """The commands of `reff-bench`."""

    misuse = (GridError, ResultsError)
    failures = (RunError,)
    interrupted = (
        "Interrupted: finished runs are kept, the others continue from their last "
        "checkpoint. Run the same command again."
    )

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 (click's own)
        """Run a command; figures are drawn into files whatever a notebook has set."""
        os.environ["MPLBACKEND"] = "agg"
        return super().main(*args, **options)
