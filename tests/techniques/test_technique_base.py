"""Optional parts of a technique have defaults, and a class that does not inherit is refused in one line."""

import numpy as np
import pytest

from ainerd.technique import RunAnalysis, RunInfo, TechniqueError, load, provides
from tests.cli.conftest import Site
from tests.techniques.toy.toy import Toy

RUN = RunInfo(raw_uid="x", n_frames=None, frame_shape=(6, 8))


def test_optional_parts_have_defaults():
    technique = Toy()
    assert technique.null_regimes() is None and technique.common() is None and technique.optimizer({}) is None
    assert list(technique.check()) == [] and technique.before([]) is None
    assert technique.sketch(None) is None and technique.warm_up() is None
    analysis = technique.begin(RUN)
    assert analysis.next_run(RUN) is None and analysis.whole(np.zeros((6, 8)), 0) is None
    assert technique.landmarks() is None and analysis.every is None and analysis.so_far() is None
    assert provides(technique, "regimes") and not provides(technique, "landmarks")
    assert provides(analysis, "push") and not provides(RunAnalysis(), "push")


def test_a_class_that_does_not_inherit_is_refused(tmp_path, importable):
    Site(tmp_path).install("plain", {"a_plain": "class Plain: pass"}, techniques="a_plain:Plain")
    importable(tmp_path)
    with pytest.raises(TechniqueError, match="^technique 'plain': a_plain:Plain must inherit from ainerd.technique.Te"):
        load("plain")
