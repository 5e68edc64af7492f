import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from PIL import Image

from tests.texturedmnist.conftest import NAMES
from tests.texturedmnist.tree import trust_mnist, write_mnist
from texturedmnist import __version__
from texturedmnist.cli import main
from texturedmnist.manifest import MANIFEST_NAME, read_manifest

SMALL = ("--train=40", "--val=10", "--test=10", "--image-size=28", "--jobs=1")
RANDOMNESS = ("--bg=0.2", "--tex=0.5")
Command = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in an empty folder, on a machine that has nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEXTUREDMNIST_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))

    def run(*words: object) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def generate(run: Command, place: Path) -> Command:
    """Run `generate` with small splits and textures made by code."""
    textures = f"--textures={place / 'textures'}"
    shared = ("--digits=embedded", textures, f"--cache-dir={place / 'cache'}")

    def generate(*words: object) -> Result:
        return run("generate", *shared, *SMALL, *words)

    return generate


def refused(result: Result, *texts: str, code: int = 2) -> None:
    """Check that there is one message that says all this, and the exit code."""
    assert result.exit_code == code, result.output
    assert result.stderr.count("Error: ") == 1
    for text in texts:
        assert text in result.stderr


COMMANDS = (
    *("generate", "download", "verify", "info", "preview", "sources"),
    *("card", "export"),
)


def test_parts_are_made_one_by_one(generate: Command) -> None:
    options = (*RANDOMNESS, "--out=tm", "--shard-size=10")
    part = generate(*options, "--part=2/2")
    assert "part 2/2 of tm: 3 of 6 files are there; when all parts are" in part.stdout
    assert not Path("tm", MANIFEST_NAME).exists()
    assert "look at tm/preview.png" in generate(*options).stdout
    refused(generate(*options, "--part=half"), "--part half: give i/n with 1 <= i")
    refused(generate(*options, "--address=a:1"), "--address is a Ray cluster's: add")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Command, command: str) -> None:
    for option in ("-h", "--help"):
        result = run(command, option)
        assert result.exit_code == 0
        assert result.output.startswith(f"Usage: main {command} [OPTIONS]")


def test_the_command_lists_its_commands_and_its_version(run: Command) -> None:
    assert all(f"\n  {name} " in run("--help").output for name in COMMANDS)
    assert __version__ in run("--version").output


