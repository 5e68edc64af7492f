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
    from reff_bench.catalog import BackboneSpec, DatasetSpec, MetricSpec, Options
    from reff_bench.explain import grad_cam
    from reff_bench.identity import Tree, TreePart
    from reff_bench.losses import (
        attention_penalty,
        difference_penalty,
        outside_penalty,
    )
    from reff_bench.methods import Method, StepContext, Terms, build_plain
    from reff_bench.metrics import FocusScores, Predictions, focus_scores
    from reff_bench.models import Backbone, ModelError, Output, build_backbone
    from reff_bench.results import ResultsError
    from reff_bench.results.frame import read_runs

_MODULE_OF = {
    "Backbone": "reff_bench.models",
    "BackboneSpec": "reff_bench.catalog",
    "DatasetSpec": "reff_bench.catalog",
    "FocusScores": "reff_bench.metrics",
    "Method": "reff_bench.methods",
    "MetricSpec": "reff_bench.catalog",
    "ModelError": "reff_bench.models",
    "Options": "reff_bench.catalog",
    "Output": "reff_bench.models",
    "TreePart": "reff_bench.identity",
    "Predictions": "reff_bench.metrics",
    "ResultsError": "reff_bench.results",
    "StepContext": "reff_bench.methods",
    "Terms": "reff_bench.methods",
    "Tree": "reff_bench.identity",
    "attention_penalty": "reff_bench.losses",
    "build_backbone": "reff_bench.models",
    "build_plain": "reff_bench.methods",
    "difference_penalty": "reff_bench.losses",
    "focus_scores": "reff_bench.metrics",
    "grad_cam": "reff_bench.explain",
    "outside_penalty": "reff_bench.losses",
    "read_runs": "reff_bench.results.frame",
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
