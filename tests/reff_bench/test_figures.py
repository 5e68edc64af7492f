from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TypeAlias

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from reff_bench.grid.config import RunConfig
from reff_bench.report.figures.bars import draw_gap, draw_worst_groups
from reff_bench.report.figures.curves import draw_learning, points
from reff_bench.report.figures.examples import Wanted, pick_runs, seeds_in_words
from reff_bench.report.figures.figure import Figure
from reff_bench.report.figures.maps import draw_one_image
from reff_bench.report.figures.runs import RunSet, main_rows, most_annotated
from reff_bench.report.figures.style import drawing_style, render
from reff_bench.report.figures.write import Figures, draw_figures, write_figures
from reff_bench.results.folder import find_runs, open_runs
from reff_bench.results.json_file import ResultsError
from reff_bench.results.panels import write_panels
from reff_bench.results.run import run_folder
from tests.reff_bench.fakes import call, changed, make_config, make_row
from tests.reff_bench.made_up_runs import (
    examples,
    figure_of,
    study_configs,
    study_of,
    write_run,
    write_runs,
)

PAPERS = {f"fig{number}" for number in range(1, 8)}


def draw_all(out: Path, *others: Path, kinds: tuple[str, ...] = ()) -> Figures:
    """Lay all figures out; of a kind, write them."""
    return write_figures(open_runs(out), [*map(open_runs, others)], kinds)


PNG = ("png",)  # a PDF embeds its fonts, which takes a while


def small_study() -> list[RunConfig]:
    """Two amounts, one seed and half-size digits: quick to draw."""
    methods = ("baseline", "reff", "reff_l1", "reff_l2", "abn")
    half = {"image_size": 56, "digit_size": 28}
    return [
        *study_configs(methods, (1, "all"), (0,)),
        *study_configs(methods[:4], ("all",), (0,), **half),
    ]


Drawn: TypeAlias = tuple[Path, Figures]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    out = tmp_path_factory.mktemp("runs")
    write_runs(out, small_study(), lambda _: True)
    return out, draw_all(out, kinds=PNG)


def test_every_figure_is_written(drawn: Drawn) -> None:
    out, figures = drawn
    assert set(figures.captions) >= PAPERS
    names = {f"{name}.png" for name in figures.captions}
    there = {path.name for path in (out / "figures").iterdir()}
    assert there == {*names, "captions.txt"}
    assert {path.name for path in figures.files} == names
    lines = (out / "figures" / "captions.txt").read_text().split("\n\n")
    assert [line.split(":")[0] for line in lines] == [*figures.captions]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in figures.files)


def test_what_the_paper_has_and_the_grid_lacks_is_named(drawn: Drawn) -> None:
    missing = drawn[1].missing
    assert "fig1: no evaluated run on ISIC2017" in missing
    assert "fig1: no evaluated run on Oxford-IIIT Pet" in missing
    assert "fig2: no run with annotations 5, 10, 20, 50" in missing
    assert "fig3: no run with annotations 5, 10, 20, 50" in missing
    assert "accuracy_bg: the grid has no two values of bg to compare" in missing
    assert not any(line.startswith(("fig7", "learning")) for line in missing)


def test_captions_say_seed_setting_and_selection(drawn: Drawn) -> None:
    caption = drawn[1].captions["fig7"]
    assert "Seed 0, the lowest that's done." in caption
    assert "Annotations: All." in caption
    assert "56 px, digits of 28 px" in caption
    assert "bg 0 (test 1), tex 0 (test 0)" in caption
    assert "Hyper-parameters fixed in the grid" in caption


