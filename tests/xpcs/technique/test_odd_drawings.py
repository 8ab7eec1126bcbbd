"""Figures of results with dark bins, without numbers, or with many marks can be drawn and read."""

from itertools import pairwise

import numpy as np
import pytest

from ainerd_xpcs.technique import OVER_Q, bin_names, draw_over_q, new_figure

Q = np.linspace(0.01, 0.05, 5)
NONE = {name: np.full(5, np.nan) for name in OVER_Q}
TIMES = NONE | {"tau_s": 1 / Q, "tau_s_err": 0.1 / Q}


@pytest.mark.parametrize(
    ("phi", "names"),
    [
        ([0.0, 90.0], ["φ = 0°", "φ = 90°"]),
        ([0.0, 90.0, 0.0], ["4: φ = 0°", "φ = 90°", "6: φ = 0°"]),
        ([np.nan, np.nan], ["bin 4", "bin 5"]),
    ],
)
def test_bins_of_several_rings_have_different_names(phi, names):
    assert bin_names(np.arange(4, 4 + len(phi)), np.array(phi)) == names


def test_a_long_reason_and_a_single_ring_fit_into_a_narrow_part_of_a_page():
    figure = new_figure(3.2, 6)
    reason = "the relaxation times scatter by more than their errors around any power law of q"
    times, shapes = draw_over_q(figure, np.full(5, 0.024), TIMES, {"no_q_exponent": reason})
    figure.draw_without_rendering()  # a layout without room would warn
    assert times.get_xscale() == times.get_yscale() == "log"
    ticks = [label.get_window_extent() for label in shapes.get_xticklabels()]
    assert len(ticks) > 1 and all(one.x1 < two.x0 for one, two in pairwise(ticks))
