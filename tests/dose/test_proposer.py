import numpy as np
import pytest

from ainerd.dose import Known, Proposer
from ainerd.knobs import Exposure, ExposureOptions
from ainerd.technique import Pace

OPTIONS = ExposureOptions(
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


def test_a_slow_sample_is_exposed_longer_and_a_fast_one_faster():
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
        if (proposal := made.propose(rng.random(2) * 3, left)) is not None:
            assert OPTIONS.objection(proposal[0]) is None and OPTIONS.dose(proposal[0]) <= left


def test_more_light_is_used_if_the_neighbourhood_scatters_less():
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
    options = ExposureOptions(modes=[mode], transmissions=fine, flux=1.0, limit=1e4, longest_s=1e4)
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


FINE = tuple(np.geomspace(1.0, 1e-5, 3000).tolist())
ONE_TIME = ExposureOptions(
    modes=[{"frame_time_s": (0.1, 0.1), "frames": (10, 100_000)}],
    transmissions=FINE, flux=1.0, limit=1e9, longest_s=1e9, precision=0.05, counts_per_s=1e4,
)  # fmt: skip
FAR = np.array([9.0, 9.0])


def light(contrast, cost, n_frames, tau_s, counts_per_s, margin):
    """Transmission for a relative error of 0.05, which is cost / (beta k sqrt(T tau / dt)) with k photons a frame."""
    return margin * cost / (0.05 * contrast * np.sqrt(n_frames * tau_s / 0.1)) / (counts_per_s * 0.1)


@pytest.mark.parametrize(("error_s", "spread"), [(0.1, 0.1), (0.475, 0.25), (3.0, 0.5), (None, 0.3)])
def test_an_exposure_of_a_known_spot_has_the_frames_and_the_light_for_its_time(error_s, spread):
    of = Proposer(ONE_TIME, reach=1.0, beam=0.1)
    of.learn(Known(HERE, Pace(tau_s=1.9, error_s=error_s, contrast=0.3), USUAL))
    exposure, _ = of.propose(HERE, 1e9)
    n_frames = np.ceil(15 * 1.9 * 10 ** (2 * spread) / 0.1)  # fifteen of the longest time
    assert (exposure.frame_time_s, exposure.n_frames) == (0.1, n_frames)
    expected = light(0.3, 0.042, n_frames, 1.9 * 10 ** (-0.7 * spread), 1e4, 1.5)
    assert exposure.transmission == pytest.approx(expected, rel=0.005)


def test_before_the_first_result_times_of_five_decades_are_possible():
    exposure, reason = Proposer(ONE_TIME, reach=1.0, beam=0.1).propose(HERE, 1e9)
    assert reason == "no relaxation time is known yet" and exposure.n_frames == np.ceil(15 * 10**2.6 / 0.1)
    pairs = 0.1  # a time of less than a frame counts as a frame
    expected = light(0.15, 0.042, exposure.n_frames, max(10 ** (-0.7 * 1.3), pairs), 1e4, 2.0)
    assert exposure.transmission == pytest.approx(expected, rel=0.005)


def test_contrast_and_cost_are_learned_from_results_and_the_light_from_the_neighbourhood():
    of = Proposer(ONE_TIME, reach=1.0, beam=0.1)
    at = Exposure(0.01, 5000, 0.5)
    paces = [Pace(tau_s=2.0, error_s=error, contrast=beta, counts=0.4) for error, beta in
             ((0.1, 0.2), (0.04, 0.4), (0.3, 0.3), (0.2, 0.5))]  # fmt: skip
    costs = [pace.error_s / 2.0 * pace.contrast * 0.4 * np.sqrt(5000 * 2.0 / 0.01) for pace in paces]
    unsure = Pace(tau_s=2.0, error_s=1.1, contrast=0.9, counts=0.4)  # too unsure for a cost
    for pace in (
        *paces,
        unsure,
        Pace(above_s=3.0, contrast=0.1, counts=0.4),
        Pace(tau_s=2.0, contrast=1.5, counts=0.4),
    ):
        of.learn(Known(FAR, pace, at))
    of.learn(Known(HERE, Pace(tau_s=2.0, error_s=0.1), None))
    exposure, _ = of.propose(HERE, 1e9)
    contrast, cost = np.median([0.2, 0.4, 0.3, 0.5, 0.9]), np.quantile(costs, 0.25)
    rate = 0.4 / (0.01 * 0.5)
    expected = light(contrast, cost, exposure.n_frames, 2.0 * 10**-0.07, rate, 1.5)
    assert exposure.transmission == pytest.approx(expected, rel=0.005)


def test_the_nearer_exposures_tell_more_of_the_time_and_how_sure_it_is():
    of = Proposer(ONE_TIME, reach=2.0, beam=0.1)
    known = {(1.0, 0.0): 0.5, (0.0, 3.0): 8.0}  # distances 1 and 3, half a reach and one and a half
    for at, tau_s in known.items():
        of.learn(Known(np.array(at), Pace(tau_s=tau_s, error_s=0.1 * tau_s), USUAL))
    weight = np.exp([-0.125, -1.125]) + 0.02 * np.exp([0, -0.5])
    weight, logs = weight / weight.sum(), np.log10([0.5, 8.0])
    mean = weight @ logs
    exposure, reason = of.propose(np.zeros(2), 1e9)
    assert reason == f"the relaxation time is about {10**mean:.2g} s in the neighbourhood"
    among = weight @ (logs - mean) ** 2 + 0.1**2
    spread = np.sqrt(among + 0.15**2 + (0.6 * 1 / 4) ** 2)
    assert exposure.n_frames == np.ceil(15 * 10 ** (mean + 2 * spread) / 0.1)
    _, reason = of.propose(np.array([5.1, 0.0]), 1e9)  # 4.1 from the nearest
    assert reason.endswith("far from here, where the nearest exposures are")


@pytest.mark.parametrize(
    ("pace", "mean", "spread"),
    [
        (Pace(above_s=5.0), np.log10(5.0) + 1.2, 0.8),
        (Pace(above_s=1.0), np.log10(3.0) + 1.2, 0.8),  # three tenths of the exposure of ten seconds
        (Pace(below_s=5.0), np.log10(5.0) - 1.0, 0.7),
        (Pace(), np.log10(1e-3) + 1.0, 1.0),  # ten frames
    ],
)
def test_an_unmeasured_time_is_expected_beyond_the_limit(pace, mean, spread):
    of = Proposer(ONE_TIME, reach=1.0, beam=0.1)
    of.learn(Known(HERE, pace, USUAL))
    exposure, _ = of.propose(HERE, 1e9)
    assert exposure.n_frames == np.clip(np.ceil(15 * 10 ** (mean + 2 * spread) / 0.1), 10, 100_000)


def test_the_frame_time_resolves_the_shortest_time_and_covers_the_longest():
    options = ExposureOptions(
        modes=[{"frame_time_s": (1e-4, 1.0), "frames": (100, 10**6)}], flux=1.0, limit=1e9, longest_s=1e4
    )
    of = Proposer(options, reach=1.0, beam=0.1)
    of.learn(Known(HERE, Pace(tau_s=2.0, error_s=0.4), USUAL))
    exposure, _ = of.propose(HERE, 1e9)
    assert 5 * exposure.frame_time_s <= 2.0 * 10**-0.4 and exposure.seconds >= 15 * 2.0 * 10**0.4
    assert exposure.seconds == pytest.approx(15 * 2.0 * 10**0.4, rel=0.001)  # and no longer
    short = ExposureOptions(modes=options.modes, flux=1.0, limit=1e9, longest_s=20.0)  # ten of the middle time fit
    of = Proposer(short, reach=1.0, beam=0.1)
    of.learn(Known(HERE, Pace(tau_s=2.0, error_s=0.4), USUAL))
    exposure, _ = of.propose(HERE, 1e9)
    assert exposure.seconds == pytest.approx(20.0) and 5 * exposure.frame_time_s <= 2.0 * 10**-0.4


def test_with_little_dose_left_the_light_goes_first_and_then_the_frames():
    options = ExposureOptions(
        modes=[{"frame_time_s": (0.1, 0.1), "frames": (100, 4000)}], transmissions=(1.0, 0.5, 0.2),
        flux=2.0, limit=1e9, longest_s=1e4, overhead_s=5.0, counts_per_s=1e-3,
    )  # fmt: skip
    of = Proposer(options, reach=1.0, beam=0.1)
    of.learn(Known(HERE, Pace(tau_s=2.0, error_s=0.2), USUAL))
    frames = int(np.ceil(15 * 2.0 * 10**0.2 / 0.1))
    whole = 0.1 * frames + 5.0  # s with the open shutter
    for left, expected in (
        (2.0 * whole, (frames, 1.0)),
        (1.99 * whole, (frames, 0.5)),
        (0.9 * whole, (frames, 0.2)),
        (0.39 * whole, (frames // 2, 0.2)),
        (2.0 * 0.2 * (0.1 * 100 + 5.0), (100, 0.2)),
        (1.99 * 0.2 * (0.1 * 100 + 5.0), None),
    ):
        proposal = of.propose(HERE, left)
        assert (proposal and (proposal[0].n_frames, proposal[0].transmission)) == expected


def test_a_time_is_measured_again_if_it_is_a_fifth_less_sure_than_wanted():
    for error_s, again in ((0.119, False), (0.121, True)):
        assert (proposer(Known(HERE, Pace(tau_s=1.0, error_s=error_s), USUAL)).again(HERE) is not None) is again
    sure = Known(HERE, Pace(tau_s=1.0), USUAL)
    assert proposer(sure).again(HERE) is None and proposer().again(HERE) is None
    unsure = Known(HERE, Pace(tau_s=1.0, error_s=0.4), USUAL)
    assert proposer(unsure, Known(HERE, Pace(tau_s=1.0, error_s=0.1), USUAL)).again(HERE) is None  # the last one counts
    assert proposer(unsure, unsure).again(HERE + [0.099, 0]) and not proposer(unsure).again(HERE + [0.101, 0])


@pytest.mark.parametrize(
    ("tau_s", "first", "second", "expected"),
    [  # frame time and frames of two modes; times differ by 10**0.2 from the middle one
        (1e-3, (1.25e-4, (10, 10**6)), (1e-4, (10**5, 10**6)), 0),  # five frames in the shortest time, and shorter
        (1e-3, (1.35e-4, (10, 10**6)), (1e-4, (10**5, 10**6)), 1),
        (1e3, (1.0, (10, 5100)), (2.0, (10, 10**6)), 0),  # five of the middle time
        (1e3, (1.0, (10, 4700)), (2.0, (10, 10**6)), 1),
        (1e3, (480.0, (100, 10**6)), (520.0, (10, 10**6)), 0),  # two frames in the middle time, though longer
        (1e-3, (1e-4, (10, 10**6)), (5e-5, (10, 10**6)), 0),  # both do: the shorter one
    ],
)
def test_the_mode_that_covers_more_is_taken_and_else_the_shorter_one(tau_s, first, second, expected):
    modes = [{"frame_time_s": (dt, dt), "frames": frames} for dt, frames in (first, second)]
    options = ExposureOptions(modes=modes, flux=1e-9, limit=1e9, longest_s=1e9)
    of = Proposer(options, reach=1.0, beam=0.1)
    of.learn(Known(HERE, Pace(tau_s=tau_s, error_s=0.1 * tau_s), USUAL))
    exposure, _ = of.propose(HERE, 1e9)
    assert exposure.frame_time_s == (first, second)[expected][0]
