import io
import threading

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from ainerd.views import campaign_figure

BOUNDS = {"sample_x": (0.0, 10.0), "sample_y": (0.0, 5.0)}


def campaign(regimes, *, p=0.5, status="complete"):
    n = len(regimes)
    rng = np.random.default_rng(0)
    keys = [f"run-{i}" for i in range(n)]
    table = pd.DataFrame(
        {
            "status": status,
            "sample_x": np.linspace(1, 9, n),
            "sample_y": 2.0,
            "novelty_p": p,
            "novel": np.less_equal(p, 0.05),
            "regime": pd.array(regimes, "Int64"),
            "n_frames": pd.array([500] * n, "Int64"),
            "frame_time_s": 0.1,
            "stress_mean": np.geomspace(9000, 85, n),
        },
        index=pd.Index(keys, name="key"),
    ).astype({"novel": "boolean"})
    points = np.eye(8)[np.maximum(regimes, 0)] * 5 + rng.normal(0, 0.1, (n, 8))
    return table, pd.DataFrame(points, index=keys)


def maps_of(key):
    i = int(key.removeprefix("run-"))
    return np.full((18, 8, 8), 1.0 + 0.01 * i) + 0.1 * np.arange(18)[:, None, None] / 17


def draw(table, embeddings, **options):
    figure = campaign_figure(table, embeddings, maps_of, alpha=0.05, bounds=BOUNDS, **options)
    figure.savefig(io.BytesIO(), dpi=50)
    return figure


def panels(figure):
    def labelled(text):
        return [axes for axes in figure.axes if text in axes.get_ylabel()]

    (sample,), (latent,), (novelty,) = map(labelled, ["sample_y", "principal", "p-value"])
    gallery = [axes for axes in figure.subfigs[0].axes if "run" in axes.get_title()]
    return sample, gallery, latent, novelty, labelled("stress")


def discs(axes):
    """Places of the filled marks, by colour."""
    found = {}
    for marks in axes.collections:
        for place, colour in zip(marks.get_offsets(), marks.get_facecolors(), strict=False):
            found.setdefault(to_hex(colour), []).append(tuple(np.round(np.asarray(place), 6)))
    return found


@pytest.mark.parametrize("n", [0, 1, 2, 12])
def test_any_number_of_runs_can_be_drawn(n):
    figure = draw(*campaign(np.arange(n) % 3), next_point={"sample_x": 5, "sample_y": 1})
    sample, gallery, latent, novelty, beside = panels(figure)
    assert sample.get_xlabel() == "sample_x (mm)" and novelty.get_yscale() == "log"
    assert [text.get_text() for text in latent.texts] == [str(i + 1) for i in range(n)]
    assert min(n, 3) <= len(gallery) <= min(n, 4)
    assert len(beside) == (n > 0)


def test_runs_are_where_they_were_in_the_colour_of_their_regime():
    table, embeddings = campaign([0, 1, 0, -1])
    sample, _, _, novelty, _ = panels(draw(table, embeddings))
    at = {key: (row["sample_x"], 2.0) for key, row in table.round(6).iterrows()}
    blue, orange, grey = "#0072b2", "#e69f00", "#9a9a9a"
    found = discs(sample)
    assert found[blue] == [at["run-0"], at["run-2"]]
    assert found[orange] == [at["run-1"]] and found[grey] == [at["run-3"]]
    assert discs(novelty)[blue] == [(1, 0.5), (3, 0.5)]


def test_the_gallery_shows_the_central_run_of_each_regime_and_the_most_novel():
    table, embeddings = campaign([0, 0, 0, 1], p=[0.4, 0.01, 0.6, 0.3])
    embeddings.loc["run-2"] = embeddings.loc[["run-0", "run-1"]].mean()
    _, gallery, *_ = panels(draw(table, embeddings))
    titles = [axes.get_title().split("\n")[0] for axes in gallery]
    assert titles == ["regime 0: run 3", "regime 1: run 4", "most novel: run 2"]
    for axes, key in zip(gallery, ["run-2", "run-3", "run-1"], strict=True):
        image = axes.images[0]
        np.testing.assert_allclose(image.get_array(), maps_of(key).mean(axis=0))
        assert image.get_extent() == [0, 50, 0, 50]
    assert len({axes.images[0].get_clim() for axes in gallery}) == 1


def test_novel_runs_are_ringed_everywhere():
    table, embeddings = campaign([0, 0, 1], p=[0.4, 0.6, 0.004])
    sample, _, latent, novelty, _ = panels(draw(table, embeddings))
    for axes in (sample, latent, novelty):
        rings = [marks for marks in axes.collections if len(marks.get_facecolors()) == 0]
        assert sum(len(ring.get_offsets()) for ring in rings) == 1


def test_the_latent_map_keeps_distances_of_a_plane():
    table, embeddings = campaign([0, 1, 2, 0])
    plane = np.array([[0.0, 0], [3, 0], [0, 4], [1, 1]])
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 2)))[0]
    embeddings[:] = plane @ basis.T + 7
    _, _, latent, *_ = panels(draw(table, embeddings))
    drawn = np.array([text.xy for text in latent.texts])
    order = [int(text.get_text()) - 1 for text in latent.texts]
    distances = np.linalg.norm(drawn[:, None] - drawn, axis=2)
    expected = np.linalg.norm(plane[order][:, None] - plane[order], axis=2)
    np.testing.assert_allclose(distances, expected, atol=1e-9)


def test_failed_runs_and_runs_without_a_claim_are_drawn():
    status = ["complete", "failed", "complete", "computing"]
    table, embeddings = campaign([0, 0, 1, 0], p=[0.2, np.nan, np.nan, np.nan], status=status)
    table.loc[["run-1", "run-2"], "novel"] = pd.NA
    table.loc["run-1", ["regime", "stress_mean"]] = [pd.NA, np.nan]
    figure = draw(table, embeddings.loc[["run-0", "run-2"]], truth=np.arange(6).reshape(2, 3))
    sample, gallery, latent, novelty, _ = panels(figure)
    assert [text.get_text() for text in sample.texts] == ["1", "3"]
    assert [text.get_text() for text in novelty.texts] == ["1"]
    assert "no claim" in gallery[1].get_title()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:3] == ["regime 0", "regime 1", "failed"]


def test_runs_at_one_place_share_a_mark():
    table, embeddings = campaign([0, 0, 0, 1])
    table["sample_x"] = [2.0, 2.0, 2.0, 4.0]
    sample, *_ = panels(draw(table, embeddings))
    assert [text.get_text() for text in sample.texts] == ["1…3", "4"]


def test_a_figure_can_be_drawn_off_the_main_thread():
    drawn = []
    thread = threading.Thread(target=lambda: drawn.append(draw(*campaign([0, 1]))))
    thread.start()
    thread.join()
    assert len(drawn) == 1
