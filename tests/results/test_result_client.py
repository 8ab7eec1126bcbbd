"""The node of a result, as a Tiled client shows it where ainerd is installed."""

import subprocess
import sys
from importlib.metadata import entry_points

import numpy as np
import pytest

from ainerd.results import AinerdResult
from ainerd.results._explain import explain


@pytest.fixture(scope="module")
def nodes(night):
    client, _, keys = night
    return [client["ainerd/results"][key] for key in keys]


def test_tiled_finds_the_class():
    (entry,) = entry_points(group="tiled.structure_client", name="AinerdResult")
    assert entry.load() is AinerdResult


def test_arrays_are_attributes_read_when_sliced(nodes, night):
    _, store, keys = night
    node = nodes[2]
    assert isinstance(node, AinerdResult)
    np.testing.assert_array_equal(node.c2[4], store.c2(keys[2])[4])
    assert node.g2.dims is None and node.c2.dims == ("azimuth", "t1", "t2")
    np.testing.assert_allclose(node.tau.read()[:2], [0.01, 0.02])
    assert node.record == store.record(keys[2])


def test_what_a_result_has_not_is_no_attribute(nodes):
    assert not hasattr(nodes[2], "denoised") and "denoised" not in dir(nodes[2])
    assert "c2" in dir(nodes[2]) and "c2" not in dir(nodes[5]) and "search" in dir(nodes[5])
    with pytest.raises(AttributeError, match="no array 'c2'.*zero photons"):
        nodes[5].c2  # noqa: B018


def test_it_says_what_was_found(nodes):
    assert repr(nodes[3]) == ("<AinerdResult of scan 3: complete, regime 1, p = 0.003 (novel); tau, stress>")
    assert "failed (zero photons in the bins" in repr(nodes[5]) and "computing; no arrays" in repr(nodes[6])


def test_the_run_and_the_configuration_are_a_step_away(nodes, partition, store, record):
    assert nodes[2].raw.metadata["start"]["scan_id"] == 2
    np.testing.assert_array_equal(nodes[2].configuration["roi_map"].read(), partition.roi_map)
    with pytest.raises(KeyError, match="configuration .* is not on this server"):
        nodes[8].configuration  # noqa: B018
    store.begin(record(raw_uid="nowhere"))
    (stray,) = store.container["results"].values()
    with pytest.raises(KeyError, match="run raw/nowhere is not on this server"):
        stray.raw  # noqa: B018


def test_a_picture_of_all_maps(nodes, night):
    _, store, keys = night
    picture, c2 = nodes[2].image(), store.c2(keys[2])
    assert picture.dtype == np.uint8 and picture.shape == (3 * 16 + 2 * 4, 6 * 16 + 5 * 4)
    np.testing.assert_array_equal(picture, store.image(keys[2]))
    seventh = picture[20:36, 0:16][::-1].astype(float)  # first of the second row, time up
    inside = (seventh > 0) & (seventh < 255)
    assert np.corrcoef(seventh[inside], c2[6][inside])[0, 1] > 0.999


def test_a_plot(nodes, tmp_path):
    figure = nodes[2].plot()
    curves = figure.axes[1].get_lines()
    np.testing.assert_array_equal([line.get_ydata() for line in curves], nodes[2].g2.read())
    assert [ax.get_ylabel() for ax in figure.axes[1:]] == ["$g_2$", "stress (Pa)"]
    assert "scan 2 at sample_x = 2.5" in figure.get_suptitle()
    figure.savefig(tmp_path / "result.png")


def test_reading_results_needs_no_agent():
    heavy = "torch bluesky ophyd event_model sklearn scipy numba matplotlib bluesky_tiled_plugins h5py dask".split()
    code = f"import ainerd.results, sys; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_verdict_is_explained_from_what_is_stored(night):
    client, store, keys = night
    novel = store.explain(keys[3])
    assert novel.startswith("novel at alpha = 0.05: p = ") and "against bank bank of 500" in novel
    assert client["ainerd/results"][keys[3]].explanation == novel
    assert store.explain(keys[2]).startswith("not novel")
    assert store.explain(keys[5]).startswith("there is no verdict: the analysis is failed, zero photons")
    assert store.explain(keys[7]).startswith("there is no claim of novelty")
    with pytest.raises(KeyError, match="no result 'nothing'"):
        store.explain("nothing")


def test_an_explanation_names_the_nearest_kind_and_the_terms(night):
    _, store, keys = night
    summary = {"nearest_known": "flow", "strangeness_embedding": 0.4, "strangeness_structure": 7.25}
    text = explain(store.record(keys[3]).changed(summary=summary))
    assert "most like flow" in text and "by 7.2 in structure, 0.4 in embedding" in text
