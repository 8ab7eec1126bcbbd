"""The client of one result in an installation with ainerd."""

from dataclasses import replace

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from ainerd.results import AinerdResult, explain, export
from ainerd.technique import panels
from ainerd.words import SINCE
from tests.cli.conftest import Site


@pytest.fixture(scope="module")
def nodes(night):
    client, _, keys = night
    return [client["ainerd/results"][key] for key in keys]


def test_arrays_are_attributes_read_when_sliced(nodes, night):
    _, store, keys = night
    node = nodes[2]
    assert isinstance(node, AinerdResult)
    np.testing.assert_array_equal(node.c2[4], store.array(keys[2], "c2")[4])
    assert "dims" not in node.g2.metadata and node.c2.metadata["dims"] == "azimuth,t1,t2"
    np.testing.assert_allclose(node.tau.read()[:2], [0.01, 0.02])
    assert node.record == store.record(keys[2])


def test_missing_arrays_are_not_attributes(nodes):
    assert not hasattr(nodes[2], "denoised") and "denoised" not in dir(nodes[2])
    assert "c2" in dir(nodes[2]) and "c2" not in dir(nodes[5]) and "search" in dir(nodes[5])
    with pytest.raises(AttributeError, match="no array 'c2'.*zero photons"):
        nodes[5].c2  # noqa: B018


def test_the_repr_has_the_verdict(nodes):
    assert repr(nodes[3]) == "<AinerdResult of scan 3: regime 1, p = 0.003 (novel); tau, bins, stress>"
    assert "scan 5: no result, zero photons in the bins" in repr(nodes[5]) and "computing; no arrays" in repr(nodes[6])


def test_a_result_leads_to_its_run_and_configuration(nodes, partition, store, record):
    assert nodes[2].raw.metadata["start"]["scan_id"] == 2
    np.testing.assert_array_equal(nodes[2].configuration["roi_map"].read(), partition.roi_map)
    with pytest.raises(KeyError, match="configuration .* is not on this server"):
        nodes[8].configuration  # noqa: B018
    store.begin(record(raw_uid="nowhere"))
    (stray,) = store.container["results"].values()
    with pytest.raises(KeyError, match="run raw/nowhere is not on this server"):
        stray.raw  # noqa: B018


def test_a_plot(nodes, tmp_path):
    figure = nodes[2].plot()
    curves = figure.axes[1].get_lines()
    np.testing.assert_array_equal([line.get_ydata() for line in curves], nodes[2].g2.read())
    assert [ax.get_ylabel() for ax in figure.axes[1:]] == ["$g_2$", "stress (Pa)", "$C_2$", ""]  # of the bins
    assert "scan 2 at sample_x 2.50 mm, sample_y 2.00 mm" in figure.get_suptitle()
    assert [text.get_text() for text in figure.axes[0].texts] == [str(k) for k in range(1, 19)]
    figure.savefig(tmp_path / "result.png")
    shown, _ = DisplayFormatter().format(figure)  # as a notebook does, without pyplot
    assert shown["image/png"].startswith(b"\x89PNG")


def test_times_of_a_figure_count_from_the_start_of_the_exposure(store, record, analysis):
    key = store.begin(record(technique="toy", run_time=1000.0, exposure_time=1012.5))
    alone = replace(analysis(), arrays={}, dims={}, units={})
    store.complete(key, alone, series={"stress": ([1, 12, 13, 20], [3, 4, 5, 6])})
    (axes,) = store.container["results"][key].plot().axes
    assert axes.get_xlabel() == SINCE
    assert axes.lines[0].get_xdata().tolist() == [0, 0.5, 7.5] and axes.lines[0].get_ydata().tolist() == [4, 5, 6]


def test_a_plot_without_maps(nodes):
    assert [axes.get_ylabel() for axes in nodes[3].plot().axes] == ["stress (Pa)"]
    for node in (nodes[5], nodes[6]):
        with pytest.raises(ValueError, match="nothing to plot: scan [56], (no result, zero|computing)"):
            node.plot()


