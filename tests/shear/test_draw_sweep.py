"""The figure of an amplitude sweep shows the numbers that it is given."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from ainerd_shear import Echoes, cycle_moduli, draw_sweep, phase_of_record
from ainerd_xpcs import Partition
from sim_devices import Oscillation, SoftSolid, write_oscillation

AMPLITUDES = (0.02, 0.2)
PARTITION = Partition.from_roi_map(np.repeat([1, 2], 400).reshape(20, 40), q=[0.03, 0.05])


def echoes(memory, seed):
    rng, n = np.random.default_rng(seed), 80
    field, correlator = rng.normal(size=(2, 20, 40)), Echoes(PARTITION, [0.25])
    for cycle in range(n):
        correlator.push(rng.poisson(3 * np.square(field).sum(0))[None], [cycle + 0.25])
        field = memory * field + np.sqrt(1 - memory**2) * rng.normal(size=field.shape)
    correlator.end()
    return correlator.result()


def moduli(amplitude):
    steady = Oscillation(frequency_hz=1.0, steps=((1.0, amplitude),))
    rng = np.random.default_rng(0)
    record = write_oscillation(steady, SoftSolid(yield_strain=0.1), 800, every_s=0.02, noise=0.02, rng=rng)
    phase = phase_of_record(record["time"], record["strain"])
    return cycle_moduli(record["time"], record["strain"], record["stress"], phase)


@pytest.fixture(scope="module")
def sweep():
    return AMPLITUDES, [echoes(1.0, 0), echoes(0.9, 1)], [moduli(amplitude) for amplitude in AMPLITUDES]


def test_heights_and_velocities_are_drawn_and_a_sample_that_returns_has_a_limit(sweep):
    amplitudes, curves, rheology = sweep
    figure = Figure()
    left, right = draw_sweep(figure, amplitudes, curves, rheology, roi=1)
    for drawn, each in zip(left.containers, curves, strict=True):
        np.testing.assert_array_equal(drawn.lines[0].get_xdata(), each.lag)
        np.testing.assert_array_equal(drawn.lines[0].get_ydata(), each.height[1])
    limit, point = (drawn.lines[0] for drawn in right.containers)
    assert (limit.get_marker(), point.get_marker()) == ("v", "o")
    assert limit.get_ydata()[0] == curves[0].velocity_below[1]
    assert point.get_ydata()[0] == pytest.approx(-np.log(0.9) / 0.05, rel=0.3)  # 1 / (q tau)
    solid = SoftSolid(yield_strain=0.1)
    for drawn, amplitude in zip((limit, point), amplitudes, strict=True):
        storage, loss = solid.moduli(amplitude)
        assert drawn.get_xdata()[0] == pytest.approx(loss / storage, rel=0.05)
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["2 %", "20 %"]
    figure.savefig(io.BytesIO(), dpi=40)


def test_as_many_echoes_as_amplitudes_are_needed(sweep):
    amplitudes, curves, rheology = sweep
    with pytest.raises(ValueError, match="2 amplitudes, 1 echoes and 2 moduli"):
        draw_sweep(Figure(), amplitudes, curves[:1], rheology)
    with pytest.raises(ValueError, match="0 amplitudes"):
        draw_sweep(Figure(), [], [], [])
