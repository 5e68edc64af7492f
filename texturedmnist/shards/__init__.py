"""The HDF5 format of a shard: write, open, digest."""

from texturedmnist.shards.format import (
    COLUMNS,
    COMPRESSIONS,
    ShardHeader,
    ShardPlace,
    ShardRecord,
    combine_digests,
)
from texturedmnist.shards.read import (
    find_places,
    map_pixels,
    map_places,
    open_entry,
    open_shard,
    read_columns,
    read_entry,
    read_header,
    read_label,
    read_names,
    recheck_shard,
)
from texturedmnist.shards.write import write_shard

__all__ = [
    "COLUMNS",
    "COMPRESSIONS",
    "ShardHeader",
    "ShardPlace",
    "ShardRecord",
    "combine_digests",
    "find_places",
    "map_pixels",
    "map_places",
    "open_entry",
    "open_shard",
    "read_columns",
    "read_entry",
    "read_header",
    "read_label",
    "read_names",
    "recheck_shard",
    "write_shard",
]
