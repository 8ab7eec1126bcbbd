import numpy as np
import pytest

from ainerd.exposures import Exposure, Exposures
from ainerd.steering import Known, Proposer
from ainerd.technique import Pace

OPTIONS = Exposures(
    modes=[
        {"frame_time_s": (1e-4, 1e-2), "frames": (500, 20000)},
        {"frame_time_s": (0.02, 1.0), "frames": (200, 5000)},
    ],
    transmissions=(1.0, 0.3, 0.1, 0.03, 0.01),
    flux=1.0,
    limit=10.0,
    longest_s=3600.0,
)
HERE, BESIDE = np.array([1.0, 1.0]), np.array([1.2, 1.0])
USUAL = Exposure(1e-3, 10000, 1.0)


def proposer(*known):
    made = Proposer(OPTIONS, reach=1.0, beam=0.1)
    for each in known:
        made.learn(each)
    return made


def proposed(of, left=10.0, at=HERE):
    exposure, _ = of.propose(at, left)
    assert OPTIONS.objection(exposure) is None and OPTIONS.dose(exposure) <= left
    return exposure


@pytest.mark.parametrize("tau_s", [1e-3, 1e-2, 0.1, 1.0, 10.0])
def test_an_exposure_covers_the_relaxation_time_of_its_neighbour(tau_s):
    pace = Pace(tau_s=tau_s, error_s=0.1 * tau_s, contrast=0.2, counts=0.1)
    exposure = proposed(proposer(Known(BESIDE, pace, USUAL)))
    assert exposure.frame_time_s <= tau_s / 2 and exposure.seconds >= 5 * tau_s


def test_what_does_not_decay_is_exposed_longer_and_what_is_too_fast_faster():
    slow = proposed(proposer(Known(HERE, Pace(above_s=20.0, contrast=0.2, counts=0.1), USUAL)))
    assert slow.seconds > 10 * USUAL.seconds
    fast = proposed(proposer(Known(HERE, Pace(below_s=1e-3), USUAL)))
    assert fast.frame_time_s < USUAL.frame_time_s / 2
    reasons = [proposer(Known(HERE, pace, USUAL)).again(HERE) for pace in (Pace(above_s=20.0), Pace(below_s=1e-3))]
    assert reasons == ["the relaxation time is longer than 20 s", "the relaxation time is shorter than 0.001 s"]


def test_a_spot_is_exposed_again_until_tau_is_known_or_three_times():
    known = Pace(tau_s=1.0, error_s=0.05)
    assert proposer(Known(HERE, known, USUAL)).again(HERE) is None
    unsure = Known(HERE, Pace(tau_s=1.0, error_s=0.4), USUAL)
    assert proposer(unsure).again(HERE) == "the relaxation time is known only to 40 %"
    assert proposer(unsure).again(BESIDE) is None
    assert proposer(unsure, unsure, unsure).again(HERE) is None
    assert proposer(Known(HERE, Pace(), USUAL)).again(HERE) == "no relaxation time was measured"
    assert proposer(Known(HERE, Pace(), None)).again(HERE) is None  # taken by hand, with settings of its own


def test_more_light_is_needed_where_results_have_shown_larger_errors():
    def of(error):
        each = [Known(BESIDE, Pace(tau_s=1.0, error_s=error, contrast=0.2, counts=0.1), USUAL)] * 3
        return proposed(proposer(*each)).transmission

    assert of(0.001) < of(0.03) <= of(0.2)


def test_the_dose_that_is_left_bounds_an_exposure_and_none_is_left_in_the_end():
    known = proposer(Known(BESIDE, Pace(tau_s=1.0, error_s=0.1, contrast=0.2, counts=0.1), USUAL))
    for left in (10.0, 1.0, 0.1, 0.01):
        assert OPTIONS.dose(proposed(known, left)) <= left
    assert known.propose(HERE, 1e-6) is None


