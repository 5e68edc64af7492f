"""One checkpoint, ours or the user's: what it scores, and its maps for the figures."""

from reff_bench.evaluate.checkpoint import evaluate_checkpoint, evaluate_run
from reff_bench.evaluate.model import evaluate_model, predict

__all__ = ["evaluate_checkpoint", "evaluate_model", "evaluate_run", "predict"]
