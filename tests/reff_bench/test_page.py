import base64
import io
import re
from collections.abc import Sequence
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise, product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from PIL import Image

from reff_bench.grid.config import RunConfig
from reff_bench.grid.model import NAMED_TABLES
from reff_bench.report.page.write import ROOM, write_report
from reff_bench.report.statistics import wilson
from reff_bench.results.folder import RunFolder, find_runs
from reff_bench.results.plan import Plan, write_plan
from reff_bench.results.run import (
    CONFIG_NAME,
    ERROR_NAME,
    EVALUATION_NAME,
    make_record,
    run_folder,
    write_record,
)
from tests.reff_bench.fakes import make_config, make_plan, make_row
from texturedmnist.common.files import write_atomically

AMOUNTS: tuple[Any, ...] = (1, 5, "all")
PAPERS = ("reff", "reff_l1", "reff_l2", "abn")
VOID = {"meta", "img", "br"}
LIMIT = 10_000_000


class Page(HTMLParser):
    """A page taken apart; complains about tags that aren't closed in order."""

    def __init__(self, text: str) -> None:
        """Read it."""
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it and its attributes."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Complain unless it closes the last one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note the text."""
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        """All that is read on it, each run of white space as one space."""
        return " ".join("".join(self.words).split())

    def values(self, name: str, *elements: str) -> list[str]:
        """Every value of an attribute, of some elements only if they are named."""
        return [
            value
            for element, attributes in self.tags
            if not elements or element in elements
            if (value := attributes.get(name)) is not None
        ]


def study_configs() -> list[RunConfig]:
    tab2 = [
        make_config(method, annotations=amount, seed=seed, weight=weight)
        for method, amount, seed, weight in product(PAPERS, AMOUNTS, (0, 1), (0.1, 1.0))
    ]
    plain = [make_config("baseline", annotations=n, seed=0) for n in (1, "all")]
    half = [make_config(seed=seed, digit_size=28, weight=1.0) for seed in (0, 1)]
    return [*tab2, *plain, *half]


def finish(out: Path, config: RunConfig, **values: Any) -> None:
    folder = run_folder(out, config)
    accuracy = 0.5 + 0.02 * config.seed
    about = {"versions": {"torch": "9.9"}, "device": "a CPU", "device_type": "cpu"}
    history = {"history_loss": [1.0] * config.epochs, "annotator_iou": 0.5}
    write_atomically(folder / CONFIG_NAME, config.model_dump_json())
    write_record(folder, make_record(config, "done", **about, **history))
    metrics = {"test_accuracy": accuracy, "val_accuracy": accuracy, "epg": 0.4}
    more = {"val_shifted_accuracy": 1 - accuracy, "test_samples": 2000}
    write_record(folder, {**metrics, **more, **values}, EVALUATION_NAME)


def planned(out: Path, configs: Sequence[RunConfig], **select: Any) -> Plan:
    tables = tuple(spec for spec in NAMED_TABLES.values() if spec is not None)
    plan = make_plan(list(configs), tables=tables, **select)
    write_plan(out, plan)
    return plan


TUNED: dict[str, Any] = {
    "options": {"weight": (0.1, 1.0)},
    "also": "val_shifted_accuracy",
}
HalfDone: TypeAlias = tuple[Path, Plan, Page]


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> HalfDone:
    """Every other run is done, one has failed, one is incomplete."""
    out = tmp_path_factory.mktemp("half")
    configs = study_configs()
    plan = planned(out, configs, **TUNED)
    for config in configs[::2]:
        finish(out, config)
    failed = make_record(configs[1], "failed", reason='the loss is <NaN> & "worse"')
    write_record(run_folder(out, configs[1]), failed)
    write_atomically(run_folder(out, configs[1]) / ERROR_NAME, "a trace")
    write_atomically(run_folder(out, configs[3]) / CONFIG_NAME, "{}")
    return out, plan, page_of(out, plan)


@pytest.fixture(scope="module")
def page(half_done: HalfDone) -> Page:
    return half_done[2]


def page_of(out: Path, plan: Plan, **more: Any) -> Page:
    path = write_report(find_runs(out, plan), **more)
    assert path == out / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_a_half_finished_grid_shows_what_is_there_and_missing(page: Page) -> None:
    for words in (
        "51 runs: 26 done, 1 failed, 1 incomplete, 23 pending. 1 further runs of the",
        'the loss is <NaN> & "worse"',
        "reff, annotations 1, bg 0, tex 0, weight 1, seed 1: incomplete",
        "selected by val_accuracy",
        "selected by val_shifted_accuracy",
        "by the highest mean val_shifted_accuracy over the seeds, never on the test",
        "? inconclusive",
        "the grid has no runs without a spurious feature",
        "network resnet_small (paper: resnet50)",
        "weight of the penalty",
        "[tuned]",
        "torch 9.9",
        "a CPU (cpu)",
        "No run of the grid belongs to this table.",
        "Digits of 28 px at random places in 32 px.",
        "0" * 64,
    ):
        assert words in page.text, words


def test_a_caption_is_plain_words_and_stands_there_once(page: Page) -> None:
    text = page.text  # two settings, two selections, three values
    assert text.count("mean ± standard deviation over 1 to 2 seeds.") == 1
    assert text.count("Deviations: training images 100 (paper: 54000);") == 1
    assert text.count("Further columns: the same, selected by val_shifted_accur") == 1
    assert not {"$", "\\"} & set(text)


def test_every_part_is_in_the_table_of_contents(page: Page) -> None:
    names = page.values("id")
    assert len(names) == len(set(names))
    anchors = {link[1:] for link in page.values("href") if link.startswith("#")}
    assert anchors <= set(names)
    parts = {"tables", "claims", "figures", "missing", "options", "environment"}
    assert parts | {f"C{number}" for number in range(1, 8)} <= anchors


