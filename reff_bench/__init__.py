"""The ReFF benchmark: a grid of methods, trained, evaluated and tabulated.

The names in `__all__` are the public interface: what a method, a network, a dataset or
a metric of one's own stands on, the parts of ReFF for a training loop of one's own, and
`read_runs` for the results. Importing this package stays light: a name is resolved when
it is first used.
"""

import importlib
from typing import TYPE_CHECKING

from texturedmnist import __version__

if TYPE_CHECKING:
    from reff_bench.catalog.backbones import BackboneSpec
    from reff_bench.catalog.datasets import DatasetSpec
    from reff_bench.catalog.metrics import MetricSpec
    from reff_bench.catalog.option import Options
    from reff_bench.explain import grad_cam
    from reff_bench.identity.tree import Tree, TreePart
    from reff_bench.losses import attention_penalty, difference_penalty, outside_penalty
    from reff_bench.methods.baseline import build_plain
    from reff_bench.methods.method import Method, StepContext, Terms
    from reff_bench.metrics.accuracy import Predictions
    from reff_bench.metrics.focus import FocusScores, focus_scores
    from reff_bench.models.backbone import build_backbone
    from reff_bench.models.output import Backbone, ModelError, Output
    from reff_bench.results.frame import read_runs
    from reff_bench.results.json_file import ResultsError

_NAMES_OF = {
    "catalog.backbones": ("BackboneSpec",),
    "catalog.datasets": ("DatasetSpec",),
    "catalog.metrics": ("MetricSpec",),
    "catalog.option": ("Options",),
    "explain": ("grad_cam",),
    "identity.tree": ("Tree", "TreePart"),
    "losses": ("attention_penalty", "difference_penalty", "outside_penalty"),
    "methods.baseline": ("build_plain",),
    "methods.method": ("Method", "StepContext", "Terms"),
    "metrics.accuracy": ("Predictions",),
    "metrics.focus": ("FocusScores", "focus_scores"),
    "models.backbone": ("build_backbone",),
    "models.output": ("Backbone", "ModelError", "Output"),
    "results.frame": ("read_runs",),
    "results.json_file": ("ResultsError",),
}
_MODULE_OF = {
    name: f"reff_bench.{module}"
    for module, names in _NAMES_OF.items()
    for name in names
}

__all__ = [
    "Backbone",
    "BackboneSpec",
    "DatasetSpec",
    "FocusScores",
    "Method",
    "MetricSpec",
    "ModelError",
    "Options",
    "Output",
    "Predictions",
    "ResultsError",
    "StepContext",
    "Terms",
    "Tree",
    "TreePart",
    "__version__",
    "attention_penalty",
    "build_backbone",
    "build_plain",
    "difference_penalty",
    "focus_scores",
    "grad_cam",
    "outside_penalty",
    "read_runs",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