@pytest.mark.parametrize("randomness", ["--bg", "--tex", "--test-bg", "--test-tex"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.5", "= 1.5 is not allowed: Input should be less than or equal to 1"),
        ("-0.1", "= -0.1 is not allowed: Input should be greater than or equal to 0"),
        ("nan", "= nan is not allowed: "),
        ("inf", "= inf is not allowed: "),
        ("half", "'half' is not a valid float"),
    ],
)
def test_a_randomness_out_of_range_is_refused(
    generate: Command, tmp_path: Path, randomness: str, value: str, text: str
) -> None:
    name = randomness if value == "half" else randomness[2:].replace("-", "_")
    refused(generate(*RANDOMNESS, f"{randomness}={value}"), name, text)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_randomness_is_told(generate: Command) -> None:
    refused(generate("--tex=0.5"), "bg is missing")
    refused(generate("--bg=0.5"), "tex is missing")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--digit-size=300", "digit_size 300 is larger than image_size 28"),
        ("--image-size=27", "image_size = 27 is not allowed"),
        ("--jobs=0", "0 is not in the range x>=1"),
        ("--shard-size=0", "0 is not in the range x>=1"),
        ("--compression=lzma", "'lzma' is not one of 'none', 'gzip'"),
        ("--train=-1", "train = -1 is not allowed"),
        ("--textures=/absent", "can't open the texture folder /absent: No such file"),
    ],
)
def test_a_wrong_option_is_refused(generate: Command, option: str, text: str) -> None:
    refused(generate(*RANDOMNESS, option), text)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            "bg: 0.2\ntex: 0.5\ntexture: 1\n",
            "unknown field 'texture'; known: bg, tex, ",
        ),
        ("bg: [0.2\n", "is not valid YAML: "),
        ("- bg\n", "must be a YAML mapping of recipe fields"),
        ("bg: lots\ntex: 0.5\n", "bg = 'lots' is not allowed"),
        ("bg: 0.1\ntex: 0.5\nties: {digit_textures: []}\n", "ties"),
    ],
)
def test_a_wrong_recipe_file_is_named(
    generate: Command, tmp_path: Path, content: str, text: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    refused(generate("--recipe", path), str(path), text)


def test_a_missing_recipe_file_is_told(generate: Command) -> None:
    result = generate("--recipe", "gone.yaml")
    refused(result, "can't read the recipe gone.yaml: No such file or directory")


def test_a_flag_beats_the_recipe_file(generate: Command, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("bg: 0.3\ntex: 0.4\nseed: 7\ntrain: 99\nval_shifted: true\n")
    result = generate("--recipe", path, "--bg=0.6", "--out=tm")
    assert result.exit_code == 0, result.output
    recipe = read_manifest(tmp_path / "tm").recipe
    chosen = {name: recipe[name] for name in ("bg", "tex", "seed", "train")}
    assert chosen == {"bg": 0.6, "tex": 0.4, "seed": 7, "train": 40}
    assert recipe["val_shifted"] is True


def write_ties(path: Path, digits: list[str], backgrounds: list[str]) -> Path:
    ties = {"digit_textures": digits, "background_textures": backgrounds}
    path.write_text(json.dumps({"bg": 0.2, "tex": 0.5, "ties": ties}))
    return path


@pytest.mark.parametrize(
    ("digits", "backgrounds", "text"),
    [
        (NAMES[:10], (*NAMES[10:19], "furry"), "unknown background class 'furry'"),
        (("class_0", *NAMES[1:10]), NAMES[10:20], "'class_0'; did you mean 'class_"),
        (NAMES[:10], NAMES[9:19], "as digit texture and as background: class_09"),
        (NAMES[:9], NAMES[10:20], "need 10 different digit-texture classes"),
        (NAMES[:10], (*NAMES[10:19], NAMES[10]), "assigned twice: class_10"),
    ],
    ids=["unknown", "misspelt", "overlap", "nine", "twice"],
)
def test_wrong_ties_are_refused(
    generate: Command,
    tmp_path: Path,
    digits: tuple[str, ...],
    backgrounds: tuple[str, ...],
    text: str,
) -> None:
    path = write_ties(tmp_path / "ties.yaml", list(digits), list(backgrounds))
    refused(generate("--recipe", path), text)


def test_too_few_classes_are_told(
    generate: Command, place: Path, tmp_path: Path
) -> None:
    for name in NAMES[:15]:
        shutil.copytree(place / "textures" / name, tmp_path / "few" / name)
    result = generate(*RANDOMNESS, f"--textures={tmp_path / 'few'}")
    refused(result, "10 further background classes; found 10 and 5")


def test_a_dry_run_writes_nothing(generate: Command, tmp_path: Path) -> None:
    result = generate(*RANDOMNESS, "--dry-run")
    assert result.exit_code == 0
    assert "would make train 40, val 10, test 10 at 28 px" in result.stdout
    for text in ("shards: 3, ", " MB are missing", "free on that disk: ", "time: "):
        assert text in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_named_after_the_randomness(
    generate: Command, tmp_path: Path
) -> None:
    result = generate("--bg=0.25", "--tex=1")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "textured_mnist_bg0.25_tex1" / MANIFEST_NAME).is_file()
    assert result.stdout.startswith("Textured MNIST in textured_mnist_bg0.25_tex1: ")
    lines = result.stderr.splitlines()
    assert lines
    assert all(line.startswith("generate: ") for line in lines)
    assert lines[-1].startswith("generate: 60 of 60 samples, ")


def test_it_works_on_a_machine_that_has_nothing(run: Command, tmp_path: Path) -> None:
    words = ("generate", *RANDOMNESS, *SMALL, "--embedded", "--embedded-instances=3")
    result = run(*words, "--out=tm")
    assert result.exit_code == 0, result.output
    recipe = read_manifest(tmp_path / "tm").recipe
    sources = ("digits", "digit_textures", "background_textures")
    assert [recipe[role] for role in sources] == ["embedded"] * 3
    assert run("verify", "tm", "--deep", "--jobs=1").exit_code == 0


def test_a_more_specific_flag_beats_embedded(
    run: Command, place: Path, tmp_path: Path
) -> None:
    words = (
        "generate",
        *RANDOMNESS,
        *SMALL,
        "--embedded",
        f"--cache-dir={place / 'cache'}",
    )
    folder = str(place / "textures")
    result = run(*words, f"--textures={folder}", "--out=both")
    assert result.exit_code == 0, result.output
    recipe = read_manifest(tmp_path / "both").recipe
    assert recipe["digits"] == "embedded"
    assert recipe["digit_textures"] == recipe["background_textures"] == "folder"
    result = run(*words, "--digits=mnist", "--data-root=nowhere")
    refused(result, "MNIST is not in nowhere/MNIST/raw")


def test_absent_sources_are_told_with_the_ways_out(
    run: Command, tmp_path: Path
) -> None:
    result = run("generate", *RANDOMNESS)
    refused(result, "MNIST is not in data/MNIST/raw: missing train-images-idx3-ubyte")
    for way in ("--data-root DIR", "$TEXTUREDMNIST_DATA", "--download", "--embedded"):
        assert way in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_mnist_is_named(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    trust_mnist(monkeypatch, write_mnist(tmp_path / "data", gz=False))
    words = ("generate", *RANDOMNESS, *SMALL, "--cache-dir", place / "cache")
    textures = ("--textures", place / "textures", "--out=tm")
    assert run(*words, *textures).exit_code == 0
    path = tmp_path / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])
    refused(run(*words, *textures), "train-images-idx3-ubyte is truncated: ")


