"""A fuzzer at a door: python -m tests.faults.fuzz DOOR --runs 100000.

It needs atheris, which is in no extra: `pip install atheris`. It ends at the first
input that brings a traceback, hangs or fills the memory, and leaves that one in the
working folder.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["reff_bench", "texturedmnist", "yaml"]):
    from tests.faults.doors import DOORS
    from tests.faults.spoil import spoil

MEMORY_MIB = 2_500  # torch and its like take 800
LIMITS = (f"-rss_limit_mb={MEMORY_MIB}", "-timeout=20", "-max_len=100000")


def main() -> None:
    """Fuzz one door."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("door", choices=DOORS)
    parser.add_argument("--runs", type=int, default=100_000)
    args = parser.parse_args()
    door = DOORS[args.door]
    folder = Path(tempfile.mkdtemp())
    door.prepare(folder)
    sound = (folder / door.path).read_bytes()

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        draw = random.Random(seed)
        start = sound if draw.random() < 0.2 else data
        try:
            return spoil(start, Path(door.path).suffix, draw)[:most]
        except Exception:  # it is no JSON or YAML any more
            return bytes(atheris.Mutate(data, most))

    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "sound").write_bytes(sound)
    words = [sys.argv[0], str(corpus), f"-runs={args.runs}", *LIMITS]
    atheris.Setup(words, lambda data: door.take(folder, data), custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
