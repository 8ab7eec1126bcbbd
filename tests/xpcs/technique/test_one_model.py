"""The exposures of a regime choose one model of g2 together."""

import numpy as np
import pytest

from ainerd_xpcs import MultiTau, Partition, fit_relaxation
from ainerd_xpcs.technique import NAMES, agreed, table_of

N, SHAPE, TAU = 256, (16, 100), 12.0


def exposure(seed, static):
    """Return the fit of Gaussian speckle with a static share of the field, whose moving part has exp(-t / TAU)."""
    rng, step = np.random.default_rng(seed), np.exp(-1 / TAU)
    still, moving = rng.normal(size=(2, 2, 4, *SHAPE))
    correlator = MultiTau(Partition.from_roi_map(np.ones(SHAPE, int)))
    frames = []
    for _ in range(N):
        moving = step * moving + np.sqrt(1 - step**2) * rng.normal(size=moving.shape)
        field = np.sqrt(static) * still + np.sqrt(1 - static) * moving
        frames.append(rng.poisson(0.25 * (field**2).sum((0, 1))))
    correlator.push(np.array(frames, np.uint16))
    return fit_relaxation(correlator.result(), together=True)


@pytest.fixture(scope="module")
def rings():
    return [exposure(seed, 0.4) for seed in range(6)]


def test_together_they_exclude_a_model_that_one_alone_does_not(rings):
    tables = [table_of([ring], NAMES) for ring in rings]
    seen = [{"g2_model": str(ring.model[0]), "g2_model_or": str(ring.either[0]) or None} for ring in rings]
    text, numbers = agreed(tables, seen, NAMES)
    assert text == ""  # nobody has seen a common model before
    assert {each["g2_model"] for each in numbers} == {"stretched + static"}
    pulls = np.array([(np.log(each["tau_s"] / TAU)) * each["tau_s"] / each["tau_s_err"] for each in numbers])
    assert np.abs(pulls).max() < 4 and all(each["tau_s_err"] < each["tau_s"] / 3 for each in numbers)
    for each, ring in zip(numbers, rings, strict=True):  # as a fit by this model alone
        own = list(np.array([x.model for x in ring.candidates])).index("stretched + static")
        assert each["tau_s"] == ring.by_model.tau[own] and each["kww_exponent"] == ring.by_model.exponent[own]


def test_people_are_told_when_the_model_changes(rings):
    tables = [table_of([ring], NAMES) for ring in rings]
    _, numbers = agreed(tables, [{}] * len(tables), NAMES)
    text, nothing = agreed(tables, numbers, NAMES)
    assert text == "" and not any(nothing)
    other = [{**each, "g2_model": "two modes", "g2_model_or": None} for each in numbers]
    text, again = agreed(tables, other, NAMES)
    assert text.startswith("6 exposures of one regime have another model of g2 now: stretched + static")
    assert text.endswith("before: two modes") and again == numbers
