"""Accuracies by group, and how well explanations cover what is relevant; pure."""

from reff_bench.metrics.accuracy import Accuracies, accuracies
from reff_bench.metrics.focus import FocusScores, focus_scores
from reff_bench.metrics.predictions import Predictions

__all__ = ["Accuracies", "FocusScores", "Predictions", "accuracies", "focus_scores"]
