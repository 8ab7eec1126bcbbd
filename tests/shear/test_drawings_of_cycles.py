"""Figures of runs that oscillate with dark bins, or without moduli, can be drawn and read."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ainerd_shear import panels
from ainerd_xpcs.technique.panels import new_figure

HEIGHT = np.repeat(np.linspace(1, 0.2, 5)[None], 8, axis=0)
HEIGHT[3] = np.nan  # a bin behind the beamstop


def cycles(**columns):
    known = {"echo": 0.5, "storage_pa": 10.0, "loss_pa": 5.0, "tan_delta": 0.5} | columns
    return pd.DataFrame({"cycle": np.arange(1.0, 21)} | known | {f"{name}_err": 0.1 for name in known})


def test_a_dark_bin_leaves_the_echoes_of_its_ring():
    parts = {"echo": HEIGHT, "echo_err": 0 * HEIGHT + 0.07**0.5, "echo_lag": np.arange(1, 6), "cycles": cycles()}
    parts["echoes"] = pd.DataFrame({"q": np.full(8, 0.05)})
    result = type("Result", (dict,), {"metadata": {"q": 0.05, "tau_cycles": 3.0, "tau_cycles_err": 0.2}})(
        {name: SimpleNamespace(read=lambda part=part: part) for name, part in parts.items()}
    )
    figure = panels.sweep([result], [0.1])
    (curve,) = figure.axes[0].containers
    np.testing.assert_allclose(curve.lines[0].get_ydata(), HEIGHT[0])
    np.testing.assert_allclose([np.ptp(bar[:, 1]) / 2 for bar in curve.lines[2][0].get_segments()], 0.1)


@pytest.mark.parametrize("moduli", [{}, dict.fromkeys(("storage_pa", "loss_pa", "tan_delta"), np.nan)], ids=str)
def test_cycles_without_light_or_moduli_are_drawn(moduli):
    c2 = np.full((8, 20, 20), 1.1)
    c2[3] = c2[:, 4] = c2[:, :, 4] = np.nan
    height = np.where(np.arange(5) == 2, np.nan, HEIGHT)
    arrays = {"echo": height, "echo_err": 0 * height + 0.1, "echo_lag": np.arange(1, 6), "echo_c2": c2}
    figure = new_figure(13, 6)
    panels.plot(figure, arrays, cycles(**moduli))
    figure.draw_without_rendering()
    drawn = figure.axes[2].images[0].get_array()
    assert drawn.mask[4].all() and drawn.count() == 19**2 and np.allclose(drawn.compressed(), 1.1)
