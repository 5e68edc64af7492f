"""A dataset in formats that others read: PNG files with a table, or Parquet."""

from texturedmnist.interop.export.estimate import (
    ExportEstimate,
    describe_export,
    estimate_export,
)
from texturedmnist.interop.export.layout import LAYOUTS
from texturedmnist.interop.export.plan import Export, plan_export
from texturedmnist.interop.export.record import (
    RECORD_NAME,
    ExportRecord,
    read_record,
)
from texturedmnist.interop.export.run import run_export

__all__ = [
    "LAYOUTS",
    "RECORD_NAME",
    "Export",
    "ExportEstimate",
    "ExportRecord",
    "describe_export",
    "estimate_export",
    "plan_export",
    "read_record",
    "run_export",
]
