"""Exposures that a campaign chooses."""

from types import SimpleNamespace

import pytest
from campaign_toys import BOUNDS, Jobs, Toy, on, outcome

from ainerd.campaign import Campaign, book_of
from ainerd.campaign._exposures import ExposureChoice
from ainerd.config import Steering
from ainerd.dose import DoseBook
from ainerd.knobs import Exposure, ExposureOptions, Knob
from ainerd.results.commands import Reject
from ainerd.steering import Window
from ainerd.technique import Pace

MODES = [{"frame_time_s": (1e-3, 1.0), "frames": (100, 10000)}]
SIZE = dict.fromkeys(BOUNDS, 0.1)


@pytest.fixture
def make_exposing(store):
    def make(**options):
        given = {"modes": MODES, "transmissions": (1.0, 0.1), "flux": 1.0, "limit": 500.0}
        options = ExposureOptions(**given | options)
        book = DoseBook(options, SIZE)
        steering = Steering(bounds=BOUNDS, beam_size=0.1, exposure=options)
        return Campaign(Toy(), store, steering, Jobs(), Jobs(), book=book)

    return make


def measured(campaign, suggestion, pace):
    """Let the campaign learn that a suggestion was measured with its exposure."""
    exposure = campaign.exposure_of(suggestion)
    campaign.exposures.book.enter(suggestion["_id"], suggestion, exposure)
    where = {name: suggestion[name] for name in BOUNDS}
    done = outcome(f"of {suggestion['_id']}", trial_id=suggestion["_id"], **where, pace=pace)
    campaign.answer(done)
    return exposure


def test_each_suggestion_has_an_exposure_and_says_which(make_exposing, store):
    campaign = make_exposing()
    (suggestion,) = campaign.suggest(1)
    exposure = campaign.exposure_of(suggestion)
    assert campaign.exposures.options.objection(exposure) is None and exposure.text in suggestion["reason"]
    assert store.saved[suggestion["_id"]].terms["n_frames"] == exposure.n_frames


def test_a_spot_that_does_not_decay_is_exposed_again_and_longer(make_exposing):
    campaign = make_exposing()
    (suggestion,) = campaign.suggest(1)
    first = measured(campaign, suggestion, Pace(above_s=100.0, contrast=0.2, counts=1.0))
    again = campaign.peek()
    assert [again[name] for name in BOUNDS] == [suggestion[name] for name in BOUNDS]
    assert "here again, because the relaxation time is longer than 100 s" in again["reason"]
    assert campaign.exposure_of(again).seconds > 2 * first.seconds
    campaign.apply(on(Reject, again, why="enough"))
    where = {name: suggestion[name] for name in BOUNDS}
    assert {name: campaign.peek()[name] for name in BOUNDS} != where
    pace = Pace(above_s=100.0, contrast=0.2, counts=1.0)
    campaign.answer(outcome(f"of {suggestion['_id']}", trial_id=suggestion["_id"], **where, pace=pace))
    assert {name: campaign.peek()[name] for name in BOUNDS} != where  # a result that is read twice counts once


def test_a_known_time_is_not_exposed_again(make_exposing):
    campaign = make_exposing()
    (suggestion,) = campaign.suggest(1)
    measured(campaign, suggestion, Pace(tau_s=2.0, error_s=0.1, contrast=0.2, counts=1.0))
    assert "again" not in campaign.peek()["reason"] and "the relaxation time is about 2 s" in campaign.peek()["reason"]


def test_a_spent_sample_has_no_suggestion_and_no_failed_place(make_exposing):
    campaign = make_exposing(limit_of_sample=600.0)
    for id in "ab":
        campaign.exposures.book.enter(id, {"x": 1.0, "y": 9.0 if id == "a" else 2.0}, Exposure(1.0, 300, 1.0))
    with pytest.raises(ValueError, match="no dose is left for an exposure"):
        campaign.peek()
    assert campaign.explorer._trials.n_failed == 0


def test_a_spent_spot_is_left_for_another_place(make_exposing):
    campaign = make_exposing(limit=50.0)
    first = make_exposing(limit=50.0).peek()  # the same place
    campaign.exposures.book.enter("before", first, Exposure(0.5, 100, 1.0))
    with pytest.raises(ValueError, match="no dose is left for an exposure"):
        campaign.peek()
    elsewhere = campaign.peek()
    assert max(abs(elsewhere[name] - first[name]) for name in BOUNDS) >= 0.1
    assert campaign.explorer._trials.n_failed == 1


def test_the_beam_of_the_doses_is_in_the_lengths_of_the_knobs(tmp_path):
    options = {"modes": MODES, "flux": 1.0, "limit": 500.0}
    knobs = {
        "x": Knob(range=(0, 10), length=2.0),
        "y": Knob(range=(0, 10), length=1.0),
        "t": Knob(range=(300, 400), length=20.0),
    }
    steering = Steering(knobs=knobs, beam_size=0.25, exposure=ExposureOptions(**options, spot=("x", "y", "t")))
    settings = SimpleNamespace(steering=steering, storage=SimpleNamespace(directory=tmp_path))
    book, here = book_of(settings), {"x": 3.0, "y": 4.0, "t": 350.0}
    book.enter("a", here, Exposure(1.0, 100, 1.0))
    for name, size in (("x", 0.5), ("y", 0.25), ("t", 5.0)):
        beside = [book.dose_at(here | {name: here[name] + share * size})[0] for share in (-1.01, -0.99, 0.99, 1.01)]
        assert beside == [0, 100, 100, 0]
    assert len(book_of(settings)) == 1 and (tmp_path / "dose.jsonl").exists()
    plain = Steering(bounds=BOUNDS, beam_size=0.25, exposure=ExposureOptions(**options))
    book = book_of(SimpleNamespace(steering=plain, storage=SimpleNamespace(directory=tmp_path / "plain")))
    book.enter("a", here, Exposure(1.0, 100, 1.0))
    assert [book.dose_at({"x": 3.0 + away, "y": 4.0})[0] for away in (0.24, 0.26)] == [100, 0]
    for steering in (Steering(bounds=BOUNDS, beam_size=0.1), Steering(bounds=BOUNDS)):
        assert book_of(SimpleNamespace(steering=steering)) is None


def test_a_point_of_a_person_gets_an_exposure_or_keeps_its_own(make_exposing):
    campaign = make_exposing()
    own = {"x": 3.0, "y": 4.0, "frame_time_s": 0.01, "n_frames": 200, "transmission": 0.1}
    (kept,) = campaign.register_suggestions([own])
    assert campaign.exposure_of(kept) == Exposure(0.01, 200, 0.1)
    (given,) = campaign.register_suggestions([{"x": 7.0, "y": 4.0}])
    assert campaign.exposures.options.objection(campaign.exposure_of(given)) is None


def test_without_a_smallest_region_it_is_a_length_or_a_tenth_of_the_bounds():
    options = ExposureOptions(modes=MODES, flux=1.0, limit=500.0)
    lengths = {"x": Knob(range=(0, 20), length=2.0), "y": Knob(range=(0, 10), length=1.0)}
    for window, smallest, expected in (
        (Window(BOUNDS), None, 1.5), (Window(BOUNDS), 0.4, 0.6), (Window({"x": (0, 50), "y": (0, 10)}), None, 7.5),
        (Window({name: knob.range for name, knob in lengths.items()}, knobs=lengths), None, 1.5),
    ):  # fmt: skip
        choice = ExposureChoice(options, window, smallest, 0.1, DoseBook(options, SIZE))
        assert choice._proposer._reach == pytest.approx(expected) and choice._proposer._beam == 0.1
