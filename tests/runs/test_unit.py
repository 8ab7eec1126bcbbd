"""A unit that is being analysed, by its frames, and results that Tiled refuses for good."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np

from ainerd.runs import Unit


def test_a_unit_is_its_frames_of_all_its_runs():
    """Frames 0 to 2, 4 and 5 of one run, and 0 and 1 of the next one."""

    def run(uid, value):
        return SimpleNamespace(
            uid=uid, n_event=3, reading=lambda key, event, unit: value,
            of_frames=lambda key, first, last, event, unit: np.arange(first, last) + (value or 0),
            series=lambda key, event, unit: np.full((2, 2), value or 0.0),
        )  # fmt: skip

    unit = Unit("k", [run("a", None)])
    unit.analysis = MagicMock()
    for first, n in ((0, 2), (2, 1), (4, 2)):
        unit.push(SimpleNamespace(first=first, frames=np.zeros((n, 6))))
    assert unit._taken == [[(0, 3), (4, 6)]] and (unit.n_read, unit.n_passed, unit.n_taken) == (5, 6, 5)
    unit.problem, unit.retake = "dark", True
    unit.go_on(run("b", 10.0))
    assert (unit.n_read, unit.problem, unit.retake, unit.run.uid) == (0, None, False, "b")
    unit.push(SimpleNamespace(first=0, frames=np.zeros((2, 6))))
    assert (unit.n_read, unit.n_passed, unit.n_taken) == (2, 8, 7)
    assert unit.of_frames("x").tolist() == [0, 1, 2, 4, 5, 10, 11] and unit.value("x") == 10
    assert unit.series("x").tolist() == [[0, 0, 10, 10]] * 2
    assert [call.args[1] for call in unit.analysis.push.call_args_list] == [0, 2, 4, 0]
    third = Unit("k", [run("a", 1.0)], event=3)
    third.analysis = MagicMock()
    third.push(SimpleNamespace(first=7, frames=np.zeros((2, 6))))
    assert third.first == 6 and third.n_passed == 3 and third.analysis.push.call_args.args[1] == 1
