import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import BboxBase
from numpy.typing import NDArray
from torch.nn import functional as F

from reff_bench.cli import main
from reff_bench.grid import METHODS, Cell
from reff_bench.report.figures import Figures, write_figures
from reff_bench.report.figures.curves import draw_curves, points
from reff_bench.report.figures.drawing import Drawing
from reff_bench.report.figures.examples import pick_runs, seeds_in_words
from reff_bench.report.figures.learning import draw_learning
from reff_bench.report.figures.maps import of_method
from reff_bench.report.figures.study import Study, main_rows, most_annotated
from reff_bench.report.figures.style import drawing_style, looks, render, title_of
from reff_bench.report.figures.tiles import (
    TILE,
    energy_in,
    enlarge,
    heat_tile,
    image_tile,
    outlined,
    overlap,
    tile_size,
)
from reff_bench.report.figures.write import draw_figures
from reff_bench.results import (
    ResultsError,
    cell_folder,
    read_plan,
    read_rows,
    write_panels,
)
from tests.reff_bench.fakes import make_cell, make_row
from tests.reff_bench.made_up_runs import (
    examples,
    study_cells,
    write_run,
    write_runs,
)

ROOT = Path(__file__).parents[2]
ALL = tuple(METHODS)
PAPERS = {f"fig{number}" for number in range(1, 8)}


def study_of(out: Path, cells: list[Cell], **select: Any) -> Study:
    """A folder in which every cell is done."""
    plan = write_runs(out, cells, lambda _: True, **select)
    return Study(out, plan, read_rows(out, plan.cells))


def draw_all(out: Path, *others: Path) -> Figures:
    """PNGs alone: a PDF embeds its fonts, which takes a while."""
    plan = read_plan(out)
    return write_figures(out, plan, read_rows(out, plan.cells), others, ("png",))


def small_study() -> list[Cell]:
    """Two amounts, one seed and half-size digits: quick to draw."""
    methods = ("baseline", "reff", "reff_l1", "reff_l2", "abn")
    half = {"image_size": 56, "digit_size": 28}
    return [
        *study_cells(methods, (1, "all"), (0,)),
        *study_cells(methods[:4], ("all",), (0,), **half),
    ]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Figures]:
    out = tmp_path_factory.mktemp("runs")
    write_runs(out, small_study(), lambda _: True)
    return out, draw_all(out)


def test_every_figure_is_written(drawn: tuple[Path, Figures]) -> None:
    out, figures = drawn
    assert set(figures.captions) >= PAPERS
    names = {f"{name}.png" for name in figures.captions}
    assert {path.name for path in (out / "figures").iterdir()} == names
    assert {path.name for path in figures.files} == names
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in figures.files)


def test_what_the_paper_has_and_the_grid_lacks_is_named(
    drawn: tuple[Path, Figures],
) -> None:
    missing = drawn[1].missing
    assert "fig1: no evaluated run on ISIC2017" in missing
    assert "fig1: no evaluated run on Oxford-IIIT Pet" in missing
    assert "fig2: no run with annotations 5, 10, 20, 50" in missing
    assert "fig3: no run with annotations 5, 10, 20, 50" in missing
    assert "accuracy_bg: the grid has no two values of bg to compare" in missing
    assert not any(line.startswith(("fig7", "learning")) for line in missing)


def test_captions_say_seed_setting_and_selection(drawn: tuple[Path, Figures]) -> None:
    caption = drawn[1].captions["fig7"]
    assert "Seed 0, the lowest that's done." in caption
    assert "Annotations: All." in caption
    assert "56 px, digits of 28 px" in caption
    assert "bg 0 (test 1), tex 0 (test 0)" in caption
    assert "Hyper-parameters fixed in the grid" in caption