def test_folders_that_cannot_be_used_are_refused(
    generate: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    refused(
        generate(*RANDOMNESS, "--out=file"), "file is a file; give a folder to --out"
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    refused(
        generate(*RANDOMNESS, "--out=full"), "aren't a Textured MNIST's: thesis.tex;"
    )
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_a_second_writer_gets_exit_code_2(generate: Command, tmp_path: Path) -> None:
    (tmp_path / "tm").mkdir()
    with FileLock(tmp_path / "tm" / ".lock"):
        result = generate(*RANDOMNESS, "--out=tm")
    refused(result, "another process is writing to tm; wait for it or choose another")


def test_info_tells_the_dataset_and_its_ties(run: Command, finished: Path) -> None:
    result = run("info", finished)
    assert result.exit_code == 0
    assert read_manifest(finished).identity in result.stdout
    assert run("info", finished, "--ties").stdout.startswith("digit  digit texture")
    latex = run("info", finished, "--ties", "--latex").stdout
    assert latex.startswith("\\begin{tabular}")


def test_a_preview_goes_where_it_is_told(
    run: Command, finished: Path, tmp_path: Path
) -> None:
    result = run("preview", finished, "--out=sheet.png")
    assert (result.exit_code, result.stdout) == (0, "wrote sheet.png\n")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
    sheet_bytes = (tmp_path / "sheet.png").read_bytes()
    result = run("preview", finished, "--out=new/sheet.png")
    assert (tmp_path / "new/sheet.png").read_bytes() == sheet_bytes
    result = run("preview", finished, "--out=sheet.png/sheet.png")
    refused(result, "can't write sheet.png/sheet.png: File exists", code=1)


def test_a_folder_of_before_gets_its_cards(run: Command, dataset: Path) -> None:
    names = ("README.md", "croissant.json")
    before = [(dataset / name).read_bytes() for name in names]
    for name in names:
        (dataset / name).unlink()
    result = run("card", dataset)
    assert result.exit_code == 0
    assert result.stdout == "".join(f"wrote {dataset / name}\n" for name in names)
    assert [(dataset / name).read_bytes() for name in names] == before


def test_verify_says_what_is_wrong_and_fails(run: Command, dataset: Path) -> None:
    result = run("verify", dataset, "--quick")
    assert result.exit_code == 0
    *_, files, last = result.stdout.splitlines()
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
    result = run("verify", dataset)
    refused(result, "samples.csv is missing", f"1 problem in {dataset}", code=1)
    (dataset / "val-00000-of-00001.h5").unlink()
    refused(run("verify", dataset), f"2 problems in {dataset}", code=1)


@pytest.mark.parametrize("command", ["verify", "info", "preview", "card"])
@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "has no manifest.json"), ("garbage", "is not valid JSON")],
)
def test_what_is_no_dataset_is_wrong_use(
    run: Command, tmp_path: Path, command: str, content: str | None, text: str
) -> None:
    if content is not None:
        (tmp_path / MANIFEST_NAME).write_text(content)
    refused(run(command, tmp_path), text)
    refused(run(command, tmp_path / "absent"), "no dataset folder", "make one with")


