"""One cell: pseudo-annotations, the training loop, checkpoints."""

from reff_bench.train.annotate import annotator_path
from reff_bench.train.cell import train_cell
from reff_bench.train.checkpoint import Checkpoint, check_fits, load_checkpoint
from reff_bench.train.loop import TrainOptions
from reff_bench.train.machine import Machine, find_machine, limited
from reff_bench.train.reports import Report

__all__ = [
    "Checkpoint",
    "Machine",
    "Report",
    "TrainOptions",
    "annotator_path",
    "check_fits",
    "find_machine",
    "limited",
    "load_checkpoint",
    "train_cell",
]