def test_every_number_links_to_its_records(half_done: HalfDone) -> None:
    out, plan, page = half_done
    links = {link for link in page.values("href") if not link.startswith("#")}
    assert all((out / link).is_file() for link in links)
    choosable = [one for one in plan.configs if one.value("weight") != 1.0]
    records = [run_folder(out, config) / "record.json" for config in choosable]
    there = {str(path.relative_to(out)) for path in records if path.is_file()}
    assert there <= links


def test_the_page_loads_nothing_and_runs_our_script_alone(half_done: HalfDone) -> None:
    out, _, page = half_done
    elements = {element for element, _ in page.tags}
    assert elements.isdisjoint({"link", "iframe", "object", "base"})
    assert page.values("src") == []
    raw = (out / "report.html").read_text()
    assert not re.search(r"https?://|url\(|@import", raw)
    (script,) = re.findall(r"<script>(.*?)</script>", raw, re.DOTALL)
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    policy = page.values("content")[-1]
    assert "default-src 'none'" in policy
    assert policy.partition("script-src ")[2] == f"'sha256-{digest}'"


def test_the_page_can_be_used_without_seeing_it(page: Page) -> None:
    assert page.values("lang", "html") == ["en"]
    headings = [element for element, _ in page.tags if re.fullmatch("h[1-6]", element)]
    levels = [int(heading[1]) for heading in headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    boxes = [told for element, told in page.tags if told.get("role") == "region"]
    assert len(boxes) == sum(element == "table" for element, _ in page.tags)
    assert all(box["aria-label"] and box["tabindex"] == "0" for box in boxes)
    heads = [told for element, told in page.tags if element == "th"]
    assert all(head.get("scope") in ("col", "row", "colgroup") for head in heads)


def test_the_same_records_give_the_same_page(half_done: HalfDone) -> None:
    out, plan, _ = half_done
    first = (out / "report.html").read_bytes()
    page_of(out, plan)
    assert (out / "report.html").read_bytes() == first


def test_one_run_has_a_wilson_interval(tmp_path: Path) -> None:
    plan = planned(tmp_path, [make_config(seed=seed) for seed in range(3)])
    finish(tmp_path, plan.configs[0], test_accuracy=0.25)
    interval = wilson(0.25, 2000)
    words = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}] 1 of 3 seeds"
    assert words in page_of(tmp_path, plan).text
    finish(tmp_path, plan.configs[1], test_accuracy=0.35)
    words = f"30.0 ± {100 * 0.05 * 2**0.5:.1f} 2 of 3 seeds"
    assert words in page_of(tmp_path, plan).text


def test_the_best_of_a_row_is_bold(tmp_path: Path) -> None:
    plan = planned(tmp_path, [make_config("reff"), make_config("abn")])
    for config, accuracy in zip(plan.configs, (0.25, 0.75), strict=True):
        finish(tmp_path, config, test_accuracy=accuracy)
    page_of(tmp_path, plan)
    raw = (tmp_path / "report.html").read_text()
    assert "<strong>75.0</strong>" in raw
    assert "<strong>25.0</strong>" not in raw


def test_an_empty_grid_is_a_page(tmp_path: Path) -> None:
    text = page_of(tmp_path, planned(tmp_path, [])).text
    assert "0 runs: none." in text
    assert "No run is done yet." in text


def test_figures_are_inside_the_page(tmp_path: Path) -> None:
    plan = planned(tmp_path, [make_config()])
    figure = tmp_path / "figures" / "fig1.png"
    figure.parent.mkdir()
    Image.new("RGB", (8, 8), "red").save(figure)
    captions = {"fig1": "Samples & masks. With a second sentence."}
    missing = ["fig4: no run of ReFF (L1)"]
    page = page_of(tmp_path, plan, captions=captions, missing=missing)
    (source,) = page.values("src", "img")
    kind, _, data = source.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == figure.read_bytes()
    assert page.values("alt", "img") == ["Samples & masks"]
    assert "Samples & masks. With a second sentence. fig1.png" in page.text
    assert "fig4: no run of ReFF (L1)" in page.text


def test_figures_that_are_too_large_lose_colors_and_those_without_room_are_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ROOM * 4 / 3 < 0.9 * LIMIT
    # Room for two of three pictures, of fewer colors, of noise.
    monkeypatch.setattr("reff_bench.report.page.write.ROOM", 25_000)
    captions = {name: f"Figure {name}" for name in ("a", "b", "c")}
    (tmp_path / "figures").mkdir()
    for name in captions:
        pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "figures" / f"{name}.png")
    page = page_of(tmp_path, planned(tmp_path, [make_config()]), captions=captions)
    sources = page.values("src", "img")
    assert len(sources) == 2
    for source in sources:
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        assert (image.mode, image.size) == ("P", (100, 100))
    assert "Shown in fewer colors than the file: a.png" in page.text
    assert "Too large for this page: c.png" in page.text


def test_a_study_of_five_hundred_runs_fits(tmp_path: Path) -> None:
    methods, amounts = (*PAPERS, "reff_plus", "background_swap"), (*AMOUNTS, 10, 20, 50)
    configs = [
        make_config(method, annotations=amount, seed=seed, tex=tex, test_tex=tex)
        for method, amount, seed, tex in product(methods, amounts, range(7), (0.0, 0.5))
    ]
    assert len(configs) >= 500
    plan = planned(tmp_path, configs)
    rows = [make_row(config, test_accuracy=0.5, epg=0.25) for config in configs]
    write_report(RunFolder(tmp_path, plan, tuple(rows)))
    assert (tmp_path / "report.html").stat().st_size < LIMIT / 5
