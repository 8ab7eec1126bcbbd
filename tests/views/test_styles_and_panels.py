"""Panels for a paper, and texts that do not overlap."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from test_campaign_figure import campaign, panel

from ainerd.technique import Landmarks
from ainerd.views import Next, campaign_figure


@pytest.fixture(scope="module")
def scene():
    """Ten runs, whose scan numbers do not start at one."""
    scene = campaign(
        [0, 1, 0, 1, 0, 1, 0, 1, 0, 1],
        p=[0.5, 0.03] * 4 + [0.5, 0.004],
        following=Next(position={"sample_x": 5, "sample_y": 1}, reason="why"),
        kinds={0: "slows", 1: "new"},
    )
    scene.table["sample_x"] = [1, 9, 4, 4.02, 6, 7, 2, 3, 8, 5.5]
    scene.table["sample_y"] = [1, 1, 2, 2.02, 4, 1, 4, 3, 4, 2.8]
    scene.table["scan_id"] = range(11, 21)
    return scene


def test_the_path_has_a_direction(scene):
    heads = [patch for patch in panel(campaign_figure(scene), "sample_y").patches if hasattr(patch, "_posA_posB")]
    steps = np.diff(scene.table[["sample_x", "sample_y"]].to_numpy(float), axis=0)
    assert len(heads) == len(steps) == 9
    for head, step in zip(heads, steps, strict=True):
        tail, tip = head._posA_posB
        assert np.dot(np.subtract(tip, tail), step) > 0


def overlaps(figure, monkeypatch):
    """Draw a figure, and return the texts that overlap with each other, as pairs; numbers on discs are left out."""
    drawn, draw = [], Text.draw
    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", lambda self, *a, **more: (drawn.append(self), draw(self, *a, **more)))
        FigureCanvasAgg(figure).draw()
    texts = [text for text in drawn if text.get_visible() and text.get_text().strip() and text.get_gid() != "on a mark"]
    boxes = np.array([text.get_window_extent().extents for text in texts])
    assert len(texts) > 20
    inner = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    pairs = np.argwhere((inner > 1.5).all(axis=2))
    return [(texts[i].get_text(), texts[j].get_text()) for i, j in pairs if i < j and texts[i] is not texts[j]]


def crowded(n_kinds=11):
    """Eighteen runs in five regimes with long names, among landmarks whose names would overlap."""
    rng = np.random.default_rng(3)
    kinds = ["rejuvenating", "intermittent", "stationary", "stick-slip", "populations"]
    regimes = rng.integers(0, 5, 18)
    middles = np.repeat(rng.normal(0, 3, (n_kinds, 8)), 40, axis=0)
    points = (middles + rng.normal(0, 0.8, middles.shape)).astype(np.float32)
    names = [f"{kinds[i % 5]} {i}" for i in range(n_kinds) for _ in range(40)]
    reason = "nothing was measured within 1.8 mm of here yet; here may be regime 0 or regime 1"
    scene = campaign(
        regimes,
        p=np.where(regimes == 1, 0.004, 0.5),
        following=Next(position={"sample_x": 5, "sample_y": 1}, reason=reason),
        kinds={number: f"like {kind}" for number, kind in enumerate(kinds)} | {1: "new"},
        landmarks=Landmarks(embeddings=points, names=names),
    )
    scene.table["sample_x"], scene.table["sample_y"] = rng.uniform(0, 10, 18), rng.uniform(0, 5, 18)
    scene.table["scan_id"] = range(101, 119)
    for of_run in scene.arrays.values():
        of_run["denoised"] = of_run["c2"]
    return scene


def test_texts_do_not_overlap(monkeypatch):
    assert overlaps(campaign_figure(crowded()), monkeypatch) == []
