"""What a grid can name: built in, installed, or the user's own."""

from reff_bench.catalog.backbones import (
    BACKBONES,
    TIMM,
    BackboneSpec,
    check_backbone,
    find_backbone,
)
from reff_bench.catalog.datasets import (
    DATASETS,
    DatasetSpec,
    check_dataset,
    dataset_title,
    find_dataset,
)
from reff_bench.catalog.find import CatalogError, import_object, load

__all__ = [
    "BACKBONES",
    "DATASETS",
    "TIMM",
    "BackboneSpec",
    "CatalogError",
    "DatasetSpec",
    "check_backbone",
    "check_dataset",
    "dataset_title",
    "find_backbone",
    "find_dataset",
    "import_object",
    "load",
]
