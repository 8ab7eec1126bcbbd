"""Looks at runs in progress: the times at which the technique is asked, and the result of a run that was cut short."""

import numpy as np
import pytest
from event_model import compose_run
from run_sinks import fed
from test_run_state import flown

from ainerd.config import Detector
from ainerd.technique import Series

ANNOUNCED = 64


@pytest.fixture
def asked(toy):
    """A technique whose analyses are enough after some frames, and the frames after which they were asked."""

    def make(after, unit="event", error=None):
        class Asked(toy.analysis):
            def enough(self, wanted):
                looks.append((len(self.sums), wanted))
                if error is not None:
                    raise error
                return "the answer is known" if len(self.sums) >= after else None

            def lost(self, n_frames):
                lost.append(n_frames)

        looks, lost = [], []
        return toy(unit=unit, analysis=Asked, p=0.5), looks, lost

    return make


def taken(technique, folder, n, *, status="success", error=0.1, each=1):
    """Feed a flight of `n` of the announced frames, `each` in a document; return its result and the reason to stop."""
    documents = list(flown(folder, range(1, n + 1), exposures=1, num=ANNOUNCED))
    datums = [doc for name, doc in documents if name == "stream_datum"][::each]
    for first, doc in zip(range(0, n, each), datums, strict=True):
        last = min(first + each, n)
        doc |= {"indices": {"start": first, "stop": last}, "seq_nums": {"start": first + 1, "stop": last + 1}}
    head = [(name, doc) for name, doc in documents if name not in ("stream_datum", "stop")]
    stop = compose_run().compose_stop(exit_status=status) | {"run_start": documents[0][1]["uid"]}
    keys = {"keys": Detector(image="det", n_frames="num"), "roots": [folder]}
    documents = [*head, *(("stream_datum", doc) for doc in datums), ("stop", stop)]
    state, sink = fed(technique, documents, looks={"error": error}, **keys)
    ((_, analysis, _),) = sink.ended
    assert analysis.arrays["sums"].tolist() == list(range(1, n + 1))  # every frame that came, once
    return analysis, state.enough


@pytest.mark.parametrize("each", [1, 7, 20])
def test_the_technique_is_asked_at_an_eighth_a_quarter_and_a_half(asked, tmp_path, each):
    technique, looks, _ = asked(np.inf)
    analysis, reason = taken(technique, tmp_path, ANNOUNCED, each=each)
    assert looks == [(8, 0.1), (16, 0.1), (32, 0.1)] and reason is None  # exactly, however the frames are announced
    assert analysis.status == "complete" and "shortened" not in analysis.summary


def test_a_run_cut_short_is_complete_and_says_why(asked, tmp_path):
    technique, looks, lost = asked(16)
    analysis, reason = taken(technique, tmp_path, 20)
    assert [n for n, _ in looks] == [8, 16] and reason == "the answer is known"
    assert analysis.status == "complete" and analysis.summary["shortened"] == "the answer is known" and not lost


def test_it_has_the_same_result_when_it_is_analysed_again_at_once(asked, tmp_path):
    once, again = (taken(asked(16)[0], tmp_path, 20, each=each)[0] for each in (1, 20))
    assert once.status == again.status and once.summary == again.summary


def test_a_detector_that_went_on_has_a_result_as_ever(asked, tmp_path):
    technique, _, _ = asked(16)
    analysis, reason = taken(technique, tmp_path, ANNOUNCED)
    assert reason and analysis.status == "complete" and "shortened" not in analysis.summary


def test_a_run_that_was_aborted_is_partial_even_if_its_frames_were_enough(asked, tmp_path):
    technique, _, _ = asked(16)
    analysis, _ = taken(technique, tmp_path, 20, status="abort")
    assert analysis.status == "partial" and "shortened" not in analysis.summary


def test_a_run_that_ends_before_its_frames_are_enough_is_partial(asked, tmp_path):
    technique, _, lost = asked(32)
    analysis, reason = taken(technique, tmp_path, 20)
    assert analysis.status == "partial" and reason is None and lost == [ANNOUNCED - 20]


@pytest.mark.parametrize("case", ["off", "a series", "all frames at once"])
def test_nobody_is_asked_if(asked, tmp_path, case):
    technique, looks, _ = asked(8, unit=Series("ramp") if case == "a series" else "event")
    if case == "a series":
        documents = [(name, {**doc, "ramp": 1} if name == "start" else doc) for name, doc in
                     flown(tmp_path, range(1, 65), exposures=1, num=ANNOUNCED)]  # fmt: skip
        keys = {"keys": Detector(image="det", n_frames="num"), "roots": [tmp_path]}
        fed(technique, documents, looks={"error": 0.1}, **keys)
    else:
        off, at_once = case == "off", case == "all frames at once"
        taken(technique, tmp_path, ANNOUNCED, error=None if off else 0.1, each=ANNOUNCED if at_once else 1)
    assert not looks


def test_an_error_in_a_look_costs_the_look_alone(asked, tmp_path, caplog):
    technique, looks, _ = asked(8, error=ZeroDivisionError("a bug"))
    analysis, reason = taken(technique, tmp_path, ANNOUNCED)
    assert len(looks) == 3 and reason is None and analysis.status == "complete"
    assert len([each for each in caplog.records if "error in a look" in each.getMessage()]) == 3
