import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb

from ainerd.steering import SampleMap
from ainerd.technique import Landmarks
from ainerd.views import Next, Scene, campaign_figure
from ainerd_xpcs.technique import panels as rheo_xpcs

BOUNDS = {"sample_x": (0.0, 10.0), "sample_y": (0.0, 5.0)}
UNITS = {"sample_x": "mm", "sample_y": "mm", "stress": "Pa"}
BLUE, ORANGE, GREY = "#0072b2", "#e69f00", "#9a9a9a"


def campaign(regimes, *, p=0.5, status="complete", **options):
    """A scene of one run for each regime, as rheo-XPCS draws it; azimuths of regime k have latents of 10 k."""
    n = len(regimes)
    rng = np.random.default_rng(0)
    keys = [f"run-{i}" for i in range(n)]
    columns = {"status": status, "sample_x": np.linspace(1, 9, n), "sample_y": 2.0, "novelty_p": p, "frame_time_s": 0.1}
    columns |= {"regime": pd.array(regimes, "Int64"), "n_frames": pd.array([500] * n, "Int64")}
    columns["novel"] = pd.array(np.less_equal(p, 0.05) | np.zeros(n, bool), "boolean")
    table = pd.DataFrame(columns, index=pd.Index(keys, name="key"))
    table.attrs["units"] = UNITS
    points = np.eye(8)[np.maximum(regimes, 0)] * 5 + rng.normal(0, 0.1, (n, 8))
    done = table.index[table["status"] == "complete"]
    arrays, series = {}, {}
    for i, (key, regime) in enumerate(zip(keys, regimes, strict=True)):
        if key in done:
            arrays[key] = {"c2": np.full((18, 8, 8), 1 + 0.01 * i), "latent": np.full((18, 4), 10.0 * regime)}
            series[key] = {"stress": np.array([[-1.0, 0, 25, 50], [99, 90 + i, 89, 88]])}
    given = {"table": table, "embeddings": pd.DataFrame(points, index=keys).loc[done], "alpha": 0.05, "bounds": BOUNDS}
    return Scene(**(given | {"panels": rheo_xpcs, "arrays": arrays, "series": series} | options))


def panel(figure, label):
    (axes,) = [axes for axes in figure.axes if axes.get_ylabel().startswith(label)]
    return axes


def gallery(figure):
    return [axes for axes in figure.axes if axes.images and axes.get_xlabel().startswith("$t_1$")]


def texts_of(figure):
    """Return all texts in the figure."""
    regions = [figure, *figure.subfigs, *(inner for part in figure.subfigs for inner in part.subfigs)]
    texts = [text.get_text() for region in regions for text in region.texts]
    texts += [text.get_text() for axes in figure.axes for text in axes.texts]
    return "\n".join(texts + [axes.get_ylabel() for axes in figure.axes])


def discs(axes):
    """Places of the filled marks, by colour."""
    places = {}
    for marks in axes.collections:
        for place, colour in zip(marks.get_offsets(), marks.get_facecolors(), strict=False):
            places.setdefault(to_hex(colour), []).append(tuple(np.round(np.asarray(place, float), 6)))
    return places


@pytest.mark.parametrize("n", [0, 12])
def test_any_number_of_runs_can_be_drawn(n):
    figure = campaign_figure(campaign(np.arange(n) % 3, following=Next(position={"sample_x": 5, "sample_y": 1})))
    figure.savefig(io.BytesIO(), dpi=40)
    assert panel(figure, "sample_y (mm)").get_xlabel() == "sample_x (mm)"
    assert sum(map(len, discs(panel(figure, "second")).values())) == n and not panel(figure, "second").texts
    assert len(gallery(figure)) == min(n, 2)
    assert len(panel(figure, "bin").images) == n
    if n:
        assert len(panel(figure, "stress (Pa)").lines) == n
    assert ("no complete run yet" in texts_of(figure)) == (n == 0)


def test_runs_are_at_their_positions_in_the_colour_of_their_regime():
    scene = campaign([0, 1, 0, -1])
    figure = campaign_figure(scene)
    at = [(x, 2.0) for x in scene.table["sample_x"].round(6)]
    places = discs(panel(figure, "sample_y"))
    assert places[BLUE] == [at[0], at[2]] and places[ORANGE] == [at[1]] and places[GREY] == [at[3]]
    assert discs(panel(figure, "p (small"))[BLUE] == [(1, 0.5), (3, 0.5)]
    path = panel(figure, "sample_y").lines[0]
    np.testing.assert_allclose(path.get_xydata(), scene.table[["sample_x", "sample_y"]])


def test_alpha_is_a_line_and_novel_runs_are_ringed_everywhere():
    figure = campaign_figure(campaign([0, 0, 1], p=[0.4, 0.6, 0.004], alpha=0.03))
    novelty = panel(figure, "p (small")
    assert list(novelty.lines[0].get_ydata()) == [0.03, 0.03] and novelty.get_yscale() == "log"
    assert novelty.get_ylim()[0] < 0.004
    for axes in (panel(figure, "sample_y"), panel(figure, "second"), novelty):
        rings = [marks for marks in axes.collections if len(marks.get_facecolors()) == 0]
        assert sum(len(ring.get_offsets()) for ring in rings) == 1


