"""Every option with its mark: what the paper says, what is assumed, what is ours.

Marks: `paper` said in the supplement; `assumed` our choice where the paper's words are
lost; `other` read in another public source; `ours` of a method or network of our own.
The defaults themselves stand in `RunConfig`, `METHODS` and `expand`; a test holds them
together.
"""

from collections.abc import Mapping

from reff_bench.catalog.methods import METHOD_OPTIONS
from reff_bench.catalog.option import Option, option_of

OPTIONS: Mapping[str, Option] = {
    # method.md 2
    "digits": Option("data", "paper", "source of the digits", "mnist"),
    "digit_textures": Option("data", "paper", "textures of the digits", "dtd"),
    "background_textures": Option(
        "data", "paper", "textures of the backgrounds", "dtd"
    ),
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
    "backbone": Option("training", "paper", "network", "resnet50"),
    "weights": Option("training", "paper", "initial weights", "imagenet"),
    "epochs": Option("training", "assumed", "epochs"),
    "batch_size": Option("training", "assumed", "batch size"),
    "optimizer": Option("training", "assumed", "optimizer"),
    "lr": Option("training", "paper", "learning rate (PyTorch's default)", 1e-3),
    "momentum": Option("training", "paper", "momentum of SGD (PyTorch's default)"),
    "weight_decay": Option("training", "assumed", "weight decay"),
    "flips": Option("training", "assumed", "random horizontal flips"),
    "precision": Option("training", "assumed", "arithmetic of the network"),
    "compile": Option("training", "ours", "network compiled by torch.compile"),
    "threads": Option("training", "ours", "threads per run"),
    "loader_workers": Option("training", "ours", "processes that load images"),
    **{name: option_of(field, name) for name, field in METHOD_OPTIONS.items()},
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
