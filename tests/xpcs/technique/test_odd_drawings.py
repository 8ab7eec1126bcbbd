"""Figures of results with dark bins, without numbers, or with many marks can be drawn and read."""

from itertools import pairwise

import numpy as np
import pytest

from ainerd_files import draw_many_over_q
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


def test_exposures_without_any_relaxation_time_are_drawn():
    figure = new_figure(7, 6)
    draw_many_over_q(figure, [(Q, NONE)] * 2, [1, 2], "number")
    figure.draw_without_rendering()
    assert figure.axes[0].get_title() == "2 exposures"


def test_all_marks_fit_into_the_title():
    figure = new_figure(7, 6)
    draw_many_over_q(figure, [(Q, TIMES | dict.fromkeys(OVER_Q[4:10], 1 / Q))], [1], "number")
    figure.draw_without_rendering()
    title = figure.axes[0].title.get_window_extent()
    assert figure.bbox.x0 < title.x0 < title.x1 < figure.bbox.x1


def test_a_long_reason_and_a_single_ring_fit_into_a_narrow_part_of_a_page():
    figure = new_figure(3.2, 6)
    reason = "the relaxation times scatter by more than their errors around any power law of q"
    times, shapes = draw_over_q(figure, np.full(5, 0.024), TIMES, {"no_q_exponent": reason})
    figure.draw_without_rendering()  # a layout without room would warn
    assert times.get_xscale() == times.get_yscale() == "log"
    ticks = [label.get_window_extent() for label in shapes.get_xticklabels()]
    assert len(ticks) > 1 and all(one.x1 < two.x0 for one, two in pairwise(ticks))
