"""What the data and the weights of runs are, read without loading torch."""

from reff_bench.identity.configs import identify_configs, read_tree, tree_root
from reff_bench.identity.errors import DataError
from reff_bench.identity.folder import read_folder
from reff_bench.identity.isic2017 import read_isic2017
from reff_bench.identity.pets import read_pets
from reff_bench.identity.tree import Tree, TreePart

__all__ = [
    "DataError",
    "Tree",
    "TreePart",
    "identify_configs",
    "read_folder",
    "read_isic2017",
    "read_pets",
    "read_tree",
    "tree_root",
]
