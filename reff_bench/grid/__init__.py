"""A grid of runs: read, checked, expanded to cells."""

from reff_bench.grid.cell import (
    RECORD_VERSION,
    SEED_PURPOSES,
    Cell,
    cell_id,
    check_version,
    derive_seed,
    describe_cell,
    read_cell,
    run_fields,
)
from reff_bench.grid.errors import GridError
from reff_bench.grid.expand import cell_recipe, expand, recipe_fields, tuned_options
from reff_bench.grid.load import load_grid
from reff_bench.grid.marks import OPTIONS
from reff_bench.grid.model import GRID_NAME, Grid, Select, TableSpec
from reff_bench.grid.sections import check_pivot

__all__ = [
    "GRID_NAME",
    "OPTIONS",
    "RECORD_VERSION",
    "SEED_PURPOSES",
    "Cell",
    "Grid",
    "GridError",
    "Select",
    "TableSpec",
    "cell_id",
    "cell_recipe",
    "check_pivot",
    "check_version",
    "derive_seed",
    "describe_cell",
    "expand",
    "load_grid",
    "read_cell",
    "recipe_fields",
    "run_fields",
    "tuned_options",
]
