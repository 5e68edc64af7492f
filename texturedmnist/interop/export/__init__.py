"""A dataset in formats that others read: PNG files with a table, or Parquet."""

from texturedmnist.interop.export.base import LAYOUTS
from texturedmnist.interop.export.run import (
    RECORD_NAME,
    describe_export,
    estimate_export,
    plan_export,
    read_record,
    run_export,
)

__all__ = [
    "LAYOUTS",
    "RECORD_NAME",
    "describe_export",
    "estimate_export",
    "plan_export",
    "read_record",
    "run_export",
]
