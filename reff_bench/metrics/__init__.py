"""Accuracies by group, and how well explanations cover what is relevant; pure."""

from reff_bench.metrics.accuracy import Predictions

__all__ = ["Predictions"]
