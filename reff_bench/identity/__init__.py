"""What the data and the weights of runs are, read without loading torch."""

from reff_bench.identity.tree import DataError, Tree, TreePart

__all__ = ["DataError", "Tree", "TreePart"]
