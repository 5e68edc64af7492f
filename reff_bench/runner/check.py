"""Finding networks and weights that can't work before anything runs."""

from collections.abc import Hashable, Sequence

from reff_bench.catalog.backbones import BACKBONES
from reff_bench.catalog.methods import is_own
from reff_bench.grid.config import RunConfig
from reff_bench.grid.errors import GridError

PROVEN = {name for name, spec in BACKBONES.items() if spec.proven}


def check_networks(configs: Sequence[RunConfig], *, download: bool = True) -> None:
    """Take a step by shapes alone with each network of timm, and read all weights.

    Our own ResNets from scratch are known to work, so that a grid of them is planned
    without loading torch.

    Args:
        configs: to run.
        download: read ImageNet's weights, too, which may have to be fetched.

    Raises:
        GridError: a network doesn't exist or can't be trained by a method, or its
            weights can't be had or don't fit.
    """
    known = [config for config in configs if not is_own(config.method)]
    untried = [config for config in known if config.backbone not in PROVEN]
    skipped = (None,) if download else (None, "imagenet")
    weights = {(c.backbone, c.weights): c for c in known if c.weights not in skipped}
    if not untried and not weights:
        return
    # torch is loaded only where it is needed.
    from reff_bench.methods.check import check_trainable
    from reff_bench.methods.method import MethodError
    from reff_bench.methods.registry import find_method
    from reff_bench.models.backbone import build_backbone
    from reff_bench.models.output import ModelError

    try:
        for backbone, name in weights:
            build_backbone(backbone, 10, weights=name)
        steps: dict[Hashable, RunConfig] = {}
        for config in untried:
            method = find_method(config.method)
            place = config.backbone, config.image_size, *_explained(config)
            steps.setdefault((method.build, method.second_order, *place), config)
        for config in steps.values():
            check_trainable(config)
    except (ModelError, MethodError) as error:
        raise GridError(str(error)) from None


def _explained(config: RunConfig) -> tuple[Hashable, ...]:
    """Return the options that decide what is differentiated."""
    return tuple(getattr(config.options, name, None) for name in ("layers", "cam_bn"))
