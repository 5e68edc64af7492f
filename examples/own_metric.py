"""A metric of one's own, named in a grid as `metrics: ["own_metric:brier"]`.

It is computed on the test split, once for each run, and stands in records and tables.
"""

import torch

from reff_bench import MetricSpec, Predictions


def _brier(predictions: Predictions) -> torch.Tensor:
    """Return the squared distance of probabilities and truth, (n,) in [0, 2]."""
    probabilities = predictions.logits.softmax(1)
    truth = torch.eye(len(predictions.class_names))[predictions.labels]
    return (probabilities - truth).square().sum(1)


brier = MetricSpec("Brier score", unit="", better="lower", compute=_brier)
