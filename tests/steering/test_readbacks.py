"""Motors and ovens do not stand exactly where they were sent."""

import numpy as np
import pytest

from ainerd.knobs import Knob
from ainerd.steering import POLICIES
from tests.explorer import Explorer

X = Knob(range=(0, 10), unit="mm", length=1.0)


def explorer_of(policy="new_regimes", **knobs):
    return Explorer({name: knob.range for name, knob in knobs.items()}, knobs=knobs, policy=POLICIES[policy])


@pytest.mark.parametrize("off", [-0.04, 0.04])
def test_an_oven_that_reads_a_little_more_or_less_stays_at_its_level(off):
    oven = Knob(range=(300, 400), unit="K", length=20.0, speed=1.0, settle_s=300.0, direction="up")
    explorer, levels = explorer_of("levels", x=X, T=oven), []
    for _ in range(12):
        (suggestion,) = explorer.suggest(1)
        levels.append(suggestion["T"])
        point = {"x": suggestion["x"], "T": suggestion["T"] + off, "embedding": np.zeros(2)}
        explorer.ingest([{"_id": suggestion["_id"], **point}])
    assert len(np.unique(levels)) <= 3 and (np.diff(levels) >= 0).all()


def test_a_sample_of_a_holder_that_stands_a_little_beside_its_place_is_that_sample():
    holder = Knob(values=(10, 20, 30), apart=True)
    missed = []
    for off in (0.0, 0.03):
        explorer = explorer_of(holder=holder, x=X)
        way = [(h, x) for h in (10, 20, 30) for x in np.arange(0.5, 10, 1.0)]
        for i, (h, x) in enumerate(way):
            explorer.ingest([{"_id": str(i), "holder": h + off, "x": x, "embedding": np.zeros(2), "novelty_p": 0.5}])
        missed.append(explorer.suggest(1)[0]["unsearched"])
    assert missed[0] == missed[1] < 0.05
    window = explorer.window
    assert np.isnan(window.places(np.array([[np.nan, 1.0]]))[0, 0])
    narrowed = window.changed({"holder": (10, 20), "x": (0, 10)}, [])  # the third is still where it was
    assert narrowed.coordinates(narrowed.places(np.array([[29.0, 1.0]]))) == pytest.approx(np.array([[30, 1]]))


@pytest.mark.parametrize("policy", ["raster", "sobol"])
def test_no_point_of_a_sequence_is_measured_twice_where_the_dose_would_allow_it(policy):
    ways = []
    for error in (0.0, 1e-4):
        explorer = Explorer({"x": (0, 10), "y": (0, 10)}, policy=POLICIES[policy], dose_limit=3, beam_size=0.1)
        ways.append([])
        for i in range(8):
            (suggestion,) = explorer.suggest(1)
            ways[-1].append((suggestion["x"], suggestion["y"]))
            stood = {name: suggestion[name] + error * (-1) ** i for name in "xy"}
            explorer.ingest([{"_id": suggestion["_id"], **stood, "embedding": np.zeros(2)}])
    assert ways[0] == ways[1] and len({*ways[0]}) == 8