def test_any_exposure_that_is_proposed_fits_modes_and_dose():
    rng = np.random.default_rng(2)
    for _ in range(150):
        made = Proposer(OPTIONS, reach=1.0, beam=0.1)
        for _ in range(int(rng.integers(0, 6))):
            tau_s = float(10 ** rng.uniform(-5, 5))
            pace = [
                Pace(tau_s=tau_s, error_s=tau_s * rng.uniform(0, 2)),
                Pace(above_s=tau_s),
                Pace(below_s=tau_s),
                Pace(),
            ]
            made.learn(Known(rng.random(2) * 3, pace[rng.integers(4)], USUAL if rng.random() < 0.7 else None))
        left = float(10 ** rng.uniform(-4, 1))
        if (found := made.propose(rng.random(2) * 3, left)) is not None:
            assert OPTIONS.objection(found[0]) is None and OPTIONS.dose(found[0]) <= left


def test_where_the_neighbourhood_scatters_less_more_light_is_used():
    bright, dim = np.array([0.0, 0.0]), np.array([10.0, 0.0])
    paces = {1.0: bright, 0.05: dim}  # counts per pixel and frame
    known = [Known(at, Pace(tau_s=0.1, error_s=0.01, contrast=0.2, counts=n), USUAL) for n, at in paces.items()]
    of = proposer(*known)
    light = [proposed(of, at=at + 0.3).transmission for at in (bright, dim)]
    assert light[1] >= 3 * light[0]


def test_far_from_all_exposures_as_on_the_next_sample_of_a_holder_an_exposure_is_proposed():
    of = proposer(Known(HERE, Pace(tau_s=0.1, error_s=0.01, contrast=0.2, counts=0.1), USUAL))
    exposure, reason = of.propose(HERE + 1e5, 10.0)
    assert OPTIONS.objection(exposure) is None and reason.startswith("the relaxation time is about 0.1 s far from here")


def test_a_time_between_two_limits_is_expected_in_their_middle_with_their_distance_as_four_spreads():
    for above_s, below_s, spread in ((1.0, 25.0, np.log10(25) / 4), (4.99, 5.01, 0.15)):  # neighbours differ by 0.15
        between = proposer(Known(HERE, Pace(above_s=above_s, below_s=below_s, counts=0.1), USUAL))
        as_known = proposer(Known(HERE, Pace(tau_s=5.0, error_s=5.0 * spread, counts=0.1), USUAL))
        words = f"the relaxation time lies between {above_s:.2g} and {below_s:.2g} s"
        assert between.again(HERE) == words and between.propose(HERE, 10.0)[1] == words
        assert between.propose(BESIDE, 10.0)[1] == "the relaxation time is about 5 s in the neighbourhood"
        for at in (HERE, BESIDE):
            assert proposed(between, at=at) == proposed(as_known, at=at)


def test_the_light_follows_from_the_pairs_of_frames_that_show_the_decay():
    """The error of tau falls as one over the root of its pairs: tau / dt of each frame, and one for a faster decay."""
    fine = tuple(np.geomspace(1.0, 1e-4, 1000).tolist())
    mode = {"frame_time_s": (0.1, 0.1), "frames": (2000, 2000)}
    options = Exposures(modes=[mode], transmissions=fine, flux=1.0, limit=1e4, longest_s=1e4)
    light = []
    for tau_s in (0.001, 0.1, 0.4, 10.0):
        pace = Pace(tau_s=tau_s, error_s=0.05 * tau_s, contrast=0.2, counts=0.01)
        of = Proposer(options, reach=1.0, beam=0.1)
        of.learn(Known(HERE, pace, USUAL))
        exposure, reason = of.propose(HERE, 1e4)
        assert reason == f"the relaxation time here is about {tau_s:.2g} s, not precisely known"
        light.append(exposure.transmission)
    safe = 10**-0.07  # of tau: 0.7 times the spread of log10(tau), which is 0.1 at least
    pairs = np.maximum(np.array([0.01, 1.0, 4.0, 100.0]) * safe, 1)
    assert np.array(light) / light[0] == pytest.approx(pairs**-0.5, rel=0.02)