def test_the_same_records_give_the_same_pictures(
    drawn: tuple[Path, Figures], tmp_path: Path
) -> None:
    write_runs(tmp_path, small_study(), lambda _: True)
    with rc_context({"font.size": 30, "savefig.bbox": "tight", "axes.grid": True}):
        again = draw_all(tmp_path)
    assert again.missing == drawn[1].missing
    for one, other in zip(drawn[1].files, again.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_pdf_has_no_date_and_no_type_3_font(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_cells(("reff",), (1, "all"), (0,)))
    with drawing_style():
        first, second = (
            render(figure_of(study, "accuracy_annotations"), "pdf") for _ in range(2)
        )
    assert first == second
    assert first.startswith(b"%PDF")
    assert b"Date" not in first
    assert b"/Type3" not in first
    assert b"/FontFile2" in first


def test_a_run_that_has_not_begun_names_everything(tmp_path: Path) -> None:
    plan = write_runs(tmp_path, small_study(), lambda _: False)
    stale = tmp_path / "figures" / "fig4.png"
    stale.parent.mkdir()
    stale.touch()
    figures = draw_all(tmp_path)
    assert (figures.files, figures.captions) == ([], {})
    assert not stale.exists()
    named = {line.partition(":")[0] for line in figures.missing}
    assert named >= PAPERS | {"accuracy_annotations", "epg_annotations", "learning"}
    assert "fig6: annotations 1: no run is done (1 waiting)" in figures.missing
    assert "worst_group: 10 runs have no worst_group_accuracy yet, the first: " in str(
        figures.missing
    )
    assert len(plan.cells) == 14


def test_a_method_without_a_run_is_named(tmp_path: Path) -> None:
    write_runs(tmp_path, study_cells(("reff",), (5, "all"), (0,)), lambda _: True)
    missing = draw_all(tmp_path).missing
    assert "fig4: no run of ReFF (L1)" in missing
    assert "fig6: no run of ABN" in missing
    assert "fig7: no run with digits smaller than the image" in missing
    assert "fig3_stages: no run of ReFF (L1)" not in missing
    assert "fig4_stages: no run of ReFF (L1)" in missing


def test_a_half_finished_run_shows_what_is_there(tmp_path: Path) -> None:
    cells = study_cells(("reff", "abn"), (1, 5, "all"), (0, 1))
    plan = write_runs(tmp_path, cells, lambda c: c.method == "reff" and c.seed == 1)
    done = [cell_folder(tmp_path, cell) for cell in cells[:6] if cell.seed == 1]
    (done[0] / "panels.npz").unlink()
    write_panels(done[2], {**examples(cells[3]), "index": np.arange(50, 54)})
    figures = write_figures(tmp_path, plan, read_rows(tmp_path, plan.cells), (), ())
    assert "Seed 1, the lowest that's done." in figures.captions["fig3"]
    assert "fig3: annotations 1: seed 1 was evaluated without example maps; " in str(
        figures.missing
    )
    assert "fig3: annotations All: its examples are other test images" in str(
        figures.missing
    )
    assert "fig6: annotations 5: no run is done (2 waiting)" in figures.missing
    assert "learning: no finished run of ABN" in figures.missing
    assert "fig6" not in figures.captions


def test_fig1_takes_further_datasets_from_other_folders(tmp_path: Path) -> None:
    study_of(tmp_path / "a", study_cells(("reff",), ("all",), (0,)))
    knobs = dict.fromkeys(("bg", "tex", "test_bg", "test_tex", "digit_size"))
    study_of(tmp_path / "b", [make_cell("abn", dataset="pets", image_size=64, **knobs)])
    figures = draw_all(tmp_path / "a", tmp_path / "b")
    assert "Textured MNIST 32 px, Oxford-IIIT Pet 64 px" in figures.captions["fig1"]
    assert figures.missing[0] == "fig1: no evaluated run on ISIC2017"
    assert figures.missing[1].startswith("fig2: ")
    with pytest.raises(ResultsError, match=r"has no grid.json: no grid was run there"):
        draw_all(tmp_path / "a", tmp_path / "c")


def test_the_lowest_seed_that_is_done_stands_for_a_row(tmp_path: Path) -> None:
    cells = study_cells(("reff",), ("all",), (2, 0, 1))
    plan = write_runs(tmp_path, cells, lambda cell: cell.seed != 0)
    study = Study(tmp_path, plan, read_rows(tmp_path, plan.cells))
    picks, lacks = pick_runs(study, [of_method("reff", study.rows)])
    assert ([pick.row["seed"] for pick in picks], lacks) == ([1], ())
    assert seeds_in_words(picks) == "Seed 1, the lowest that's done."


def test_rows_of_different_seeds_say_so(tmp_path: Path) -> None:
    cells = [make_cell("reff", seed=0), make_cell("baseline", seed=3)]
    study = study_of(tmp_path, cells)
    wanted = [of_method(name, study.rows) for name in ("baseline", "reff")]
    picks, _ = pick_runs(study, wanted)
    assert "Baseline: 3, ReFF: 0." in seeds_in_words(picks)


def test_the_chosen_hyper_parameters_are_shown(tmp_path: Path) -> None:
    cells = [make_cell(weight=weight, seed=s) for weight in (0.1, 1.0) for s in (0, 1)]
    plan = write_runs(tmp_path, cells, lambda _: True, options={"weight": (0.1, 1.0)})
    for cell in cells:
        better = 0.9 if cell.weight == 1.0 else 0.2
        write_run(cell_folder(tmp_path, cell), cell, val_accuracy=better)
    study = Study(tmp_path, plan, read_rows(tmp_path, plan.cells))
    assert {row["weight"] for row in study.first_setting(study.rows)} == {1.0}


def test_settings_are_never_mixed(tmp_path: Path) -> None:
    cells = [
        cell
        for tex in (0.0, 0.5)
        for cell in study_cells(("reff",), (5, "all"), (0,), tex=tex, test_tex=tex)
    ]
    study = study_of(tmp_path, cells)
    assert {row["tex"] for row in study.first_setting(study.rows)} == {0.0}
    figure = figure_of(study, "accuracy_annotations")
    assert [axes.get_title() for axes in figure.axes] == ["tex = 0", "tex = 0.5"]
    lines = [line for axes in figure.axes for line in axes.lines]
    assert all(len(values(line)) == 2 for line in lines)  # two amounts, or chance


def test_nothing_but_the_axis_varies_along_a_curve(tmp_path: Path) -> None:
    cells = [make_cell(bg=bg, epochs=4 if bg == 0 else 2) for bg in (0.0, 0.5, 1.0)]
    study = study_of(tmp_path, cells)
    (panel,) = (p for p in study.settings("bg", "epg", of=study.rows) if p.rows[1:])
    assert (panel.rows, panel.setting) == ((0.5, 1.0), {"epochs": 2})


def test_the_papers_figures_are_about_data_with_a_spurious_feature() -> None:
    half = make_row(make_cell(image_size=56, digit_size=28))
    plain, tied = make_row(make_cell(bg=1.0)), make_row(make_cell())
    assert main_rows([half, plain, tied]) == [tied]
    assert main_rows([half, plain]) == [plain]


def test_each_method_is_shown_at_its_largest_amount() -> None:
    rows = [make_row(cell) for cell in study_cells(("reff", "abn"), (5, 50), (0,))]
    rows.append(make_row(make_cell("reff")))
    kept = {(row["method"], row["annotations"]) for row in most_annotated(rows)}
    assert kept == {("reff", "all"), ("abn", 50)}


def values(line: Line2D) -> list[float]:
    """What goes up."""
    return [float(value) for value in np.asarray(line.get_ydata())]


def places(line: Line2D) -> list[float]:
    """What goes to the right."""
    return [float(value) for value in np.asarray(line.get_xdata())]


def figure_of(study: Study, name: str) -> Figure:
    (drawing,) = (one for one in draw_curves(study) if one.name == name)
    assert drawing.figure is not None
    return drawing.figure


def test_a_curve_has_the_tables_means_and_intervals(tmp_path: Path) -> None:
    cells = study_cells(("reff",), (1, 50), (0, 1, 2))
    study = study_of(tmp_path, cells)
    (panel,) = study.settings("annotations", "test_accuracy", of=study.rows)
    entry = panel.entries[50, "reff"]
    assert points(panel, "reff")[50] == (entry.mean, entry.low, entry.high)
    axes = figure_of(study, "accuracy_annotations").axes[0]
    reff, chance = axes.lines
    assert values(reff) == [panel.entries[n, "reff"].mean for n in (1, 50)]
    assert values(chance) == [0.1, 0.1]
    (band,) = axes.collections
    (path,) = band.get_paths()
    assert np.asarray(path.vertices)[:, 1].max() == pytest.approx(entry.high)


def test_an_interval_ends_where_a_fraction_does(tmp_path: Path) -> None:
    cells = study_cells(("reff",), (1, 50), (0, 1))
    study = study_of(tmp_path, cells)
    for row in study.rows:
        row["test_accuracy"] = float(row["seed"])
    (panel,) = study.settings("annotations", "test_accuracy", of=study.rows)
    assert points(panel, "reff")[50] == (0.5, 0.0, 1.0)


def test_what_needs_no_annotations_is_a_level_line(tmp_path: Path) -> None:
    cells = study_cells(("reff",), (1, 5, "all"), (0,))
    study = study_of(tmp_path, [*cells, make_cell("baseline", annotations=5)])
    baseline = figure_of(study, "accuracy_annotations").axes[0].lines[0]
    assert places(baseline) == [0, 2]
    assert len(set(values(baseline))) == 1


def test_a_line_is_broken_where_a_run_is_missing(tmp_path: Path) -> None:
    cells = study_cells(("reff",), (1, 5, 10), (0,))
    plan = write_runs(tmp_path, cells, lambda cell: cell.annotations != 5)
    study = Study(tmp_path, plan, read_rows(tmp_path, plan.cells))
    line = figure_of(study, "accuracy_annotations").axes[0].lines[0]
    assert np.isnan(values(line)).tolist() == [False, True, False]


def test_knobs_are_drawn_to_scale_for_methods_that_are_compared(tmp_path: Path) -> None:
    cells = [make_cell("reff", tex=tex, test_tex=tex) for tex in (0.0, 0.2, 1.0)]
    study = study_of(tmp_path, [*cells, make_cell("abn")])
    figure = figure_of(study, "accuracy_tex")
    assert [places(line) for line in figure.axes[0].lines] == [
        [0.0, 0.2, 1.0],
        [0, 1],
    ]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ReFF", "chance"]


def test_learning_curves_are_means_over_seeds_of_every_term(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_cells(("reff", "abn"), ("all",), (0, 1)))
    figure = draw_learning(study).figure
    assert figure is not None
    names = [axes.get_title() for axes in figure.axes]
    assert names == [
        "sum that is minimised",
        "cross-entropy",
        "penalty on the maps",
        "map loss of ABN",
        "validation accuracy in %",
        "% empty maps, stage 4",
    ]
    own = [row["history_loss"] for row in study.rows if row["method"] == "reff"]
    assert values(figure.axes[0].lines[0]) == np.mean(own, 0).tolist()


LONG = ["american_pit_bull_terrier", "staffordshire_bull_terrier", "pug", "samoyed"]


def test_no_text_is_cut_off_and_none_covers_another(tmp_path: Path) -> None:
    methods = (*ALL, "own.methods:a_method_of_mine")
    cells = study_cells(methods, (1, "all"), (0,))
    study = study_of(tmp_path, [*cells, *study_cells(methods, ("all",), (0,), bg=0.5)])
    for row in study.rows:
        arrays = dict(study.examples(row) or {})
        names = np.array(LONG + [f"class {n}" for n in range(6)])
        write_panels(
            tmp_path / "cells" / row["cell_id"], {**arrays, "class_names": names}
        )
    fresh = Study(tmp_path, study.plan, study.rows)
    with drawing_style():
        for drawing in draw_figures([fresh]):
            if drawing.figure is not None:
                check_texts(drawing)


def check_texts(drawing: Drawing) -> None:
    """Every text lies within the figure, and overlaps no other."""
    assert drawing.figure is not None
    drawing.figure.draw_without_rendering()
    texts = texts_of(drawing.figure)
    boxes = [text.get_window_extent() for text in texts]
    page = drawing.figure.bbox
    for number, (text, box) in enumerate(zip(texts, boxes, strict=True)):
        told = f"{drawing.name}: {text.get_text()!r}"
        assert box.x0 >= page.x0 - 1, told
        assert box.x1 <= page.x1 + 1, told
        assert box.y0 >= page.y0 - 1, told
        assert box.y1 <= page.y1 + 1, told
        assert not any(overlaps(box, other) for other in boxes[:number]), told


def texts_of(figure: Figure) -> list[Text]:
    """Every text that is drawn: labels of ticks out of view aren't."""
    hidden = {
        label
        for axes in figure.axes
        for axis, place in ((axes.xaxis, 0), (axes.yaxis, 1))
        for label in axis.get_ticklabels(which="both")
        if not axes.axison
        or not is_within(label.get_position()[place], list(axis.get_view_interval()))
    }
    found = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    shown = (text for text in found if text.get_visible() and text not in hidden)
    return [text for text in shown if text.get_text().strip()]


def is_within(value: float, ends: Collection[float]) -> bool:
    return min(ends) - 1e-9 <= value <= max(ends) + 1e-9


def overlaps(one: BboxBase, other: BboxBase) -> bool:
    """Whether two boxes share more than a pixel's border."""
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    along = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(across > 1 and along > 1)


def test_every_method_has_a_look_of_its_own() -> None:
    own = ["a.b:first", "a.b:second", "a.b:third"]
    found = looks([*ALL, *own])
    assert len(set(found.values())) == len(ALL) + len(own)
    assert looks(["abn"])["abn"] == found["abn"]


def test_ours_is_marked_as_ours() -> None:
    assert title_of("reff_plus") == "ReFF+ (ours)"
    assert title_of("reff") == "ReFF"


@pytest.mark.parametrize("size", [28, 32, 48, 56, 64, 100, 112, 128])
def test_a_small_images_pixels_stay_even(size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    tile = image_tile(image)
    times = len(tile) // size
    assert len(tile) == times * size
    assert tile_size(size) == len(tile)
    assert np.array_equal(tile, np.kron(image / np.float32(255), block(times)))


def block(times: int) -> NDArray[np.float32]:
    return np.ones((times, times, 1), np.float32)


def test_a_large_image_becomes_smaller() -> None:
    tile = image_tile(np.full((224, 224, 3), 51, np.uint8))
    assert tile.shape == (TILE, TILE, 3)
    assert np.allclose(tile, 0.2)


@pytest.mark.parametrize("size", [28, 128])
def test_a_map_is_enlarged_as_torch_does_it(size: int) -> None:
    heat = np.random.default_rng(0).random((7, 7), np.float32)
    wanted = F.interpolate(
        torch.from_numpy(heat)[None, None], (size, size), mode="bilinear"
    )
    assert np.allclose(enlarge(heat, size), wanted[0, 0].numpy(), atol=1e-6)


def test_the_energy_inside_has_its_known_answers() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4, 1:5] = 1
    assert energy_in(np.ones((2, 2)), mask) == pytest.approx(mask.mean())
    assert energy_in(mask, mask) == 1.0
    assert energy_in(np.zeros((2, 2)), mask) is None
    assert overlap(0.9 * mask, mask) == 1.0
    assert overlap(0.4 * mask, mask) == 0.0


def test_a_heat_map_depends_on_shares_of_its_maximum_only() -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    heat = np.random.default_rng(0).random((4, 4), np.float32)
    assert np.allclose(heat_tile(image, heat), heat_tile(image, 7 * heat), atol=1e-2)
    assert np.ptp(heat_tile(image, 0 * heat)) < 0.3  # no colour at all


def test_an_outline_stays_on_the_masks_own_pixels() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 10:30] = 1
    tile = np.zeros((128, 128, 3), np.float32)
    drawn_on = outlined(tile, mask).max(axis=2) > 0
    inside = np.kron(mask, np.ones((2, 2), np.uint8)) == 1
    assert not (drawn_on & ~inside).any()
    assert drawn_on.sum() == 4 * 39
    assert np.array_equal(drawn_on[40], inside[40])


def test_the_command_names_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_runs(out, study_cells(("reff",), ("all",), (0,)), lambda _: True)
    result = CliRunner().invoke(main, ["figures", str(out)])
    assert result.exit_code == 0, result.output
    assert "missing: fig6: no run of ABN" in result.stdout
    assert f"figures: {out / 'figures'}: fig1, fig3, " in result.stdout
    refused = CliRunner().invoke(main, ["figures", str(tmp_path)])
    assert refused.exit_code == 2
    assert "has no grid.json: no grid was run there" in refused.stderr


def test_figures_need_no_torch_and_tables_no_matplotlib(tmp_path: Path) -> None:
    write_runs(tmp_path, study_cells(("reff",), ("all",), (0,)), lambda _: True)
    code = f"""
import sys
from reff_bench.cli import main
main(["table", {str(tmp_path)!r}], standalone_mode=False)
assert "matplotlib" not in sys.modules
main(["figures", {str(tmp_path)!r}], standalone_mode=False)
assert not {{"torch", "matplotlib.pyplot"}} & set(sys.modules)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
