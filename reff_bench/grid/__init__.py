"""A grid of runs: read, checked, expanded to runs."""

from reff_bench.grid.config import (
    RECORD_VERSION,
    SEED_PURPOSES,
    RunConfig,
    check_version,
    config_id,
    derive_seed,
    describe_config,
    read_config,
    run_fields,
)
from reff_bench.grid.errors import GridError
from reff_bench.grid.expand import (
    expand,
    preset_of,
    recipe_fields,
    recipe_of,
    tuned_options,
)
from reff_bench.grid.load import load_grid
from reff_bench.grid.marks import OPTIONS
from reff_bench.grid.model import GRID_NAME, Grid, Select, TableSpec
from reff_bench.grid.sections import check_pivot

__all__ = [
    "GRID_NAME",
    "OPTIONS",
    "RECORD_VERSION",
    "SEED_PURPOSES",
    "Grid",
    "GridError",
    "RunConfig",
    "Select",
    "TableSpec",
    "check_pivot",
    "check_version",
    "config_id",
    "derive_seed",
    "describe_config",
    "expand",
    "load_grid",
    "preset_of",
    "read_config",
    "recipe_fields",
    "recipe_of",
    "run_fields",
    "tuned_options",
]
