"""Positions that are novel to other techniques."""

import numpy as np

from ainerd.knobs import Knob
from ainerd.steering import Candidate
from ainerd.steering._policies import _at_or_beside
from tests.explorer import Explorer


def test_a_candidate_is_measured_at_its_very_place_unless_its_level_of_a_slow_knob_is_not_open():
    knobs = {
        "x": Knob(range=(0, 20), unit="mm", length=2.0),
        "t": Knob(range=(300, 400), unit="K", length=20.0, settle_s=1),
    }
    explorer = Explorer({name: knob.range for name, knob in knobs.items()}, knobs=knobs)
    explorer.candidates = [Candidate({"x": 12.3, "t": 322.0}, 0.0001, "xtec")]
    survey, spot = explorer.survey(), explorer.window.position(np.array([12.3, 322.0]))
    elsewhere = survey.is_open & (np.abs(survey.window.nodes[:, 1] - spot[1]) > 1)
    assert not np.array_equal(_at_or_beside(survey, spot, elsewhere), spot)
    taken = explorer.suggest(4)
    led = [each for each in taken if each["reason"].startswith("xtec found something ")]
    assert [(each["x"], each["t"]) for each in led] == [(12.3, 322.0)]
