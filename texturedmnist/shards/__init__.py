"""The HDF5 format of a shard: write, open, digest."""

from texturedmnist.shards.check import ShardCheck, check_entry, recheck_shard
from texturedmnist.shards.format import (
    COLUMNS,
    COMPRESSIONS,
    ShardHeader,
    ShardRecord,
    ShardSpec,
    combine_digests,
    cut_splits,
    shard_spec,
)
from texturedmnist.shards.open import file_state, open_entry
from texturedmnist.shards.read import (
    count_groups,
    find_other_groups,
    join_columns,
    map_pixels,
    map_places,
    read_columns,
    read_entry,
    read_header,
    read_label,
    read_names,
)
from texturedmnist.shards.write import write_shard

__all__ = [
    "COLUMNS",
    "COMPRESSIONS",
    "ShardCheck",
    "ShardHeader",
    "ShardRecord",
    "ShardSpec",
    "check_entry",
    "combine_digests",
    "count_groups",
    "cut_splits",
    "file_state",
    "find_other_groups",
    "join_columns",
    "map_pixels",
    "map_places",
    "open_entry",
    "read_columns",
    "read_entry",
    "read_header",
    "read_label",
    "read_names",
    "recheck_shard",
    "shard_spec",
    "write_shard",
]
