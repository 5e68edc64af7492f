"""One picture under several names in train and in test is named, never passed over."""

import shutil
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.texturedmnist.conftest import NAMES, Planner, Runner, Trust
from tests.texturedmnist.tree import write_mnist, write_textures
from texturedmnist.audit import audit, format_report
from texturedmnist.generate import run_build, verify
from texturedmnist.manifest import read_manifest


@pytest.fixture
def textures(tmp_path: Path) -> Path:
    write_textures(tmp_path / "textures", NAMES)
    return tmp_path / "textures"


@pytest.fixture
def plan_mine(plan: Planner, textures: Path) -> Planner:
    """Return a function that plans a build from these textures."""
    sources = dict.fromkeys(("digit_textures", "background_textures"), str(textures))
    fields: dict[str, Any] = {"bg": 0.5, **sources, "train": 300, "val": 60, "test": 60}
    parent = textures.parent
    return partial(plan, parent / "tm", data_root=parent, **fields)


def copy(textures: Path, one: str, other: str) -> None:
    shutil.copy(textures / f"{one}.png", textures / f"{other}.png")


def test_one_picture_in_a_class_is_found_by_generate_and_audit(
    textures: Path, plan_mine: Planner
) -> None:
    """All three files of a class are one picture: one in each of train, val, test."""
    assert plan_mine().repeats == ()
    name = NAMES[3]
    for number in (1, 2):
        copy(textures, f"{name}/{name}_0000", f"{name}/{name}_000{number}")
    build = plan_mine()
    (picture,) = build.repeats
    files = {f"digit_textures/{name}/{name}_000{number}.png" for number in range(3)}
    assert {names[0] for names in picture.values()} == files
    assert [*picture] == ["train", "val", "test"]
    manifest = run_build(build)
    assert read_manifest(build.out).repeats == manifest.repeats == build.repeats
    assert verify(build.out) == ()
    report = audit(build.out)
    found = {(check.name, check.found) for check in report.failed}
    assert found == {("pictures apart", 1)}
    text = f"1 pictures are in both under several names; {picture['train'][0]} = "
    assert all(name in check.explanation for check in report.failed)
    assert text in report.failed[0].explanation
    assert "0 of 3  pictures apart" in format_report(report)


def test_a_texture_in_both_roles_is_found(textures: Path, plan_mine: Planner) -> None:
    """Classes 0 to 9 are the digits' and the others the backgrounds'."""
    inside, outside = NAMES[0], NAMES[15]
    for number in range(3):
        copy(textures, f"{inside}/{inside}_0000", f"{outside}/{outside}_000{number}")
    (picture,) = plan_mine().repeats
    names = [name for part in picture.values() for name in part]
    assert f"digit_textures/{inside}/{inside}_0000.png" in names
    outer = f"background_textures/{outside}/"
    assert sum(name.startswith(outer) for name in names) == 3


def test_equal_digit_images_are_found(
    textures: Path, plan_mine: Planner, trust: Trust
) -> None:
    """The first twenty images of both made-up files are the same."""
    trust(write_mnist(textures.parent))
    build = plan_mine(digits="mnist", train=54, val=6, test=20)
    assert len(build.repeats) == 20
    assert all("test" in picture and len(picture) == 2 for picture in build.repeats)
    run_build(build)
    report = audit(build.out)
    assert {check.name for check in report.failed} == {"pictures apart"}
    found = {check.split: check.found for check in report.failed}
    assert found["train / test"] + found["val / test"] == 20


@pytest.mark.parametrize("dry", [True, False])
def test_generate_names_what_repeats(run: Runner, textures: Path, dry: bool) -> None:
    for name, number in product(NAMES[:4], (1, 2)):
        copy(textures, f"{name}/{name}_0000", f"{name}/{name}_000{number}")
    small = ("--train=20", "--val=5", "--test=5", "--image-size=28", "--jobs=1")
    given = ("--bg=0.5", "--tex=0.5", "--digits=embedded", f"--textures={textures}")
    result = run("generate", *given, *small, *["--dry-run"] * dry)
    assert result.exit_code == 0
    text = "warning: 4 pictures of the sources stand in more than one of"
    assert text in result.stderr
    assert result.stderr.count("(train)") == 3
    assert "; and 1 more; to keep the splits apart, remove the copies" in result.stderr
