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
)
from reff_bench.grid.errors import GridError
from reff_bench.grid.expand import cell_recipe, expand, recipe_fields, tuned_options
from reff_bench.grid.fields import METHOD_OPTIONS
from reff_bench.grid.load import load_grid
from reff_bench.grid.marks import OPTIONS, Option
from reff_bench.grid.model import GRID_NAME, Grid, Select, TableSpec
from reff_bench.grid.names import (
    BACKBONES,
    DATASETS,
    METHODS,
    STAGES,
    TASKS,
    TIMM,
    MethodSpec,
    method_spec,
)
from reff_bench.grid.sections import check_pivot

__all__ = [
    "BACKBONES",
    "DATASETS",
    "GRID_NAME",
    "METHODS",
    "METHOD_OPTIONS",
    "OPTIONS",
    "RECORD_VERSION",
    "SEED_PURPOSES",
    "STAGES",
    "TASKS",
    "TIMM",
    "Cell",
    "Grid",
    "GridError",
    "MethodSpec",
    "Option",
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
    "method_spec",
    "read_cell",
    "recipe_fields",
    "tuned_options",
]
