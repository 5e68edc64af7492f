from pathlib import Path

import numpy as np
import pytest
from matplotlib.lines import Line2D

from reff_bench.report.figures.curves import points
from reff_bench.report.figures.learning import draw_learning
from reff_bench.report.figures.runs import RunSet, main_rows, most_annotated
from reff_bench.results.folder import find_runs
from reff_bench.results.run import run_folder
from tests.reff_bench.fakes import changed, make_config, make_row
from tests.reff_bench.made_up_runs import (
    figure_of,
    study_configs,
    study_of,
    write_run,
    write_runs,
)


def test_the_chosen_hyper_parameters_are_shown(tmp_path: Path) -> None:
    configs = [
        make_config(weight=weight, seed=s) for weight in (0.1, 1.0) for s in (0, 1)
    ]
    plan = write_runs(tmp_path, configs, lambda _: True, options={"weight": (0.1, 1.0)})
    for config in configs:
        better = 0.9 if config.value("weight") == 1.0 else 0.2
        write_run(run_folder(tmp_path, config), config, val_accuracy=better)
    study = RunSet(find_runs(tmp_path, plan))
    chosen = study.first_setting(study.rows)
    assert {row.settings.value("weight") for row in chosen} == {1.0}


def test_settings_are_never_mixed(tmp_path: Path) -> None:
    configs = [
        config
        for tex in (0.0, 0.5)
        for config in study_configs(("reff",), (5, "all"), (0,), tex=tex, test_tex=tex)
    ]
    study = study_of(tmp_path, configs)
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
    rows = [
        make_row(config) for config in study_configs(("reff", "abn"), (5, 50), (0,))
    ]
    rows.append(make_row(make_config("reff")))
    kept = {(row.method, row.settings.annotations) for row in most_annotated(rows)}
    assert kept == {("reff", "all"), ("abn", 50)}


def values(line: Line2D) -> list[float]:
    """What goes up."""
    return [float(value) for value in np.asarray(line.get_ydata())]


def places(line: Line2D) -> list[float]:
    """What goes to the right."""
    return [float(value) for value in np.asarray(line.get_xdata())]


def test_a_curve_has_the_tables_means_and_intervals(tmp_path: Path) -> None:
    configs = study_configs(("reff",), (1, 50), (0, 1, 2))
    study = study_of(tmp_path, configs)
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
    configs = study_configs(("reff",), (1, 50), (0, 1))
    study = study_of(tmp_path, configs)
    rows = [changed(row, test_accuracy=float(row.seed)) for row in study.rows]
    (panel,) = study.settings("annotations", "test_accuracy", of=rows)
    assert points(panel, "reff")[50] == (0.5, 0.0, 1.0)


def test_what_needs_no_annotations_is_a_level_line(tmp_path: Path) -> None:
    configs = study_configs(("reff",), (1, 5, "all"), (0,))
    study = study_of(tmp_path, [*configs, make_config("baseline", annotations=5)])
    baseline = figure_of(study, "accuracy_annotations").axes[0].lines[0]
    assert places(baseline) == [0, 2]
    assert len(set(values(baseline))) == 1


def test_a_line_is_broken_where_a_run_is_missing(tmp_path: Path) -> None:
    configs = study_configs(("reff",), (1, 5, 10), (0,))
    plan = write_runs(tmp_path, configs, lambda config: config.annotations != 5)
    study = RunSet(find_runs(tmp_path, plan))
    line = figure_of(study, "accuracy_annotations").axes[0].lines[0]
    assert np.isnan(values(line)).tolist() == [False, True, False]


def test_randomness_are_drawn_to_scale_for_methods_that_are_compared(
    tmp_path: Path,
) -> None:
    configs = [make_config("reff", tex=tex, test_tex=tex) for tex in (0.0, 0.2, 1.0)]
    study = study_of(tmp_path, [*configs, make_config("abn")])
    figure = figure_of(study, "accuracy_tex")
    assert [places(line) for line in figure.axes[0].lines] == [
        [0.0, 0.2, 1.0],
        [0, 1],
    ]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ReFF", "chance"]


def test_learning_curves_are_means_over_seeds_of_every_term(tmp_path: Path) -> None:
    study = study_of(tmp_path, study_configs(("reff", "abn"), ("all",), (0, 1)))
    canvas = draw_learning(study).canvas
    assert canvas is not None
    names = [axes.get_title() for axes in canvas.axes]
    assert names == [
        "sum that is minimized",
        "cross-entropy",
        "penalty on the maps",
        "map loss of ABN",
        "validation accuracy in %",
        "% empty maps, stage 4",
    ]
    own = [row.history["loss"] for row in study.rows if row.method == "reff"]
    assert values(canvas.axes[0].lines[0]) == np.mean(own, 0).tolist()
