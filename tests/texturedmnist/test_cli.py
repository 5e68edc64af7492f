import json
import re
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.texturedmnist.conftest import NAMES, Runner, Trust, refused
from tests.texturedmnist.tree import write_mnist
from texturedmnist import __version__
from texturedmnist.manifest import MANIFEST_NAME, read_manifest

SMALL = ("--train=40", "--val=10", "--test=10", "--image-size=28", "--jobs=1")
RANDOMNESS = ("--bg=0.2", "--tex=0.5")


@pytest.fixture
def generate(run: Runner, place: Path) -> Runner:
    """Run `generate` with small splits and textures made by code."""
    textures = f"--textures={place / 'textures'}"
    shared = ("--digits=embedded", textures, f"--cache-dir={place / 'cache'}")
    return partial(run, "generate", *shared, *SMALL)


def test_parts_are_made_one_by_one(generate: Runner) -> None:
    options = (*RANDOMNESS, "--out=tm", "--shard-size=10")
    part = generate(*options, "--part=2/2")
    assert "part 2/2 of tm: 3 of 6 files are there; when all parts are" in part.stdout
    assert not Path("tm", MANIFEST_NAME).exists()
    assert "look at tm/preview.png" in generate(*options).stdout
    refused(generate(*options, "--part=half"), "--part half: give i/n with 1 <= i")
    refused(generate(*options, "--address=a:1"), "--address is a Ray cluster's: add")


def test_every_command_has_help_and_there_is_a_version(run: Runner) -> None:
    shown = run("--help").output
    for command in (
        *("generate", "download", "verify", "info", "preview", "sources", "card"),
        *("export", "audit"),
    ):
        assert f"\n  {command} " in shown
        assert run(command, "-h").output.startswith(f"Usage: main {command} [OPTIONS]")
    assert __version__ in run("--version").output


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--tex=0.5"], "bg is missing"),
        ([*RANDOMNESS, "--test-bg=nan"], "test_bg = nan is not allowed: Input should"),
        ([*RANDOMNESS, "--test-tex=half"], "'half' is not a valid float"),
        ([*RANDOMNESS, "--digit-size=300"], "digit_size 300 is larger than image_size"),
        ([*RANDOMNESS, "--jobs=0"], "0 is not in the range x>=1"),
        ([*RANDOMNESS, "--shard-size=0"], "0 is not in the range x>=1"),
        ([*RANDOMNESS, "--compression=lzma"], "'lzma' is not one of 'none', 'gzip'"),
        ([*RANDOMNESS, "--textures=/no"], "can't open the texture folder /no: "),
        (["--recipe=gone.yaml"], "can't read the recipe gone.yaml: No such file or"),
        ([*RANDOMNESS, "--out=recipe.yaml"], "recipe.yaml is a file; give a folder to"),
        ([*RANDOMNESS, "--out=."], "aren't a Textured MNIST's: lots.yaml, recipe"),
        (["--recipe=recipe.yaml"], "ties name an unknown background class 'furry'"),
    ],
)
def test_wrong_use_is_refused_and_nothing_is_made(
    generate: Runner, tmp_path: Path, options: list[str], text: str
) -> None:
    backgrounds = [*NAMES[10:19], "furry"]
    assignment = {"digit_textures": NAMES[:10], "background_textures": backgrounds}
    fields = {"bg": 0.2, "tex": 0.5, "ties": assignment}
    (tmp_path / "recipe.yaml").write_text(json.dumps(fields))
    (tmp_path / "lots.yaml").write_text("bg: lots")
    refused(generate(*options), text)
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml", "lots.yaml"}


