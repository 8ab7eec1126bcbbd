"""The figures of azimuths show the numbers of the data."""

import io
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from studies.paper.azimuths import Azimuths, cluster, coincidence, label_changes, step_down, stress_dips, unit
from studies.paper.figures import (
    cluster_figure,
    latent_figure,
    timeline_figure,
)

N_ROI = 6
QUIET, YIELDED = np.eye(4)[0], np.eye(4)[1]


def relaxing(n=40, events=(7, 15, 16, 29), *, dip_pa=1.0, smallest_s=0.0, seed=0):
    """Exposures of 50 s; if the sample yields, the stress dips and all azimuths change."""
    rng = np.random.default_rng(seed)
    start = 52.0 * np.arange(n)
    latents = 5 * np.where(np.isin(np.arange(n), events)[:, None, None], YIELDED, QUIET)
    latents = latents * rng.uniform(0.7, 1.3, (n, N_ROI, 1)) + rng.normal(0, 0.1, (n, N_ROI, 4))
    runs = pd.DataFrame(
        {"start_s": start, "stop_s": start + 50},
        index=pd.Index([f"run-{i}" for i in range(n)], name="key"),
    )
    readings = []
    for i in range(n):
        age = start[i] + np.arange(0, 50, 4.0)
        stress = 85 + 80 * np.exp(-age / 60) + rng.normal(0, 0.02, age.size)
        if i in events:
            stress[age > start[i] + 21] -= dip_pa
        readings.append(pd.DataFrame({"exposure": i, "age": age, "stress": stress}))
    points, stress = unit(latents.astype(np.float32)), pd.concat(readings)
    return Azimuths(runs=runs, points=points, labels=cluster(points, 2), stress=stress)


def maps_of(key):
    """Azimuth j of run i has C2 = 1 + i + j / 10 beside the diagonal."""
    i = int(key.removeprefix("run-"))
    maps = np.zeros((N_ROI, 8, 8)) + 1 + i + np.arange(N_ROI)[:, None, None] / 10
    return maps + np.eye(8)


@pytest.fixture(autouse=True)
def without_umap(monkeypatch):
    """Importing umap takes longer than all tests here; `make figures` uses it."""
    monkeypatch.setitem(sys.modules, "umap", None)


def saved(figure):
    figure.savefig(io.BytesIO(), dpi=40)
    return figure


def panel(figure, label):
    (axes,) = [axes for axes in figure.axes if axes.get_ylabel().startswith(label)]
    return axes


def test_clusters_do_not_depend_on_contrast_and_the_largest_is_first():
    azimuths = relaxing(events=(3, 4))
    assert azimuths.n_clusters == 2
    assert (azimuths.labels == np.isin(np.arange(40), (3, 4))[:, None]).all()
    assert cluster(np.ones((2, 3, 4)), 4).tolist() == [[0, 0, 0]] * 2  # fewer points than clusters
    np.testing.assert_allclose(np.linalg.norm(azimuths.points, axis=2), 1)


def test_spread_and_step_by_their_definitions():
    azimuths = relaxing(n=3, events=(1,))
    points = azimuths.points
    for i in range(3):
        away = [np.sum((p - points[i].mean(0)) ** 2) for p in points[i]]
        assert azimuths.spread[i] == pytest.approx(np.sqrt(np.mean(away)))
    assert np.isnan(azimuths.step[0]) and azimuths.step[1] == pytest.approx(2**0.5, abs=0.1)


def test_a_dip_is_a_step_on_a_smooth_curve():
    """A relaxation of 80 Pa is no dip, a step of 1 Pa is one, and noise of 0.02 Pa makes no dip of 0.15 Pa."""
    azimuths = relaxing(events=(3, 20))
    dips = stress_dips(azimuths.stress, 40)
    assert dips[[3, 20]] == pytest.approx(1, abs=0.15)
    assert np.isnan(dips[:2]).tolist() == [True, True]  # begin in the first minute or have too few readings
    assert np.nanmax(np.delete(dips, [3, 20])) < 0.15
    assert np.isnan(stress_dips(azimuths.stress[azimuths.stress["exposure"] != 5], 40)[5])


def test_step_down_returns_the_size_of_the_step():
    t = np.sort(np.random.default_rng(0).uniform(0, 50, 14))
    smooth = 90 - 0.1 * t + 0.001 * t**2
    for i in range(2, 12):
        assert step_down(t, smooth - 0.3 * (np.arange(14) >= i)) == pytest.approx(0.3)
    assert step_down(t, smooth) == pytest.approx(0, abs=1e-9)
    assert step_down(t, smooth + 0.3 * (t > 20)) < 0.3  # up is not down


