"""The names that a grid may use: methods with their options, tables, values.

The rooms that hold the code behind these names load torch; a grid is checked without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STAGES = ("stage1", "stage2", "stage3", "stage4")
SELECTABLE = ("val_accuracy", "val_shifted_accuracy", "val_balanced_accuracy")
TABLES = ("tab1", "tab2", "tab3", "tab4")
# Of a record, besides the fields of its cell: what a table can show.
VALUES = (
    "test_accuracy",
    "test_balanced_accuracy",
    "test_group_mean_accuracy",
    "test_worst_group_accuracy",
    "worst_group_accuracy",
    *SELECTABLE,
    *("aligned_accuracy", "random_accuracy", "background_gap", "flip_rate"),
    *("epg", *(f"epg_{stage}_label" for stage in STAGES), "epg_stage4_predicted"),
    "epg_input_x_gradient_label",
    *("epg_chance", "pointing_game", "iou_half_max", "iou_top_area", "zero_map_share"),
    *("off_mask_central_share", "off_mask_central_share_chance"),
    "annotator_iou",
    "annotator_dice",
    "train_seconds",
    "images_per_second",
    "peak_memory_bytes",
)


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """What a grid has to know of a method.

    Attributes:
        title: its name in tables.
        mark: `paper`, `other` or `ours`: where the method comes from.
        uses_masks: False for a method that doesn't depend on annotations.
        options: the method options that it uses, with its defaults; every other
            method option of its cells is None.
        compiles: whether `compile` has a meaning for it.
    """

    title: str
    mark: str
    uses_masks: bool
    options: Mapping[str, Any]
    compiles: bool = True


# method.md 3 [assumed]; chosen in the pilot (docs/pilot.md), as are all weights below.
_CAM: Mapping[str, Any] = {
    "weight": 1.0,
    "warmup": 0.5,
    "layers": STAGES,
    "target": "label",
    "score": "logit",
    "sign": "relu",
    "normalization": "max",
    "pooling": "max",
    "detach_weights": False,
    "cam_bn": "train",
    "cam_precision": "float32",
}
_REFF: Mapping[str, Any] = {
    **_CAM,
    **{"normalization": "none", "norm": "rms", "weight": 100.0},
}
_REFF_PLUS: Mapping[str, Any] = {
    **_CAM,
    **{"norm": "rms", "weight": 3.0, "score": "margin", "sign": "abs"},
}
# Compared with a mask in {0, 1}, a map is on the same scale: divided by its maximum.
_DIFFERENCE: Mapping[str, Any] = {**_CAM, "pooling": "area", "weight": 3.0}
_ABN: Mapping[str, Any] = {"map_kernel": 3, "multiplicative_only": False}
_ABN_MAP: Mapping[str, Any] = {
    **_ABN,
    **{"weight": 10.0, "warmup": 0.5, "pooling": "area"},
}

METHODS: Mapping[str, MethodSpec] = {
    "baseline": MethodSpec("Baseline", "paper", False, {}),
    "reff": MethodSpec("ReFF", "paper", True, _REFF),
    "reff_l1": MethodSpec("ReFF (L1)", "paper", True, _DIFFERENCE),
    "reff_l2": MethodSpec("ReFF (L2)", "paper", True, _DIFFERENCE),
    "abn": MethodSpec("ABN", "paper", True, _ABN_MAP),
    "abn_plain": MethodSpec("ABN, no map loss", "other", False, _ABN),
    "reff_plus": MethodSpec("ReFF+", "ours", True, _REFF_PLUS),
    "background_swap": MethodSpec(
        *("Background swap", "other", True, {"swap_probability": 0.5})
    ),
}


def method_spec(name: str) -> MethodSpec:
    """Return a method's row; one of the user's own (`pkg.mod:fn`) may use any option.

    Args:
        name: of `METHODS`, or an import path.
    """
    if ":" not in name:
        return METHODS[name]
    options = {**_CAM, "norm": "rms", **_ABN, "swap_probability": 0.5}
    return MethodSpec(name.rpartition(":")[2], "user", True, options, compiles=False)
