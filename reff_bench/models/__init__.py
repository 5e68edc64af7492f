"""Classifiers that give logits and the feature maps of their stages."""

from reff_bench.models.attention_branch import AttentionBranchNetwork
from reff_bench.models.resnet import BACKBONES, Output, StagedResNet, build_backbone
from reff_bench.models.weights import ModelError

__all__ = [
    "BACKBONES",
    "AttentionBranchNetwork",
    "ModelError",
    "Output",
    "StagedResNet",
    "build_backbone",
]
