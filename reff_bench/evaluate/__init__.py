"""One checkpoint, ours or the user's: what it scores, and its maps for the figures."""

from reff_bench.evaluate.checkpoint import evaluate_cell, evaluate_checkpoint
from reff_bench.evaluate.model import evaluate_model, predict

__all__ = ["evaluate_cell", "evaluate_checkpoint", "evaluate_model", "predict"]
