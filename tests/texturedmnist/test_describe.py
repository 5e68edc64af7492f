import re
from pathlib import Path

from tests.texturedmnist.conftest import NAMES, Planner
from texturedmnist.build import estimate
from texturedmnist.describe import (
    describe_dataset,
    describe_plan,
    describe_ties,
    latex_ties,
)
from texturedmnist.manifest import read_manifest


def test_a_dataset_is_told_in_full(finished: Path) -> None:
    manifest = read_manifest(finished)
    text = describe_dataset(finished, manifest)
    assert text.startswith(f"Textured MNIST in {finished}: 28 px, digits of 28 px; 4 ")
    rows = {line.split()[0]: line.split() for line in text.splitlines()[2:5]}
    for split, entry in manifest.splits.items():
        aligned = sum(entry.groups[str(group)] for group in range(1, 20, 2))
        assert rows[split][1] == str(entry.count)
        assert rows[split][4:] == [f"{aligned / entry.count:.3f}", entry.digest]
    assert rows["train"][2:4] == ["0.2", "0.5"]
    assert rows["test"][2:4] == ["1", "0.5"]
    assert "digits embedded, digit_textures folder" in text
    assert text.endswith(f"identity {manifest.identity}")


def test_a_plan_is_told_in_counts_bytes_and_free_disk(
    plan: Planner, tmp_path: Path
) -> None:
    build = plan(tmp_path / "tm")
    text = describe_plan(build, estimate(build), 2)
    assert "would make train 60, val 20, test 20 at 28 px in" in text
    assert re.search(r"shards: 4, 4\.\d+ MB, of which 4\.\d+ MB are missing", text)
    assert "free on that disk: " in text
    assert "sources: 1797 digits, 30 digit textures, 33 backgrounds" in text
    assert "on 2 cores" in text
    assert not (tmp_path / "tm").exists()


def test_the_ties_are_told_in_text_and_latex(finished: Path) -> None:
    manifest = read_manifest(finished)
    text = describe_ties(manifest).splitlines()
    assert len(text) == 11
    assert text[1].split() == ["0", NAMES[0], f"{NAMES[10]},", NAMES[20]]
    assert text[10].split() == ["9", NAMES[9], NAMES[19]]
    latex = latex_ties(manifest)
    assert "\n0 & class\\_00 & class\\_10, class\\_20 \\\\\n" in latex
    assert latex.startswith("\\begin{tabular}{lll}\n\\toprule\n")
    assert latex.endswith("\\bottomrule\n\\end{tabular}")