def test_the_same_records_give_the_same_pictures(drawn: Drawn, tmp_path: Path) -> None:
    write_runs(tmp_path, small_study(), lambda _: True)
    with rc_context({"font.size": 30, "savefig.bbox": "tight", "axes.grid": True}):
        again = draw_all(tmp_path, kinds=PNG)
    assert again.missing == drawn[1].missing
    for one, other in zip(drawn[1].files, again.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_pdf_has_no_date_and_no_type_3_font(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_configs(("reff",), (1, "all"), (0,)))
    with drawing_style():
        (first,), (second,) = (
            render(figure_of(study, "accuracy_annotations"), ["pdf"]) for _ in range(2)
        )
    assert first == second
    assert first.startswith(b"%PDF")
    assert b"Date" not in first
    assert b"/Type3" not in first
    assert b"/FontFile2" in first


def test_a_grid_without_a_finished_run_names_everything(tmp_path: Path) -> None:
    plan = write_runs(tmp_path, small_study(), lambda _: False)
    stale = tmp_path / "figures" / "fig4.png"
    stale.parent.mkdir()
    stale.touch()
    figures = draw_all(tmp_path, kinds=PNG)
    assert (figures.files, figures.captions) == ([], {})
    assert not stale.exists()
    named = {line.partition(":")[0] for line in figures.missing}
    assert named >= PAPERS | {"accuracy_annotations", "epg_annotations", "learning"}
    assert "fig6: annotations 1: no run is done (1 pending)" in figures.missing
    words = "worst_group: 10 runs have no worst_group_accuracy yet, the first: "
    assert words in str(figures.missing)
    assert len(plan.configs) == 14


def test_the_command_names_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_runs(out, study_configs(("reff",), (5, "all"), (0,)), lambda _: True)
    result = call("figures", out)
    assert result.exit_code == 0, result.output
    names = "gap, one_image, fig1, fig2, fig3, accuracy_annotations"
    assert f"figures: {out / 'figures'}: {names}" in result.stdout
    lines = result.stdout.splitlines()
    assert "missing: fig4: no run of ReFF (L1)" in lines
    assert "missing: fig6: no run of ABN" in lines
    assert "missing: fig7: no run with digits smaller than the image" in lines
    assert "missing: fig3_stages: no run of ReFF (L1)" not in lines
    assert "missing: fig4_stages: no run of ReFF (L1)" in lines


def test_a_half_finished_run_shows_what_is_there(tmp_path: Path) -> None:
    configs = study_configs(("reff", "abn"), (1, 5, "all"), (0, 1))
    write_runs(tmp_path, configs, lambda c: c.method == "reff" and c.seed == 1)
    done = [run_folder(tmp_path, config) for config in configs[:6] if config.seed == 1]
    (done[0] / "panels.npz").unlink()
    write_panels(done[2], {**examples(configs[3]), "index": np.arange(50, 54)})
    figures = draw_all(tmp_path)
    assert "Seed 1, the lowest that's done." in figures.captions["fig3"]
    for words in (
        "fig3: annotations 1: seed 1 was evaluated without example maps; ",
        "fig3: annotations All: its examples are other test images",
    ):
        assert words in str(figures.missing)
    assert "fig6: annotations 5: no run is done (2 pending)" in figures.missing
    assert "learning: no finished run of ABN" in figures.missing
    assert "fig6" not in figures.captions


def test_fig1_takes_further_datasets_from_other_folders(tmp_path: Path) -> None:
    study_of(tmp_path / "a", study_configs(("reff",), ("all",), (0,)))
    none = dict.fromkeys(("bg", "tex", "test_bg", "test_tex", "digit_size"))
    pets = make_config("abn", dataset="pets", image_size=64, **none)
    study_of(tmp_path / "b", [pets])
    figures = draw_all(tmp_path / "a", tmp_path / "b")
    assert "Textured MNIST 32 px, Oxford-IIIT Pet 64 px" in figures.captions["fig1"]
    assert figures.missing[0] == "fig1: no evaluated run on ISIC2017"
    assert figures.missing[1].startswith("fig2: ")
    with pytest.raises(ResultsError, match=r"has no grid.json: no grid was run there"):
        draw_all(tmp_path / "a", tmp_path / "c")


def test_images_without_a_mask_say_so(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_configs(("reff",), (5,), (0,)))
    folder = tmp_path / "cells" / study.rows[0].id
    found = examples(make_config(annotations=5))
    write_panels(folder, {**found, "mask": 0 * found["mask"]})
    drawn = {figure.name: figure for figure in draw_figures([study])}
    assert drawn["fig1"].missing[-1] == "Textured MNIST: its test images have no masks"
    assert notes(drawn["fig2"]).count("no mask") == 2 * len(found["label"])
    assert "right" in notes(drawn["fig3"])  # no EPG before it
    assert "area" not in "".join(notes(drawn["fig3"]))


def notes(figure: Figure) -> list[str]:
    """What is written around tiles."""
    assert figure.canvas is not None
    return [text.get_text() for axes in figure.canvas.axes for text in axes.texts]


def test_the_lowest_seed_that_is_done_stands_for_a_row(tmp_path: Path) -> None:
    configs = study_configs(("reff",), ("all",), (2, 0, 1))
    plan = write_runs(tmp_path, configs, lambda config: config.seed != 0)
    runs = RunSet(find_runs(tmp_path, plan))
    picks, missing = pick_runs(runs, [Wanted("ReFF", "", runs.rows, "stage4")])
    assert ([pick.row.seed for pick in picks], missing) == ([1], ())
    assert seeds_in_words(picks) == "Seed 1, the lowest that's done."
    both = [make_config("baseline", seed=3), make_config("reff", seed=0)]
    runs = study_of(tmp_path / "both", both)
    named = zip(("Baseline", "ReFF"), runs.rows, strict=True)
    wanted = [Wanted(name, "", [row], "stage4") for name, row in named]
    picks, _ = pick_runs(runs, wanted)
    assert "Baseline: 3, ReFF: 0." in seeds_in_words(picks)


def test_the_gap_is_that_of_the_records(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_configs(("baseline", "reff"), ("all",), (0, 1)))
    canvas = draw_gap(study).canvas
    assert canvas is not None
    bars = [one for one in canvas.axes[0].patches if isinstance(one, Rectangle)]
    expected = [
        fmean(row.metrics[value] for row in study.rows if row.method == method)
        for method in ("baseline", "reff")
        for value in ("val_accuracy", "test_accuracy")
    ]
    assert [bar.get_height() for bar in bars] == pytest.approx(expected)


def test_a_test_without_a_shift_has_no_gap(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_configs(("reff",), ("all",), (0,), bg=1.0))
    figure = draw_gap(study)
    assert figure.canvas is None
    assert "the training's background randomness" in figure.missing[0]


def test_one_image_is_the_first_that_baseline_gets_wrong(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_configs(("baseline", "reff"), ("all",), (0,)))
    caption = draw_one_image(study).caption
    arrays = study.examples(study.rows[0]) or {}
    assert (arrays["predicted"] != arrays["label"]).any()
    assert caption.startswith("The first example image that Baseline gets wrong.")
    alone = study_of(tmp_path / "reff", study_configs(("reff",), ("all",), (0,)))
    assert draw_one_image(alone).caption.startswith("The first example image. ")


def test_bars_of_nothing_are_left_out(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_configs(("reff",), ("all",), (0,)))
    rows = tuple(changed(row, worst_group_accuracy=0.0) for row in study.rows)
    figure = draw_worst_groups(RunSet(replace(study.folder, records=rows)))
    assert figure.canvas is None
    assert "the worst group's accuracy is 0 in every run" in figure.missing


def test_the_chosen_hyper_parameters_are_shown(tmp_path: Path) -> None:
    configs = [make_config(weight=w, seed=s) for w in (0.1, 1.0) for s in (0, 1)]
    plan = write_runs(tmp_path, configs, lambda _: True, options={"weight": (0.1, 1.0)})
    for config in configs:
        better = 0.9 if config.value("weight") == 1.0 else 0.2
        write_run(run_folder(tmp_path, config), config, val_accuracy=better)
    study = RunSet(find_runs(tmp_path, plan))
    chosen = study.first_setting(study.rows)
    assert {row.settings.value("weight") for row in chosen} == {1.0}


def test_settings_are_never_mixed(tmp_path: Path) -> None:
    reff = (("reff",), (5, "all"), (0,))
    other = study_configs(*reff, tex=0.5, test_tex=0.5)
    study = study_of(tmp_path, [*study_configs(*reff), *other])
    assert {row.settings.tex for row in study.first_setting(study.rows)} == {0.0}
    figure = figure_of(study, "accuracy_annotations")
    assert [axes.get_title() for axes in figure.axes] == ["tex = 0", "tex = 0.5"]
    lines = [line for axes in figure.axes for line in axes.lines]
    assert all(len(values(line)) == 2 for line in lines)  # two amounts, or chance


def test_nothing_but_the_axis_varies_along_a_curve(tmp_path: Path) -> None:
    configs = [make_config(bg=bg, epochs=4 if bg == 0 else 2) for bg in (0.0, 0.5, 1.0)]
    study = study_of(tmp_path, configs)
    (panel,) = (p for p in study.settings("bg", "epg", of=study.rows) if p.rows[1:])
    assert (panel.rows, panel.setting) == ((0.5, 1.0), {"epochs": 2})


def test_the_papers_figures_are_about_data_with_a_spurious_feature() -> None:
    half = make_row(make_config(image_size=56, digit_size=28))
    plain, assigned = make_row(make_config(bg=1.0)), make_row(make_config())
    assert main_rows([half, plain, assigned]) == [assigned]
    assert main_rows([half, plain]) == [plain]


def test_each_method_is_shown_at_its_largest_amount() -> None:
    configs = [*study_configs(("reff", "abn"), (5, 50), (0,)), make_config("reff")]
    rows = most_annotated([make_row(config) for config in configs])
    kept = {(row.method, row.settings.annotations) for row in rows}
    assert kept == {("reff", "all"), ("abn", 50)}


def values(line: Line2D, axis: int = 1) -> list[float]:
    """What goes up; to the right with 0."""
    found: list[float] = np.asarray(line.get_data()[axis]).tolist()
    return found


def test_a_curve_has_the_tables_means_and_intervals(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_configs(("reff",), (1, 50), (0, 1, 2)))
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
    study = study_of(tmp_path, study_configs(("reff",), (1, 50), (0, 1)))
    rows = [changed(row, test_accuracy=float(row.seed)) for row in study.rows]
    (panel,) = study.settings("annotations", "test_accuracy", of=rows)
    assert points(panel, "reff")[50] == (0.5, 0.0, 1.0)


def test_what_needs_no_annotations_is_a_level_line(tmp_path: Path) -> None:
    configs = study_configs(("reff",), (1, 5, "all"), (0,))
    study = study_of(tmp_path, [*configs, make_config("baseline", annotations=5)])
    baseline = figure_of(study, "accuracy_annotations").axes[0].lines[0]
    assert values(baseline, 0) == [0, 2]
    assert len(set(values(baseline))) == 1


def test_a_line_is_broken_where_a_run_is_missing(tmp_path: Path) -> None:
    configs = study_configs(("reff",), (1, 5, 10), (0,))
    plan = write_runs(tmp_path, configs, lambda config: config.annotations != 5)
    study = RunSet(find_runs(tmp_path, plan))
    line = figure_of(study, "accuracy_annotations").axes[0].lines[0]
    assert np.isnan(values(line)).tolist() == [False, True, False]


def test_randomness_is_drawn_to_scale_for_compared_methods(tmp_path: Path) -> None:
    configs = [make_config("reff", tex=tex, test_tex=tex) for tex in (0.0, 0.2, 1.0)]
    study = study_of(tmp_path, [*configs, make_config("abn")])
    figure = figure_of(study, "accuracy_tex")
    reff, chance = figure.axes[0].lines
    assert values(reff, 0) == [0.0, 0.2, 1.0]
    assert values(chance, 0) == [0, 1]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ReFF", "chance"]


def test_learning_curves_are_means_over_seeds_of_every_term(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_configs(("reff", "abn"), ("all",), (0, 1)))
    canvas = draw_learning(study).canvas
    assert canvas is not None
    assert [axes.get_title() for axes in canvas.axes] == [
        "sum that is minimized",
        "cross-entropy",
        "penalty on the maps",
        "map loss of ABN",
        "validation accuracy in %",
        "% empty maps, stage 4",
    ]
    own = [row.history["loss"] for row in study.rows if row.method == "reff"]
    assert values(canvas.axes[0].lines[0]) == np.mean(own, 0).tolist()
