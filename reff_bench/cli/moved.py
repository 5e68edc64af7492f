"""Data that lie elsewhere than when the runs were planned: `find_data`."""

from collections.abc import Iterable
from pathlib import Path

from reff_bench.grid import Cell, GridError
from reff_bench.identity import identify_cells


def find_data(cells: Iterable[Cell], data_root: Path | None) -> tuple[Cell, ...]:
    """Return the cells with the paths of their data under another data root.

    Args:
        cells: as they were planned; rendered data have no path and need none.
        data_root: as `--data-root` gives it; None leaves all as it is.

    Raises:
        GridError: the data aren't there, or are others.
    """
    if data_root is None:
        return tuple(cells)
    found: dict[tuple[object, ...], str] = {}
    moved = []
    for cell in cells:
        if cell.root is not None:
            key = (cell.dataset, cell.root, cell.data_identity)
            if key not in found:
                found[key] = _find(cell, data_root)
            cell = cell.model_copy(update={"root": found[key]})
        moved.append(cell)
    return tuple(moved)


def _find(cell: Cell, data_root: Path) -> str:
    """Return where one cell's data are now."""
    name = Path(str(cell.root)).name
    # A stored Textured MNIST, and photographs in a folder of the user's own naming;
    # None: photographs under the official name.
    places = [str(data_root / name), str(data_root)]
    tried = [None, *places] if cell.dataset != "textured_mnist" else places
    reasons = []
    for root in tried:
        bare = cell.model_copy(update={"root": root, "weights": None})
        try:
            (there,) = identify_cells([bare], data_root=data_root, cache_dir=None)
        except GridError as error:
            reasons.append(str(error))
            continue
        if there.data_identity == cell.data_identity:
            return str(there.root)
        reasons.append(f"{there.root} holds other data than the runs were planned with")
    raise GridError(
        f"--data-root {data_root}: the data of these runs, once in {cell.root}, aren't "
        f"there: {reasons[0]}"
    )