def test_a_p_value_of_zero_is_at_the_edge_of_the_timeline():
    novelty = panel(campaign_figure(campaign([0, 0, 1], p=[0.4, 0.0, 1e-200])), "p (small")
    low, high = novelty.get_ylim()
    drawn = [y for places in discs(novelty).values() for _, y in places]
    assert 1e-8 < low < 1e-2 and low <= min(drawn) and max(drawn) < high


def test_the_next_point_is_a_star_with_its_reason():
    following = Next(position={"sample_x": 3.25, "sample_y": 1.0}, reason="far from all")
    figure = campaign_figure(campaign([0, 1], following=following))
    assert discs(panel(figure, "sample_y"))[to_hex("gold")] == [(3.25, 1.0)]
    (card,) = [axes for axes in figure.axes if axes.get_title(loc="left") == "Next point"]
    written = " ".join(text.get_text() for text in card.texts)
    assert "sample_x 3.25 mm" in written and "far from all" in written


def test_names_and_reasons_of_people_are_no_formulas():
    following = Next(position={"sample_x": 1, "sample_y": 1}, reason=r"$\frac$")
    figure = campaign_figure(campaign([0, 1], names={1: r"a $\gel$"}, following=following))
    figure.savefig(io.BytesIO(), dpi=40)
    assert r"$\frac$" in texts_of(figure)
    assert r"regime 1 (a $\gel$)" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_gallery_has_the_newest_run_denoised_and_the_nearest():
    scene = campaign([0, 1, 2, 1], status=["complete", "complete", "complete", "failed"])
    scene.table["sample_x"] /= 1000  # a motor in metres
    scene.embeddings.loc["run-2"] = scene.embeddings.loc["run-0"] + 0.01
    scene.arrays["run-2"]["denoised"] = np.full((18, 4, 4), 1.5)
    newest, clean, nearest = gallery(campaign_figure(scene))
    assert "newest\nscan 3 at (0.00633, 2.00)" in newest.get_title() and "scan 1" in nearest.get_title()
    assert "without noise\nscan 3" in clean.get_title()
    assert newest.images[0].get_array().max() == pytest.approx(1.02)
    assert clean.images[0].get_array().max() == 1.5 and nearest.images[0].get_array().max() == 1
    assert len({axes.images[0].get_clim() for axes in (newest, clean, nearest)}) == 1
    assert newest.images[0].get_extent() == [0, 50, 0, 50]


def test_the_latent_axes_depend_only_on_the_landmarks():
    """Distances of a plane are kept, and a new run moves none of the others."""
    plane = np.array([[0.0, 0], [3, 0], [0, 4], [1, 1]])
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 2)))[0]
    known = np.random.default_rng(2).normal(size=(50, 2)) * [3, 1] @ basis.T + 7
    landmarks = Landmarks(embeddings=known.astype(np.float32), names=["ageing"] * 50)
    places = []
    for n in (3, 4):
        scene = campaign([0] * n, landmarks=landmarks)
        scene.embeddings[:] = plane[:n] @ basis.T + 7
        places.append(np.array(discs(panel(campaign_figure(scene), "second"))[BLUE]))
    three, four = places
    np.testing.assert_allclose(np.linalg.norm(four[1:] - four[0], axis=1), [3, 4, 2**0.5], rtol=1e-5)
    np.testing.assert_allclose(four[:3], three, atol=1e-5)


def test_the_strip_has_the_regime_of_each_bin():
    scene = campaign([0, 1])
    scene.arrays["run-1"]["latent"][:5] = 0.4  # five azimuths look like regime 0
    labels = rheo_xpcs.azimuth_regimes(scene, scene.runs)
    assert labels["run-0"].tolist() == [0] * 18 and labels["run-1"].tolist() == [0] * 5 + [1] * 13
    first, second = panel(campaign_figure(scene), "bin").images
    assert first.get_extent() == [0.5, 1.5, 0.5, 18.5] and second.get_extent() == [1.5, 2.5, 0.5, 18.5]
    np.testing.assert_allclose(second.get_array()[:, 0], [to_rgb(BLUE)] * 5 + [to_rgb(ORANGE)] * 13)


def test_a_series_is_drawn_without_values_from_before_the_run():
    line = panel(campaign_figure(campaign([0, 1])), "stress").lines[1]
    np.testing.assert_allclose(line.get_xydata(), [[1.55, 91], [2.0, 89], [2.45, 88]])


