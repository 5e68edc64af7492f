"""A dataset in formats that others read: PNG files with a table, or Parquet."""

from texturedmnist.interop.export.base import LAYOUTS, Export
from texturedmnist.interop.export.record import RECORD_NAME, read_record
from texturedmnist.interop.export.run import (
    describe_export,
    estimate_export,
    plan_export,
    run_export,
)

__all__ = [
    "LAYOUTS",
    "RECORD_NAME",
    "Export",
    "describe_export",
    "estimate_export",
    "plan_export",
    "read_record",
    "run_export",
]
