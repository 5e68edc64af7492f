"""Every option with its mark: what the paper says, what is assumed, what is ours.

Marks: `paper` said in the supplement; `assumed` our choice where the paper's words are
lost; `other` read in another public source; `ours` of a method or net of our own. The
defaults themselves stand in `Cell`, `METHODS` and `expand`; a test holds them together.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table of hyper-parameters (Tab. 4).

    Attributes:
        group: `data`, `training`, `method` or `annotator`.
        mark: of its default.
        meaning: in words.
        paper: what the paper (or the public source) uses, where it is known.
    """

    group: str
    mark: str
    meaning: str
    paper: str | int | float | None = None


OPTIONS: Mapping[str, Option] = {
    # method.md 2
    "digits": Option("data", "paper", "source of the digits", "mnist"),
    "digit_textures": Option("data", "paper", "textures of the digits", "dtd"),
    "background_textures": Option("data", "paper", "textures of the grounds", "dtd"),
    "train": Option("data", "paper", "training images", 54_000),
    "val": Option("data", "paper", "validation images", 6_000),
    "test": Option("data", "paper", "test images", 10_000),
    "image_size": Option("data", "assumed", "image size in px", 224),
    "digit_size": Option("data", "paper", "digit size in px"),
    "bg": Option("data", "assumed", "background randomness, training"),
    "tex": Option("data", "assumed", "digit-texture randomness, training"),
    "test_bg": Option("data", "assumed", "background randomness, test"),
    "test_tex": Option("data", "assumed", "digit-texture randomness, test"),
    "embedded_instances": Option("data", "ours", "images per embedded class"),
    "dtd_partition": Option("data", "assumed", "DTD partition"),
    "data_seed": Option("data", "assumed", "seed of the images"),
    "task": Option("data", "assumed", "classes to tell apart"),
    # method.md 6 and 8
    "annotation_unit": Option("training", "assumed", "unit of the annotations"),
    "backbone": Option("training", "paper", "net", "resnet50"),
    "weights": Option("training", "paper", "initial weights", "imagenet"),
    "epochs": Option("training", "assumed", "epochs"),
    "batch_size": Option("training", "assumed", "batch size"),
    "optimizer": Option("training", "assumed", "optimizer"),
    "lr": Option("training", "paper", "learning rate (PyTorch's default)", 1e-3),
    "momentum": Option("training", "paper", "momentum of SGD (PyTorch's default)"),
    "weight_decay": Option("training", "assumed", "weight decay"),
    "flips": Option("training", "assumed", "random horizontal flips"),
    "precision": Option("training", "assumed", "arithmetic of the net"),
    "compile": Option("training", "ours", "net compiled by torch.compile"),
    "threads": Option("training", "ours", "threads per run"),
    "loader_workers": Option("training", "ours", "processes that load images"),
    # method.md 3
    "weight": Option("method", "assumed", "weight of the penalty"),
    "warmup": Option("method", "ours", "share of the steps over which it rises"),
    "layers": Option("method", "assumed", "layers of the Grad-CAMs"),
    "target": Option("method", "assumed", "class that is explained"),
    "score": Option("method", "assumed", "score that is explained"),
    "sign": Option("method", "paper", "sign of the evidence kept", "relu"),
    "normalization": Option("method", "assumed", "normalisation of a map"),
    "norm": Option("method", "assumed", "norm over a map"),
    "pooling": Option("method", "assumed", "how a mask is made smaller"),
    "detach_weights": Option("method", "assumed", "no gradient through Eq. 1"),
    "cam_bn": Option("method", "assumed", "BatchNorm in the explained pass"),
    "cam_precision": Option("method", "assumed", "arithmetic of the maps"),
    # method.md 5 and 10
    "map_kernel": Option("method", "other", "kernel of ABN's map head", 3),
    "multiplicative_only": Option("method", "other", "ABN without 1 +"),
    "swap_probability": Option("method", "assumed", "share of swapped images"),
    # method.md 4
    "annotator_base_channels": Option("annotator", "other", "base channels", 64),
    "annotator_downs": Option("annotator", "assumed", "halvings; as many as fit"),
    "annotator_steps": Option("annotator", "assumed", "training steps"),
    "annotator_batch_size": Option("annotator", "assumed", "batch size; 1 up to 50"),
    "annotator_norm": Option("annotator", "assumed", "norm; instance for batches of 1"),
    "annotator_lr": Option("annotator", "other", "learning rate", 2e-4),
    "annotator_l1_weight": Option("annotator", "other", "weight of the L1 term", 100),
    "annotator_threshold": Option("annotator", "assumed", "threshold; soft if none"),
}
