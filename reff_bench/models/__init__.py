"""Classifiers that give logits and the feature maps of their stages."""

from reff_bench.models.attention_branch import AttentionBranchNetwork
from reff_bench.models.backbone import build_backbone
from reff_bench.models.errors import ModelError
from reff_bench.models.output import Backbone, Output
from reff_bench.models.resnet import StagedResNet
from reff_bench.models.timm_network import STRIDES, TimmNetwork
from reff_bench.models.weights import fill_model, read_weights

__all__ = [
    "STRIDES",
    "AttentionBranchNetwork",
    "Backbone",
    "ModelError",
    "Output",
    "StagedResNet",
    "TimmNetwork",
    "build_backbone",
    "fill_model",
    "read_weights",
]
