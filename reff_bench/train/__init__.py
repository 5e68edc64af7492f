"""One run: pseudo-annotations, the training loop, checkpoints."""

from reff_bench.train.annotate import annotator_path
from reff_bench.train.checkpoint import Checkpoint, check_fits, load_checkpoint
from reff_bench.train.loop import TrainOptions
from reff_bench.train.machine import ComputeContext, find_context, limited
from reff_bench.train.reports import ProgressCallback
from reff_bench.train.run import train_run

__all__ = [
    "Checkpoint",
    "ComputeContext",
    "ProgressCallback",
    "TrainOptions",
    "annotator_path",
    "check_fits",
    "find_context",
    "limited",
    "load_checkpoint",
    "train_run",
]