def test_a_flag_beats_the_recipe_file(generate: Runner, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("bg: 0.3\ntex: 0.4\nseed: 7\ntrain: 99\nval_shifted: true\n")
    result = generate("--recipe", path, "--bg=0.6", "--out=tm")
    assert result.exit_code == 0, result.output
    recipe = read_manifest(tmp_path / "tm").recipe
    chosen = {name: recipe[name] for name in ("bg", "tex", "seed", "train")}
    assert chosen == {"bg": 0.6, "tex": 0.4, "seed": 7, "train": 40}
    assert recipe["val_shifted"] is True


def test_a_dry_run_writes_nothing(generate: Runner, tmp_path: Path) -> None:
    told = generate(*RANDOMNESS, "--dry-run").stdout
    assert "would make train 40, val 10, test 10 at 28 px in textured_mnist_bg" in told
    assert re.search(r"shards: 3, 3\.\d+ MB, of which 3\.\d+ MB are missing", told)
    assert "sources: 1797 digits, 30 digit textures, 33 backgrounds" in told
    for text in ("free on that disk: ", "s of rendering with --jobs 1", "identity: "):
        assert text in told
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_named_by_randomness(generate: Runner, tmp_path: Path) -> None:
    result = generate("--bg=0.25", "--tex=1")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "textured_mnist_bg0.25_tex1" / MANIFEST_NAME).is_file()
    assert result.stdout.startswith("Textured MNIST in textured_mnist_bg0.25_tex1: ")
    lines = result.stderr.splitlines()
    assert all(line.startswith("generate: ") for line in lines)
    assert lines[-1].startswith("generate: 60 of 60 samples, ")


def test_a_finer_flag_beats_embedded(run: Runner, place: Path, tmp_path: Path) -> None:
    words = ("generate", *RANDOMNESS, *SMALL, "--embedded")
    textures = f"--textures={place / 'textures'}"
    result = run(*words, textures, f"--cache-dir={place / 'cache'}", "--out=both")
    assert result.exit_code == 0, result.output
    recipe = read_manifest(tmp_path / "both").recipe
    assert recipe["digits"] == "embedded"
    assert recipe["digit_textures"] == recipe["background_textures"] == "folder"
    result = run(*words, "--digits=mnist", "--data-root=nowhere")
    refused(result, "MNIST is not in nowhere/MNIST/raw")


def test_absent_sources_are_named_with_ways_out(run: Runner, tmp_path: Path) -> None:
    ways = ("--data-root DIR", "$TEXTUREDMNIST_DATA", "--download", "--embedded")
    text = "MNIST is not in data/MNIST/raw: missing train-images-idx3-ubyte"
    refused(run("generate", *RANDOMNESS), text, *ways)
    assert list(tmp_path.iterdir()) == []


def test_info_tells_the_dataset_and_its_ties(run: Runner, finished: Path) -> None:
    assert read_manifest(finished).identity in run("info", finished).stdout
    old, new = (run("info", finished, flag) for flag in ("--ties", "--assignment"))
    assert (old.exit_code, old.stdout) == (0, new.stdout)
    assert new.stdout.startswith("digit  digit texture")
    assert old.stderr == "warning: --ties is now called --assignment\n"
    assert new.stderr == ""
    latex = run("info", finished, "--ties", "--latex").stdout
    assert latex.startswith("\\begin{tabular}")


def test_a_preview_goes_where_told(run: Runner, dataset: Path, tmp_path: Path) -> None:
    result = run("preview", dataset, "--out=sheet.png")
    assert (result.exit_code, result.stdout) == (0, "wrote sheet.png\n")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
    run("preview", dataset, "--out=new/sheet.png")
    written = (tmp_path / "sheet.png").read_bytes()
    assert (tmp_path / "new/sheet.png").read_bytes() == written
    result = run("preview", dataset, "--out=sheet.png/sheet.png")
    refused(result, "can't write sheet.png/sheet.png: File exists", code=1)
    # In the folder it is covered by the manifest.
    (dataset / "preview.png").write_text("another")
    assert run("preview", dataset).stdout == f"wrote {dataset / 'preview.png'}\n"
    assert run("verify", dataset, "--jobs=1").exit_code == 0


