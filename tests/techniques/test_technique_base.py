"""A technique that inherits from `Technique`, and one that only has the methods: both have all optional parts."""

import numpy as np
import pytest

from ainerd.technique import AnalysisError, RunAnalysis, RunInfo, Technique, begin, complete, load, provides
from tests.techniques.toy.toy import Toy, Trajectory

RUN = RunInfo(raw_uid="x", n_frames=None, frame_shape=(6, 8))


class Inherits(Toy, Technique):
    """The toy, with a mean frame and landmarks."""

    def begin(self, run):
        return Pictures(self, run.frame_shape)

    def landmarks(self):
        return "two"


class Pictures(Trajectory, RunAnalysis):
    every = 5

    def so_far(self):
        return np.ones((2, 2))


class Slots:
    __slots__ = ("pixels",)

    def finish(self):
        return "finished"


@pytest.fixture(params=[Toy, Inherits])
def technique(request):
    return complete(request.param(), Technique)


def test_optional_parts_have_defaults(technique):
    assert technique.null_regimes() is None and technique.common() is None and technique.optimizer({}) is None
    assert list(technique.check()) == list(technique.questions()) == []
    assert technique.sketch(None) is None and technique.warm_up() is None
    analysis = begin(technique, RUN)
    assert analysis.next_run(RUN) is None and analysis.whole(np.zeros((6, 8)), 0) is None
    assert analysis.pixels.size == 48
    assert isinstance(analysis, Trajectory) and isinstance(technique, Toy)


def test_own_parts_are_used():
    own, plain = Inherits(), complete(Toy(), Technique)
    assert own.landmarks() == "two" and plain.landmarks() is None
    assert begin(own, RUN).every == 5 and begin(plain, RUN).every is None
    assert begin(own, RUN).so_far().shape == (2, 2) and begin(plain, RUN).so_far() is None
    assert provides(own, "landmarks") and not provides(own, "common") and not provides(plain, "landmarks")
    assert provides(plain, "regimes") and not provides(Technique(), "regimes")


def test_to_complete_again_changes_nothing(technique):
    kind = type(technique)
    assert type(complete(technique, Technique)) is kind and kind.__name__ in ("Toy", "Inherits")


def test_a_class_with_slots_is_completed():
    analysis = complete(Slots(), RunAnalysis)
    assert analysis.finish() == "finished" and analysis.so_far() is None


def test_an_analysis_of_none_is_refused():
    technique = Toy()
    technique.begin = lambda run: None
    with pytest.raises(AnalysisError, match=r"technique toy: begin\(\) returned nothing"):
        begin(technique, RUN)


def test_load_completes_a_class_that_only_has_the_methods(installed_toy):
    kind = load("toy")
    technique = kind.from_settings({"unit": "run"}, None)
    assert type(technique) is kind and technique.landmarks() is None and technique.name == "toy"
    assert kind.__mro__[1].__name__ == "Toy" and list(kind.questions()) == []
