"""I(q) with buffer, monitor, transmission and standard: errors against many simulated experiments."""

import numpy as np
import pytest

from ainerd.xpcs import WATER_INV_CM, Measured, Saxs, absolute_factor

Q = np.linspace(0.02, 0.5, 40)
SAMPLE = 5 * np.exp(-((Q * 8) ** 2) / 3) + 0.03  # 1/cm
BUFFER = np.full(Q.size, 0.02)
FACTOR = 50.0  # counts per 1/cm, mm and monitor
ONE_SIDE = {"monitor": Measured(value=3.0, error=0.03), "transmission": Measured(value=0.6, error=0.006)}


def exposure(rng, truth_inv_cm, thickness_mm=1.0, monitor=3.0, transmission=0.6, n=10, noise=0.02):
    """I(q) and its segments: counts per pixel with noise of a share and of photons."""
    mean = truth_inv_cm * thickness_mm * FACTOR * monitor * transmission
    parts = mean + rng.normal(size=(n, Q.size)) * np.hypot(noise * mean, 0.05)
    return Saxs.of_segments(Q, parts.mean(0), parts)


def experiment(rng):
    """A sample in its buffer and water, each with a monitor and a transmission that are read with an error of 1 %."""

    def normalised(truth_inv_cm):
        monitor, through = rng.normal((3.0, 0.6), (0.03, 0.006))
        read = Measured(value=float(monitor), error=0.03), Measured(value=float(through), error=0.006)
        return exposure(rng, truth_inv_cm).normalised(*read)

    sample, buffer, water = (normalised(truth) for truth in (SAMPLE, BUFFER, np.full(Q.size, WATER_INV_CM)))
    thickness = Measured(value=float(rng.normal(1.0, 0.02)), error=0.02)
    factor = absolute_factor(water, WATER_INV_CM, thickness)
    return sample.without(buffer).scaled(factor, Measured(value=1.0, error=0.0)), factor


def test_the_formulas():
    rng = np.random.default_rng(0)
    sample, buffer = exposure(rng, SAMPLE), exposure(rng, BUFFER)
    parts = rng.normal(size=(10, Q.size))
    np.testing.assert_allclose(Saxs.of_segments(Q, parts.mean(0), parts).error, parts.std(0, ddof=1) / np.sqrt(10))
    net = sample.normalised(**ONE_SIDE).without(buffer.normalised(**ONE_SIDE), Measured(value=0.9))
    np.testing.assert_allclose(net.intensity, (sample.intensity - 0.9 * buffer.intensity) / 1.8)
    alone = np.hypot(sample.error, 0.9 * buffer.error) / 1.8
    shared = np.sqrt(2e-4) * np.hypot(sample.intensity, 0.9 * buffer.intensity) / 1.8
    np.testing.assert_allclose(net.error, np.hypot(alone, shared))
    scaled = net.scaled(Measured(value=2.0, error=0.1), Measured(value=0.5, error=0.01))
    np.testing.assert_allclose(scaled.intensity, net.intensity * 2 / 0.05)
    assert scaled.scale_error == pytest.approx(np.hypot(0.05, 0.02)) and scaled.unit == "1/cm"


def test_the_errors_are_the_deviations_of_many_experiments():
    rng = np.random.default_rng(1)
    pulls, of_factor = [], []
    for _ in range(300):
        net, factor = experiment(rng)
        pulls.append((net.intensity - (SAMPLE - BUFFER)) / np.hypot(net.error, net.scale_error * net.intensity))
        of_factor.append((factor.value - 0.1 / FACTOR) / factor.error)
    assert 0.9 < np.std(pulls) < 1.15 and np.abs(np.mean(pulls, axis=0)).max() < 0.35
    assert 0.9 < np.std(of_factor) < 1.1


def test_a_table_of_the_standard_is_interpolated():
    rng = np.random.default_rng(2)
    carbon = 30 * np.exp(-Q)
    standard = exposure(rng, carbon).normalised(**ONE_SIDE)
    q = np.linspace(0.1, 0.4, 50)
    factor = absolute_factor(standard, (q, 30 * np.exp(-q)), Measured(value=1.0))
    assert factor.value == pytest.approx(0.1 / FACTOR, abs=3 * factor.error) and factor.error < 0.02 * factor.value


@pytest.mark.parametrize(
    ("do", "why"),
    [
        (lambda s: s.normalised(Measured(value=0.0)), "the monitor must be positive"),
        (lambda s: s.normalised(transmission=Measured(value=1.2)), "the transmission must be above 0 and at most 1"),
        (lambda s: s.without(Saxs(q=2 * Q, intensity=Q, error=Q)), "sample and buffer have other rings"),
        (
            lambda s: s.without(s.normalised(**ONE_SIDE, unit="per i0")),
            "the buffer in per i0",
        ),
        (lambda s: s.scaled(Measured(value=1.0), Measured(value=0.0)), "the thickness must be positive"),
        (lambda s: absolute_factor(s, 1.0, Measured(value=1.0), (5, 6)), "no I\\(q\\) with an error in this range"),
        (lambda s: Saxs.of_segments(Q, Q, Q[None]), "I\\(q\\) has one segment"),
    ],
)
def test_what_makes_no_sense_is_refused(do, why):
    with pytest.raises(ValueError, match=why):
        do(exposure(np.random.default_rng(0), SAMPLE))
