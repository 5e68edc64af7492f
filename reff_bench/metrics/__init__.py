"""Accuracies by group, and how well explanations cover what is relevant; pure."""

from reff_bench.metrics.accuracy import Accuracies, accuracies
from reff_bench.metrics.focus import FocusScores, focus_scores

__all__ = ["Accuracies", "FocusScores", "accuracies", "focus_scores"]