def test_label_changes_are_shares_of_azimuths():
    labels = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0]])
    np.testing.assert_array_equal(label_changes(labels), [0.5, 0.25, 0.5, 1])


def test_labels_that_change_with_the_stress_correlate_in_the_same_exposure():
    result = coincidence(relaxing(), most=5)
    assert result.peak == 0 and np.nanmax(result.correlation) > max(result.chance, 0.7)
    dips = pd.Series(result.dips)
    for lag, value in zip(result.lag, result.correlation, strict=True):  # pandas agrees
        assert value == pytest.approx(pd.Series(result.changes).corr(dips.shift(lag)))
    assert "highest in the exposure of the dip" in str(result)


def test_labels_that_change_without_the_stress_do_not_correlate():
    azimuths = relaxing()
    away = pd.DataFrame(azimuths.stress)
    away["exposure"] = (away["exposure"] + 20) % 40  # dips elsewhere
    away["age"] = 52.0 * away["exposure"] + (away["age"] % 52)
    result = coincidence(Azimuths(**(vars(azimuths) | {"stress": away})), most=5)
    assert max(result.correlation[np.abs(result.lag) <= 1]) < result.chance


def test_too_few_exposures_or_no_stress_is_refused():
    with pytest.raises(ValueError, match="10 exposures are too few"):
        coincidence(relaxing(n=10))
    azimuths = relaxing()
    with pytest.raises(ValueError, match="no stress"):
        coincidence(Azimuths(**(vars(azimuths) | {"stress": azimuths.stress.iloc[:0]})))
    nothing = coincidence(relaxing(events=()), most=5)
    assert np.isnan(nothing.correlation).all() or "chance" in str(nothing)


def test_timeline_shows_labels_and_dips_in_place():
    azimuths = relaxing()
    figure = saved(timeline_figure(azimuths, coincidence(azimuths, most=5)))
    columns = panel(figure, "azimuth").images
    assert len(columns) == 40
    np.testing.assert_allclose(columns[15].get_extent(), [13.0, 13.0 + 50 / 60, 0, 360])
    np.testing.assert_allclose(columns[15].get_array()[:, 0], [to_rgb("#E69F00")] * N_ROI)
    np.testing.assert_allclose(columns[14].get_array()[:, 0], [to_rgb("#0072B2")] * N_ROI)
    quiet, yielded = panel(figure, "cluster").collections[:2]
    assert len(quiet.get_offsets()) == 36 and yielded.get_offsets()[:, 1].tolist() == [1] * 4
    stress = panel(figure, "stress (Pa)")
    assert len(stress.lines) == 40 and len(stress.patches) == 4  # a grey band for each dip
    assert stress.get_ylim()[1] < 100 and "(at 0 s 165 Pa, off the panel)" in stress.get_title(loc="left")
    assert len(panel(figure, "correlation").patches) == 11


@pytest.mark.parametrize("n", [1, 2])
def test_few_exposures_without_stress_can_be_drawn(n):
    azimuths = relaxing(n=n, events=(1,))
    azimuths = Azimuths(**(vars(azimuths) | {"stress": azimuths.stress.iloc[:0]}))
    figure = saved(timeline_figure(azimuths))
    assert "none was monitored" in panel(figure, "stress").texts[0].get_text()
    saved(latent_figure(azimuths))
    saved(cluster_figure(azimuths, maps_of))


def test_latent_figure_names_its_axes():
    azimuths = relaxing()
    by_cluster, by_time, _ = latent_figure(azimuths).axes
    assert by_cluster.get_xlabel().startswith("first principal axis (9")
    flat = by_cluster.collections[0].get_offsets()
    assert len(flat) == 40 * N_ROI == len(by_time.collections[0].get_offsets())
    blue = (by_cluster.collections[0].get_facecolors()[:, :3] == to_rgb("#0072B2")).all(axis=1)
    assert blue.sum() == 36 * N_ROI
    assert np.ptp(flat[blue, 0]) < abs(flat[blue, 0].mean() - flat[~blue, 0].mean())


def test_cluster_means_and_scatters():
    azimuths = relaxing(n=5, events=(1, 4))
    figure = saved(cluster_figure(azimuths, maps_of))
    drawn = [axes for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]
    member = np.concatenate([maps_of(f"run-{i}") for i in (1, 4)])
    np.testing.assert_allclose(drawn[1].images[0].get_array(), member.mean(axis=0))
    np.testing.assert_allclose(drawn[3].images[0].get_array(), member.std(axis=0))
    assert drawn[1].get_title() == "cluster 1\n12 azimuths, 2 exposures"
