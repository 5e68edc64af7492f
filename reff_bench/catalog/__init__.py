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
from reff_bench.catalog.methods import (
    METHOD_OPTIONS,
    METHODS,
    MethodSpec,
    check_method,
    is_own,
    known_method,
    load_method,
    method_spec,
    method_title,
)
from reff_bench.catalog.metrics import (
    METRICS,
    SELECTABLE,
    MetricSpec,
    check_metric,
    find_metric,
    known_metric,
)
from reff_bench.catalog.options import (
    STAGES,
    AnyOptions,
    Option,
    Options,
    UnknownOptions,
    option_of,
    plain,
)

__all__ = [
    "BACKBONES",
    "DATASETS",
    "METHODS",
    "METHOD_OPTIONS",
    "METRICS",
    "SELECTABLE",
    "STAGES",
    "TIMM",
    "AnyOptions",
    "BackboneSpec",
    "CatalogError",
    "DatasetSpec",
    "MethodSpec",
    "MetricSpec",
    "Option",
    "Options",
    "UnknownOptions",
    "check_backbone",
    "check_dataset",
    "check_method",
    "check_metric",
    "dataset_title",
    "find_backbone",
    "find_dataset",
    "find_metric",
    "import_object",
    "is_own",
    "known_method",
    "known_metric",
    "load",
    "load_method",
    "method_spec",
    "method_title",
    "option_of",
    "plain",
]
