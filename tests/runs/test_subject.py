"""A unit that is being analysed, by its frames, and results that Tiled refuses for good."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np

from ainerd.runs import Subject


def test_a_subject_is_its_frames_of_all_its_runs():
    """Frames 0 to 2, 4 and 5 of one run, and 0 and 1 of the next one."""

    def run(uid, value):
        return SimpleNamespace(
            uid=uid, n_event=3, reading=lambda key, event: value,
            of_frames=lambda key, first, last, event: np.arange(first, last) + (value or 0),
            series=lambda key, event: np.full((2, 2), value or 0.0),
        )  # fmt: skip

    subject = Subject("k", [run("a", None)])
    subject.analysis = MagicMock()
    for first, n in ((0, 2), (2, 1), (4, 2)):
        subject.push(SimpleNamespace(first=first, frames=np.zeros((n, 6))))
    assert subject._taken == [[(0, 3), (4, 6)]] and (subject.n_read, subject.n_passed, subject.n_taken) == (5, 6, 5)
    subject.problem, subject.retake = "dark", True
    subject.go_on(run("b", 10.0))
    assert (subject.n_read, subject.problem, subject.retake, subject.run.uid) == (0, None, False, "b")
    subject.push(SimpleNamespace(first=0, frames=np.zeros((2, 6))))
    assert (subject.n_read, subject.n_passed, subject.n_taken) == (2, 8, 7)
    assert subject.of_frames("x").tolist() == [0, 1, 2, 4, 5, 10, 11] and subject.value("x") == 10
    assert subject.series("x").tolist() == [[0, 0, 10, 10]] * 2
    assert [call.args[1] for call in subject.analysis.push.call_args_list] == [0, 2, 4, 0]
    third = Subject("k", [run("a", 1.0)], event=3)
    third.analysis = MagicMock()
    third.push(SimpleNamespace(first=7, frames=np.zeros((2, 6))))
    assert third.first == 6 and third.n_passed == 3 and third.analysis.push.call_args.args[1] == 1
