"""The names that a grid may use: methods with their options, tables, values.

The rooms that hold the code behind these names load torch; a grid is checked without.
"""

from reff_bench.catalog import STAGES

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
