"""From records to the paper's figures, and further ones."""

from reff_bench.report.figures.write import Figures, write_figures

__all__ = ["Figures", "write_figures"]
