import shutil
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from tests.texturedmnist.conftest import NAMES, Trust
from tests.texturedmnist.tree import EMBEDDED, write_dtd, write_mnist, write_textures
from texturedmnist.recipe import DTD_CLASSES, Assignment, Recipe, RecipeError
from texturedmnist.sources import (
    SourceError,
    Sources,
    catalog,
    default_cache_dir,
    default_data_root,
    describe_sources,
    list_classes,
    open_sources,
)


def embedded(**fields: Any) -> Recipe:
    small = {"image_size": 32, "embedded_instances": 3}
    return Recipe(bg=0.2, tex=0.5, **(EMBEDDED | small | fields))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    root = tmp_path_factory.mktemp("root")
    return open_sources(embedded(), data_root=root, cache_dir=root / "cache")


def test_embedded_sources_need_no_files(sources: Sources) -> None:
    assert sources.digit_textures.index.classes == DTD_CLASSES[:10]
    assert sources.background_textures.index.classes == DTD_CLASSES[10:]
    assert len(sources.digit_textures) == 30
    assert len(sources.background_textures) == 111
    digests = {role: getattr(sources, role).digest for role in EMBEDDED}
    assert sources.digests == digests
    assert np.array_equal(sources.index.labels, sources.digits.labels)


def test_each_role_has_its_own_source_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: Trust
) -> None:
    trust(write_mnist(tmp_path))
    write_dtd(tmp_path, DTD_CLASSES[:10])
    write_textures(tmp_path / "mine", NAMES[:12])
    recipe = Recipe(
        bg=0, tex=0, image_size=64, digit_size=40, background_textures="~/mine"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    opened = open_sources(recipe, data_root=tmp_path)
    assert len(opened.digits.labels) == 80
    assert opened.digit_textures.index.classes == DTD_CLASSES[:10]
    assert opened.background_textures.index.classes == NAMES[:12]
    assert opened.digit_textures.index.heights.min() == 44
    assert opened.digit_textures.index.widths.min() == 40
    assert opened.background_textures.index.widths.min() == 64
    assert (tmp_path / ".cache" / "texturedmnist") == opened.digit_textures.path.parent


def test_only_assigned_classes_need_to_be_there(tmp_path: Path) -> None:
    write_textures(tmp_path / "mine", NAMES)
    shutil.rmtree(tmp_path / "mine" / NAMES[0])
    (tmp_path / "mine" / NAMES[0]).mkdir()
    assignment = Assignment(digit_textures=NAMES[1:11], background_textures=NAMES[11:])
    place = str(tmp_path / "mine")
    recipe = embedded(digit_textures=place, background_textures=place)
    open_here = partial(open_sources, data_root=tmp_path, cache_dir=tmp_path / "cache")
    opened = open_here(recipe.model_copy(update={"ties": assignment}))
    assert opened.background_textures.index.classes == NAMES[11:]
    with pytest.raises(SourceError, match=f"mine/{NAMES[0]} is empty"):
        open_here(recipe)


def test_a_wrong_recipe_is_reported_before_any_file_is_read(tmp_path: Path) -> None:
    inside, outside = DTD_CLASSES[:10], (*DTD_CLASSES[10:19], "furry")
    assignment = Assignment(digit_textures=inside, background_textures=outside)
    with pytest.raises(RecipeError, match="unknown background class 'furry'"):
        open_sources(Recipe(bg=0, tex=0, ties=assignment), data_root=tmp_path)


def test_checking_mends_damaged_pixels(sources: Sources) -> None:
    path = sources.background_textures.path
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 255]) + data[1:])
    again = open_sources(embedded(), cache_dir=path.parent, check=True)
    assert again.digests == sources.digests
    assert path.read_bytes() == data


def test_default_places_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for data, cache, places in (
        ("/somewhere", "/quick", ("/somewhere", "/quick/texturedmnist")),
        ("~/data", "~/kept", ("/home/me/data", "/home/me/kept/texturedmnist")),
        ("", "", ("data", "/home/me/.cache/texturedmnist")),
    ):
        monkeypatch.setenv("TEXTUREDMNIST_DATA", data)
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        assert (default_data_root(), default_cache_dir()) == (*map(Path, places),)
    with pytest.raises(SourceError, match="no home folder for ~nobody-of-this/x: wri"):
        list_classes("~nobody-of-this/x")


def test_what_is_there_is_described(tmp_path: Path) -> None:
    def found() -> dict[str, tuple[bool, str]]:
        rows = describe_sources(tmp_path)
        assert all(row.license and row.obtain and row.contents for row in rows)
        return {row.name: (row.available, row.found) for row in rows}

    raw, images = tmp_path / "MNIST" / "raw", tmp_path / "dtd" / "dtd" / "images"
    assert found()["mnist"] == (False, f"not in {raw}")
    assert found()["dtd"] == (False, f"not in {images}")
    assert found()["embedded textures"][0]
    write_mnist(tmp_path)
    write_dtd(tmp_path, DTD_CLASSES[:4], 5)
    text = f"{images}: 4 of 47 classes, 20 images, no labels: split 8 : 1 : 3"
    assert found()["dtd"] == (True, text)
    assert found()["mnist"] == (True, str(raw))
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    assert found()["mnist"] == (False, f"{raw}: only 3 of 4 files")


def test_only_what_is_needed_and_absent_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: Trust
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(catalog, "fetch", lambda name, root: fetched.append(name))
    open_here = partial(
        open_sources, data_root=tmp_path, cache_dir=tmp_path / "c", download=True
    )
    open_here(embedded())
    assert fetched == []
    with pytest.raises(SourceError, match="MNIST is not in"):
        open_here(Recipe(bg=0, tex=0))
    assert fetched == ["mnist", "dtd"]
    trust(write_mnist(tmp_path))
    write_dtd(tmp_path, DTD_CLASSES[:10])
    open_here(embedded(digits="mnist", digit_textures="dtd"))
    assert fetched == ["mnist", "dtd"]


def test_a_user_without_a_home_is_told_what_to_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = Mock(side_effect=RuntimeError("Could not determine home directory."))
    monkeypatch.setattr(Path, "expanduser", nowhere)
    with pytest.raises(SourceError, match=r"no home folder to keep .* --cache-dir DIR"):
        default_cache_dir()
