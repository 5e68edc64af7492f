"""Data that lie elsewhere than when the runs were planned: `find_data`."""

from collections.abc import Iterable
from pathlib import Path

from reff_bench.grid.config import RunConfig
from reff_bench.grid.errors import GridError
from reff_bench.identity.configs import identify_configs


def find_data(
    configs: Iterable[RunConfig], data_root: Path | None
) -> tuple[RunConfig, ...]:
    """Return the runs with the paths of their data under another data root.

    Args:
        configs: as they were planned; rendered data have no path and need none.
        data_root: as `--data-root` gives it; None leaves all as it is.

    Raises:
        GridError: the data aren't there, or are others.
    """
    if data_root is None:
        return tuple(configs)
    found: dict[tuple[object, ...], str] = {}
    moved = []
    for config in configs:
        if config.root is not None:
            key = (config.dataset, config.root, config.data_identity)
            if key not in found:
                found[key] = _find(config, data_root)
            config = config.model_copy(update={"root": found[key]})
        moved.append(config)
    return tuple(moved)


def _find(config: RunConfig, data_root: Path) -> str:
    """Return where one run's data are now."""
    name = Path(str(config.root)).name
    # A stored Textured MNIST, and photographs in a folder of the user's own naming;
    # None: photographs under the official name.
    places = [str(data_root / name), str(data_root)]
    tried = [None, *places] if config.dataset != "textured_mnist" else places
    reasons = []
    for root in tried:
        bare = config.model_copy(update={"root": root, "weights": None})
        try:
            (there,) = identify_configs([bare], data_root=data_root, cache_dir=None)
        except GridError as error:
            reasons.append(str(error))
            continue
        if there.data_identity == config.data_identity:
            return str(there.root)
        reasons.append(f"{there.root} holds other data than the runs were planned with")
    raise GridError(
        f"--data-root {data_root}: the data of these runs, once in {config.root}, "
        f"aren't there: {reasons[0]}"
    )