def test_a_number_is_drawn_with_its_error_and_limits_as_a_line():
    numbers = {"tau_s": [3.0, np.nan, np.nan], "tau_s_err": [1.0, np.nan, np.nan], "tau_s_above": [np.nan, 2.0, 90.0]}
    scene = campaign([0, 1, 1])
    table = scene.table.assign(**numbers, tau_s_below=[np.nan, 20.0, np.nan])
    axes = panel(campaign_figure(replace(scene, table=table)), "tau_s")
    lines, values, above, below = axes.collections
    ends = [[float(y) for _, y in line] for line in lines.get_segments() if len(line)]
    assert ends == [[2.0, 4.0], [2.0, 20.0]]
    drawn = [points.get_offsets().compressed().tolist() for points in (values, above, below)]
    assert drawn == [[1.0, 3.0], [3.0, 90.0], []] and axes.get_yscale() == "log"


def test_the_belief_is_paler_where_it_is_less_sure():
    belief = SampleMap(
        {"sample_x": np.array([2.5, 7.5]), "sample_y": np.array([2.5])},
        np.array([[0, 1]]),
        np.array([[1.0, 0.2]]),
        np.zeros((1, 2)),
    )
    (image,) = panel(campaign_figure(campaign([0, 1], belief=belief)), "sample_y").images
    assert image.get_extent() == [0, 10, 0, 5]
    np.testing.assert_allclose(image.get_array()[0], [(*to_rgb(BLUE), 0.45), (*to_rgb(ORANGE), 0.09)])


def test_failed_runs_and_missing_values_are_drawn():
    status = ["complete", "failed", "complete", "computing"]
    scene = campaign([0, 0, 1, 0], p=[0.2, np.nan, np.nan, np.nan], status=status, truth=np.arange(6).reshape(2, 3))
    scene.table.loc[["run-1", "run-2"], "novel"] = pd.NA
    scene.table.loc["run-1", ["regime", "sample_x"]] = [pd.NA, np.nan]
    scene.arrays["run-0"]["c2"][:, 3] = np.nan
    scene.series["run-0"]["stress"][1] = np.nan
    figure = campaign_figure(scene)
    figure.savefig(io.BytesIO(), dpi=40)
    assert [text.get_text() for text in panel(figure, "sample_y").texts] == ["1", "3"]
    assert [text.get_text() for text in panel(figure, "p (small").texts] == ["1"]
    assert len(panel(figure, "stress").lines) == 1
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:4] == ["regime 0", "regime 1", "failed", "no p-value"]


def test_runs_at_one_place_share_a_mark():
    scene = campaign([0, 0, 0, 1])
    scene.table["sample_x"] = [2.0, 2.0, 2.0, 4.0]
    assert [text.get_text() for text in panel(campaign_figure(scene), "sample_y").texts] == ["1…3", "4"]


def test_one_motor_is_enough():
    belief = SampleMap({"sample_x": np.array([2.5, 7.5])}, np.array([0, 1]), np.array([1.0, 0.2]), np.zeros(2))
    following = Next(position={"sample_x": 4.0})
    figure = campaign_figure(campaign([0, 1], bounds={"sample_x": (0.0, 10.0)}, following=following, belief=belief))
    (sample,) = [axes for axes in figure.axes if axes.get_xlabel() == "sample_x (mm)"]
    assert discs(sample)[to_hex("gold")] == [(4.0, 0.0)] and len(sample.images) == 1


def test_the_figure_of_a_technique_without_panels_landmarks_and_novelty():
    series = {f"run-{i}": {"temperature": np.array([[0.0, 10], [300 + i, 301]])} for i in range(6)}
    scene = campaign(np.arange(6) % 2, p=np.nan, panels=None, arrays={}, series=series)
    scene.table.loc[:, "novel"] = pd.NA
    figure = campaign_figure(scene)
    figure.savefig(io.BytesIO(), dpi=40)
    assert not gallery(figure) and "C_2" not in texts_of(figure) and "each bin" not in texts_of(figure)
    assert not [text for text in ("novelty", "nothing", "no complete run") if text in texts_of(figure)]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["regime 0", "regime 1"]
    regimes, temperature = [axes for axes in figure.axes if axes.get_xlim() == (0.5, 6.5)]
    assert [label.get_text() for label in regimes.get_yticklabels()] == ["regime 0", "regime 1"]
    assert discs(regimes)[BLUE] == [(1, 0), (3, 0), (5, 0)]
    assert len(temperature.lines) == 6 and temperature.get_ylabel() == "temperature"


def test_a_failing_panel_shows_why_and_the_others_are_drawn(caplog):
    def fail(*_):
        raise KeyError("sp$ectrum$_\x1b[2J\nsecond line")

    toy = SimpleNamespace(gallery=fail, strip=fail)
    figure = campaign_figure(campaign([0, 1], panels=toy, landmarks=Landmarks(embeddings=np.ones((3, 2)), names=["a"])))
    figure.savefig(io.BytesIO(), dpi=40)
    text = texts_of(figure)
    assert "the technique's gallery cannot be drawn: KeyError: 'sp$ectrum$_" in text and "\x1b" not in text
    assert "the technique's strip cannot be drawn: KeyError" in text and "the latent space cannot be drawn" in text
    assert len(caplog.records) == 3 and len(panel(figure, "stress").lines) == 2