TOY = """
from pathlib import Path

def plot(result, figure):
    figure.subplots().plot(result.spectrum.read()[::-1])

def export(store, key, path):
    with Path(path).open("x") as file:
        file.write(f"{store.array(key, 'spectrum').sum():g}")
    return path
"""


@pytest.fixture
def toy_panels(tmp_path, importable):
    """Panels of a technique ``toy``, installed like a package."""
    Site(tmp_path).install("toy", {"toy_panels": TOY}, panels="toy_panels", exports="toy_panels:export")
    importable(tmp_path)
    panels.cache_clear()
    yield
    panels.cache_clear()


@pytest.fixture
def toy(store, record, analysis):
    """Store and key of a result of a technique with arrays of its own."""
    key = store.begin(record(technique="toy", scan_id=4))
    arrays = {"spectrum": np.arange(10.0), "peaks": np.eye(3), "cube": np.zeros((2, 2, 2)), "items": np.ones(3)}
    result = replace(analysis(), arrays=arrays, dims={"peaks": ("frame", "peak")}, units={"spectrum": "counts"})
    store.complete(key, result, series={"temperature": ([0, 1], [300, 301])})
    return store, key


def test_a_technique_without_panels_gets_a_plain_plot_and_no_picture(toy, tmp_path):
    store, key = toy
    node = store.container["results"][key]
    assert {"spectrum", "peaks"} <= set(dir(node)) and callable(node.items)
    np.testing.assert_array_equal(node.spectrum[2:4], [2, 3])
    figure = node.plot()
    figure.savefig(tmp_path / "toy.png")
    lines = {axes.get_ylabel(): axes.lines[0].get_ydata().tolist() for axes in figure.axes if axes.lines}
    assert lines == {"temperature": [300, 301], "spectrum (counts)": list(range(10)), "items": [1, 1, 1]}
    (peaks,) = [axes for axes in figure.axes if axes.images]
    assert (peaks.get_ylabel(), peaks.get_xlabel()) == ("frame", "peak")
    np.testing.assert_array_equal(peaks.images[0].get_array(), np.eye(3))
    assert figure.get_supxlabel() == "not drawn: cube" and "scan 4" in figure.get_suptitle()
    with pytest.raises(ValueError, match="writes a result of technique 'toy' to .txt: give a name that ends in .h5"):
        export(store, key, tmp_path / "toy.txt")


def test_a_technique_draws_and_exports_its_own_results(toy, toy_panels, tmp_path):
    store, key = toy
    node = store.container["results"][key]
    (axes,) = node.plot().axes
    assert axes.lines[0].get_ydata()[0] == 9
    file = export(store, key, str(tmp_path / "toy.txt"))
    assert file.read_text() == "45"
    with pytest.raises(ValueError, match="toy.txt exists already"):
        export(store, key, file)


def test_a_verdict_is_explained_from_the_stored_record(night):
    client, store, keys = night
    novel = store.explain(keys[3])
    p = store.record(keys[3]).novelty_p
    odds = f"novel: 1 in {1 / p:.0f} exposures of known behaviour would look as unusual"
    assert novel == f"{odds}. The relaxation time is 0.01 s."  # and no statistics
    against = f"The p-value is {p:.2g}, compared with 500 simulated exposures; novel means p ≤ 0.05."
    assert against in store.explain(keys[3], details=True)
    assert store.explain(keys[2]).startswith("not novel")
    assert store.explain(keys[5]).startswith("there is no verdict, the analysis failed: zero photons")
    assert store.explain(keys[7]).startswith("there is no p-value")
    with pytest.raises(KeyError, match="no result 'nothing'"):
        store.explain("nothing")


def test_an_explanation_names_the_regimes_and_the_terms(night):
    _, store, keys = night
    summary = {"strangeness_embedding": 0.4, "strangeness_structure": 7.25}
    record = store.record(keys[3]).changed(summary=summary, own_p=0.2, own_regimes=[0, 2])
    text, details = explain(record), explain(record, details=True)
    assert (
        ". Compared with earlier exposures of this session, of regimes 0 and 2: "
        "20 in 100 exposures of that kind would differ as much from them"
    ) in text
    assert details.startswith(text.partition(". The relaxation")[0])
    assert "by 7.2 in structure, 0.4 in embedding" in details
