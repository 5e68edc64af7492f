"""One self-contained page on a folder of runs."""

from reff_bench.report.page.write import PAGE_NAME, write_report

__all__ = ["PAGE_NAME", "write_report"]
