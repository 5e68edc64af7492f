"""What runs leave behind: written by each, read once for all that is shown of them."""

from reff_bench.results.collected import (
    Collected,
    collect_runs,
    read_records,
    restore,
)
from reff_bench.results.folder import RunFolder, RunRecord, find_runs, open_runs
from reff_bench.results.json_file import Fields, ResultsError, read_json
from reff_bench.results.panels import PANELS_NAME, Panels, read_panels, write_panels
from reff_bench.results.plan import PLAN_NAME, Plan, read_plan, write_plan
from reff_bench.results.progress import RunError, RunProgress
from reff_bench.results.run import (
    CHECKPOINT_NAME,
    CONFIG_NAME,
    ERROR_NAME,
    EVALUATION_NAME,
    RECORD_FIELDS,
    RECORD_NAME,
    STATUSES,
    RunFiles,
    is_run,
    make_record,
    read_record,
    read_run,
    run_folder,
    status_of,
    write_record,
)

__all__ = [
    "CHECKPOINT_NAME",
    "CONFIG_NAME",
    "ERROR_NAME",
    "EVALUATION_NAME",
    "PANELS_NAME",
    "PLAN_NAME",
    "RECORD_FIELDS",
    "RECORD_NAME",
    "STATUSES",
    "Collected",
    "Fields",
    "Panels",
    "Plan",
    "ResultsError",
    "RunError",
    "RunFiles",
    "RunFolder",
    "RunProgress",
    "RunRecord",
    "collect_runs",
    "find_runs",
    "is_run",
    "make_record",
    "open_runs",
    "read_json",
    "read_panels",
    "read_plan",
    "read_record",
    "read_records",
    "read_run",
    "restore",
    "run_folder",
    "status_of",
    "write_panels",
    "write_plan",
    "write_record",
]
