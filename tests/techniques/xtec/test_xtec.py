"""X-TEC as a technique: what every technique keeps, bad input, and any order of runs."""

import numpy as np
import pytest

from ainerd.technique import AnalysisError
from ainerd.techniques.xtec import XTEC
from ainerd.testing import ExampleRun, analyse, technique_checks
from ainerd.testing._example import Feed
from sim_devices import Crystal

TEMPERATURES = np.linspace(30.0, 180.0, 12)


def ramp(seed=0, temperatures=TEMPERATURES, n=96, **crystal):
    rng, sample = np.random.default_rng(seed), Crystal(n, seed=seed, **crystal)
    frames = np.array([rng.poisson(sample.counts(t)) for t in temperatures]).astype(np.uint16)
    return ExampleRun(frames=frames, frame_time_s=None, readings={"temperature": temperatures})


RUNS = [ramp(0), ramp(1)]


@pytest.mark.parametrize(
    "check", list(technique_checks(XTEC(clusters=5), RUNS, section={"clusters": 5, "unit": "K"})), ids=str
)
def test_it_keeps_what_is_asked_of_a_technique(check):
    check()