def test_a_folder_of_before_gets_its_cards(run: Runner, dataset: Path) -> None:
    names = ("README.md", "croissant.json")
    before = [(dataset / name).read_bytes() for name in names]
    for name in names:
        (dataset / name).unlink()
    result = run("card", dataset)
    assert result.stdout == "".join(f"wrote {dataset / name}\n" for name in names)
    assert [(dataset / name).read_bytes() for name in names] == before


def test_verify_says_what_is_wrong_and_fails(run: Runner, dataset: Path) -> None:
    result = run("verify", dataset, "--quick")
    assert result.exit_code == 0
    first, _, files, last = result.stdout.splitlines()
    assert first == "checked manifest.json: its own digest, identity, names and counts"
    assert files == (
        "checked samples.csv, preview.png, README.md, croissant.json: every byte"
    )
    assert last == f"{dataset}: files and headers fit"
    result = run("verify", dataset, "--jobs=1")
    assert "checked 4 shards: every byte\n" in result.stdout
    assert result.stdout.endswith(f"{dataset}: every byte is as it was written\n")
    assert "deprecated" not in result.stderr
    result = run("verify", dataset, "--deep", "--jobs=1")
    assert result.exit_code == 0
    assert "--deep is deprecated: verify reads every byte without it" in result.stderr
    refused(run("verify", dataset, "--quick", "--deep"), "--quick goes with neither")
    (dataset / "samples.csv").unlink()
    result = run("verify", dataset, "--jobs=1")
    refused(result, "samples.csv is missing", f"1 problem in {dataset}", code=1)
    (dataset / "val-00000-of-00001.h5").unlink()
    result = run("verify", dataset, "--jobs=1")
    refused(result, f"2 problems in {dataset}", code=1)


@pytest.mark.parametrize("command", ["verify", "info", "preview", "card", "audit"])
def test_no_dataset_is_wrong_use(run: Runner, tmp_path: Path, command: str) -> None:
    refused(run(command, tmp_path / "absent"), "no dataset folder", "make one with")
    refused(run(command, tmp_path), "has no manifest.json")
    (tmp_path / MANIFEST_NAME).write_text("garbage")
    refused(run(command, tmp_path), "is not valid JSON")


def test_sources_are_listed_with_place_and_license(run: Runner) -> None:
    result = run("sources", "--data-root=somewhere")
    assert result.exit_code == 0
    assert "mnist: digits: 70,000" in result.stdout
    assert "  found:   not in somewhere/MNIST/raw\n" in result.stdout
    assert result.stdout.count("  license: ") == 5


def test_what_is_there_is_kept(run: Runner, tmp_path: Path, trust: Trust) -> None:
    md5 = write_mnist(tmp_path / "data")
    refused(run("download", "imagenet"), "'imagenet' is not one of 'mnist', 'dtd'")
    refused(run("download", "mnist"), "is not MNIST's: its md5 is", "delete it and")
    trust(md5)
    result = run("download", "mnist")
    assert (result.exit_code, result.stdout) == (0, "mnist is in data\n")


def test_verify_repairs_a_broken_shard(run: Runner, dataset: Path, place: Path) -> None:
    shard = dataset / "val-00000-of-00001.h5"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    refused(run("verify", dataset, "--repair", "--jobs=1"), "say it with --textures")
    sources = f"--textures={place / 'textures'}", f"--cache-dir={place / 'cache'}"
    result = run("verify", dataset, "--repair", *sources, "--jobs=1")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"made {shard} again\n")
    assert shard.read_bytes() == whole
    result = run("verify", dataset, "--repair", *sources, "--jobs=1")
    assert result.stdout.startswith("no shard is broken\n")


@pytest.mark.parametrize("given", [".", ".."])
def test_an_export_of_the_folder_one_is_in_lies_beside_it(
    run: Runner, dataset: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (dataset / ".sub").mkdir()
    monkeypatch.chdir(dataset if given == "." else dataset / ".sub")
    result = run("export", given, "--layout=folder", "--jobs=1")
    assert result.exit_code == 0
    assert (dataset.parent / "tm_folder" / "export.json").is_file()
