"""Classifiers that give logits and the feature maps of their stages."""

from reff_bench.models.output import Backbone, ModelError, Output

__all__ = ["Backbone", "ModelError", "Output"]