def test_sources_are_listed_with_place_and_license(run: Command) -> None:
    result = run("sources", "--data-root=somewhere")
    assert result.exit_code == 0
    assert "mnist: digits: 70,000" in result.stdout
    assert "  found:   not in somewhere/MNIST/raw\n" in result.stdout
    assert result.stdout.count("  license: ") == 5


def test_an_unknown_download_is_refused(run: Command) -> None:
    refused(run("download", "imagenet"), "'imagenet' is not one of 'mnist', 'dtd'")


def test_what_is_there_is_not_downloaded(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = write_mnist(tmp_path / "data")
    refused(run("download", "mnist"), "is not MNIST's: its md5 is", "delete it and")
    trust_mnist(monkeypatch, md5)
    result = run("download", "mnist")
    assert (result.exit_code, result.stdout) == (0, "mnist is in data\n")


def test_verify_repairs_the_broken_shard(
    run: Command, dataset: Path, place: Path
) -> None:
    shard = dataset / "val-00000-of-00001.h5"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    refused(run("verify", dataset, "--repair"), "say it with --textures")
    sources = f"--textures={place / 'textures'}", f"--cache-dir={place / 'cache'}"
    result = run("verify", dataset, "--repair", *sources, "--jobs=1")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"made {shard} again\n")
    assert shard.read_bytes() == whole
    result = run("verify", dataset, "--repair", *sources, "--jobs=1")
    assert result.stdout.startswith("no shard is broken\n")


def test_a_preview_in_the_folder_is_covered_by_the_manifest(
    run: Command, dataset: Path
) -> None:
    (dataset / "preview.png").write_text("another")
    result = run("preview", dataset)
    assert result.stdout == f"wrote {dataset / 'preview.png'}\n"
    assert run("verify", dataset, "--jobs=1").exit_code == 0


@pytest.mark.parametrize("command", ["info", "verify", "preview", "card", "audit"])
def test_a_file_that_cannot_be_read_is_not_to_be_made_again(
    run: Command, dataset: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == MANIFEST_NAME:
            raise PermissionError(errno.EACCES, "whatever")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    result = run(command, dataset)
    refused(result, f"can't read {dataset / 'manifest.json'}: permission denied")
    assert "generate" not in result.stderr


@pytest.mark.parametrize("given", [".", ".."])
def test_an_export_of_the_folder_one_is_in_lies_beside_it(
    run: Command, dataset: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (dataset / ".sub").mkdir()
    monkeypatch.chdir(dataset if given == "." else dataset / ".sub")
    result = run("export", given, "--layout=folder", "--jobs=1")
    assert result.exit_code == 0
    assert (dataset.parent / "tm_folder" / "export.json").is_file()
