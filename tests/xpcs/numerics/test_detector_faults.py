"""The screen finds faults of a detector in frames and counts, and nothing in runs without a fault."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.numerics import (
    Events,
    EventScreen,
    MultiTau,
    Partition,
    Screen,
    SpoiltRunError,
    TwoTimeReducer,
    behind,
    disorder,
    no_light,
    shifted,
    two_time,
)

SIDE, N = 48, 200
Y, X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
RADIUS = np.hypot(X, Y)
SECTOR = ((np.arctan2(Y, X) / (2 * np.pi) % 1) * 6).astype(int) % 6
RING = Partition.from_roi_map(
    np.where((RADIUS > 10) & (RADIUS < 23), SECTOR + 1, 0), static_map=1 + (RADIUS > 15) + (RADIUS > 19)
)
ROW, COLUMN = np.divmod(RING.pixels, SIDE)


def movie(seed, photons=0.5, tau=20.0, modes=2, n=N, static=0.0):
    """Return counts of speckle whose field forgets as AR(1), every pixel for itself."""
    rng = np.random.default_rng(seed)
    fixed, field = rng.standard_normal((2, 2 * modes, len(RING.pixels)))
    keep, out = np.exp(-1 / tau), np.empty((n, len(RING.pixels)), np.uint16)
    for t in range(n):
        field = keep * field + np.sqrt(1 - keep**2) * rng.standard_normal(field.shape)
        out[t] = rng.poisson(((np.sqrt(1 - static) * field + np.sqrt(static) * fixed) ** 2).mean(0) * photons)
    return out


@pytest.fixture(scope="module")
def clean():
    return movie(0)


def screened(frames, block=50, kind=Screen):
    """Return the screen after a run, and g2 of the frames that passed it."""
    screen, correlator = kind(RING, len(frames)), MultiTau(RING)
    for start in range(0, len(frames), block):
        some = frames[start : start + block]
        for part in screen.push(Events.of(some, start) if kind is EventScreen else some):
            part.to(correlator)
    for part in screen.flush():
        part.to(correlator)
    return screen, correlator.result()


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**30), photons=st.sampled_from([1e-3, 1e-2, 0.05, 0.5, 5.0, 50.0]),
    tau=st.sampled_from([0.1, 5.0, 60.0, 1e9]), modes=st.sampled_from([1, 2, 5]), static=st.sampled_from([0.0, 0.5]),
)  # fmt: skip
def test_an_ordinary_run_is_left_as_it_is(seed, photons, tau, modes, static):
    """Cases include frames of one or two photons, of which many are equal, and static speckle of contrast 1."""
    frames = movie(seed, photons, tau, modes, static=static)
    screen, g2 = screened(frames)
    left = screen.left_out
    assert left.n_frames == left.n_pixels == 0
    assert screen.no_contrast is None and no_light(g2, frames.mean()) is None


@pytest.mark.parametrize("photons", [0.02, 20.0])
def test_copies_of_the_frame_before_are_left_out(photons):
    frames, rng = movie(1, photons), np.random.default_rng(0)
    put = np.sort(1 + rng.permutation(N - 1)[:20])
    for t in put:
        frames[t] = frames[t - 1]
    left = screened(frames)[0].left_out
    assert left.frames["copy"].tolist() == put.tolist() and left.n_frames == 20 and left.n_pixels == 0


def test_a_detector_that_stands_still_is_refused(clean):
    with pytest.raises(SpoiltRunError, match="179 of 200 frames are copies of earlier ones"):
        screened(np.concatenate([clean[:20], np.repeat(clean[20:21], 180, axis=0)]))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda x: np.minimum(x, 3), "counts end at 3"),
        (lambda x: x % 4, "counts end at 3"),
        (lambda x: x + 1, "no pixel counts less than 1"),
        (lambda x: x * 10, "all counts are multiples of 10"),
        (lambda x: np.where(x == 5, 4, x), "more pixels count 4 than photons allow"),
        (lambda x: x // 2 + (x > 6), "lost photons"),
    ],
)
def test_counts_that_cannot_be_photons_are_named(change, why):
    frames = change(movie(2, 1.0))
    screen, g2 = screened(frames)
    assert why in (screen.no_contrast or no_light(g2, frames.mean()))


def test_counts_that_are_no_whole_numbers_are_not_judged_as_photons():
    screen, _ = screened((1.3 * movie(2, 1.0)).astype(np.float32))
    assert screen.no_contrast is None and screen.no_relaxation is None


@pytest.mark.parametrize(("photons", "is_low"), [(0.5, False), (2.0, True)])
def test_counts_cut_off_low_give_no_relaxation_time(photons, is_low):
    """If few counts reach the ceiling of 3, the relaxation is that of light."""
    frames = movie(3, photons, n=400)
    screen, _ = screened(np.minimum(frames, 3))
    assert screen.no_contrast == "counts end at 3, as if they were cut off there"
    assert screen.no_relaxation == (screen.no_contrast if is_low else None)
    assert screened(frames)[0].no_relaxation is None


def test_afterglow_is_named():
    light = movie(6, modes=5)
    frames = light.copy()
    frames[1:] += np.random.default_rng(0).binomial(light[:-1], 0.15).astype(np.uint16)
    assert "afterglow" in no_light(screened(frames)[1], frames.mean())


@pytest.mark.parametrize("when", [slice(0, N), slice(100, N)])
def test_an_area_that_counts_nothing_is_left_out(clean, when):
    frames, dead = clean.copy(), (ROW >= 12) & (ROW < 14)
    frames[when, dead] = 0
    left = screened(frames)[0].left_out
    pixels = np.concatenate([left.pixels["died"], left.pixels["dead"]])
    assert set(RING.pixels[dead]) <= set(pixels) and left.n_pixels < 2 * dead.sum()


def grainy(seed, tau, photons=20.0, grain=6, n=400):
    """Return counts of one mode of speckle of `grain` × `grain` pixels, which forgets as AR(1)."""
    rng, cell = np.random.default_rng(seed), np.unique(ROW // grain * SIDE + COLUMN // grain, return_inverse=True)[1]
    field, keep = rng.standard_normal((2, cell.max() + 1)), np.exp(-1 / tau)
    out = np.empty((n, len(ROW)), np.uint16)
    for frame in out:
        field = keep * field + np.sqrt(1 - keep**2) * rng.standard_normal(field.shape)
        frame[:] = rng.poisson(photons * (field**2).mean(0)[cell])
    return out


@pytest.mark.parametrize(("tau", "grain"), [(20.0, 9), (400.0, 6)])
def test_areas_in_the_dark_of_slow_bright_speckle_have_not_died(tau, grain):
    left = screened(grainy(grain, tau, grain=grain))[0].left_out
    assert not any(left.pixels[why].size for why in ("died", "dead", "flickering"))


def test_a_module_that_dies_is_a_reason(clean):
    frames = clean.copy()
    frames[100:, (ROW < SIDE // 2) & (COLUMN < SIDE // 2)] = 0
    with pytest.raises(SpoiltRunError, match="died"):
        screened(frames)


def test_frames_in_a_wrong_order_are_seen_in_their_map():
    frames = movie(4, 2.0)
    order = np.concatenate([np.arange(40) + 40 * block for block in (0, 2, 1, 3, 4)])
    assert disorder(two_time(frames, RING).mean(0)) is None
    assert "out of order" in disorder(two_time(frames[order], RING).mean(0))


def moved(frames, at, rows, columns):
    """Return frames whose picture moves at frame `at`, with counts without speckle from outside."""
    picture = np.random.default_rng(0).poisson(frames.mean(), (len(frames), SIDE, SIDE))
    picture.reshape(len(frames), -1)[:, RING.pixels] = frames
    picture[at:] = np.roll(picture[at:], (rows, columns), (1, 2))
    return picture.reshape(len(frames), -1)[:, RING.pixels]


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (-2, 7)])
def test_a_picture_that_moves_and_stays_is_named_with_its_displacement(rows, columns):
    frames = movie(40, 2.0, tau=60.0)
    reducer = TwoTimeReducer(RING, N, size=N)
    reducer.push(moved(frames, 120, rows, columns).astype(np.uint16))
    reason = shifted(reducer.maps().mean(0), reducer)
    assert reason == f"the picture moved by {rows} rows and {columns} columns at 60% of the exposure"


def avalanches(seed, n, n_events, shape=(8, 200), modes=2):
    """Return counts of a sample at rest, which rearranges in events of any strength, in a narrow bin."""
    rng = np.random.default_rng(seed)
    field, out = rng.standard_normal((modes, *shape, 2)), np.empty((n, *shape), np.uint16)
    keep = np.exp(-1e-3 - (rng.random(n) < n_events / n) * rng.exponential(1.5, n))
    for t in range(n):
        field = keep[t] * field + np.sqrt(1 - keep[t] ** 2) * rng.standard_normal(field.shape)
        out[t] = rng.poisson(3.0 * (field**2).sum(-1).mean(0) / 2)
    return out


def test_a_narrow_bin_that_rearranges_has_not_moved():
    """Where few pixels overlap, a mean is noisier: with one noise for all displacements that of seed 13 had moved."""
    for seed in (10, 13):
        frames = avalanches(seed, 256, 25)
        reducer = TwoTimeReducer(Partition.from_roi_map(np.ones(frames.shape[1:], int)), len(frames))
        reducer.push(frames)
        assert shifted(reducer.maps().mean(0), reducer) is None


def test_a_dead_time_is_no_lost_light():
    """A pixel does not count a photon that comes within a hundredth of a frame after another one."""
    rng, light = np.random.default_rng(12), np.random.default_rng(13).gamma(20, 1 / 20, len(RING.pixels))
    frames = rng.poisson(0.7 * light, (2000, len(RING.pixels)))
    for k in range(2, frames.max() + 1):
        which = np.nonzero(frames == k)
        gaps = np.diff(np.sort(rng.random((len(which[0]), k))), axis=1)
        frames[which] -= (gaps < 0.01).sum(1)
    screen, g2 = screened(frames.astype(np.uint16))
    assert screen.no_contrast is None and no_light(g2, frames.mean()) is None


@pytest.mark.parametrize("kind", [Screen, EventScreen])
def test_pixels_that_flicker_or_blink_are_a_reason(kind):
    frames, rng = movie(22, 0.5, tau=5.0, modes=4, n=400), np.random.default_rng(23)
    some = rng.random(len(RING.pixels)) < 0.03
    sparks = (rng.poisson(10, frames.shape) * (rng.random(frames.shape) < 0.05)).astype(np.uint16)
    on = np.cumsum(rng.random(frames.shape) < 0.02, 0) % 2 == 0
    assert screened(frames, kind=kind)[0].no_relaxation is None
    for faulty in (frames + some * sparks, np.where(some & ~on, 0, frames).astype(np.uint16)):
        assert "pixels flicker or blink" in screened(faulty, kind=kind)[0].no_relaxation


@pytest.mark.parametrize("kind", [Screen, EventScreen])
@pytest.mark.parametrize("modes", [1, 5])
def test_a_sample_that_rearranges_once_does_not_flicker(modes, kind):
    """Pixels that are dark before or after change by more than their mean."""
    rng = np.random.default_rng(modes)
    before, new = rng.standard_normal((2, 2 * modes, len(RING.pixels)))
    light = np.array([(field**2).mean(0) for field in (before, np.sqrt(0.4) * before + np.sqrt(0.6) * new)])
    frames = rng.poisson(5 * light[(np.arange(400) >= 350).astype(int)]).astype(np.uint16)
    assert screened(frames, kind=kind)[0].no_relaxation is None


@pytest.mark.parametrize("kind", [Screen, EventScreen])
def test_swapped_neighbours_are_named(kind):
    frames = movie(24, 2.0, tau=10.0, n=400)
    assert screened(frames, kind=kind)[0].swapped is None
    swapped = frames.reshape(-1, 2, frames.shape[1])[:, ::-1].reshape(frames.shape)
    assert "swapped" in screened(swapped, kind=kind)[0].swapped


@pytest.mark.parametrize(
    ("a_cycle", "first", "half"), [(2, 0.25, 0.5), (2.75, 0.0, 1.0), (4, 0.1, 1.0), (8, 0.05, 0.5)]
)
def test_frames_of_a_sample_that_is_sheared_to_and_fro_are_in_order(a_cycle, first, half):
    """Layers move with the strain; rearrangements come in the whole cycle or in its first half."""
    rng = np.random.default_rng(int(a_cycle))
    phase = first + np.arange(80 * a_cycle) / a_cycle
    layers = rng.standard_normal((4, len(RING.pixels), 2)) @ [1, 1j]
    heights, along = np.linspace(-0.5, 0.5, 4)[:, None], np.cos(2 * np.pi * rng.random(len(RING.pixels)))
    frames = np.empty((len(phase), len(RING.pixels)), np.uint16)
    for t, at in enumerate(phase):
        keep = np.exp(-float(at % 1 < half) / a_cycle / 4)
        layers = keep * layers + np.sqrt(1 - keep**2) * (rng.standard_normal((*layers.shape, 2)) @ [1, 1j])
        turned = layers * np.exp(4j * np.sin(2 * np.pi * at) * heights * along)
        frames[t] = rng.poisson(np.abs(turned.sum(0)) ** 2 / 8 * 3)
    assert screened(frames)[0].swapped is None
    some = frames[1:-1]  # with two frames a cycle, the speckle changes between the first and the second of these
    assert screened(some.reshape(-1, 2, some.shape[1])[:, ::-1].reshape(some.shape))[0].swapped


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**30), n=st.sampled_from([400, 700, 5000]), lost=st.sampled_from([0, 1, 7, 30]),
    delay=st.sampled_from([-3, 0, 5]), flicker=st.sampled_from([0.0, 0.1, 0.3]), photons=st.sampled_from([0.3, 3000.0]),
)  # fmt: skip
def test_lost_frames_are_seen_by_a_monitor(seed, n, lost, delay, flicker, photons):
    """The monitor may be read some frames earlier or later in the whole run, and it has noise of its own."""
    rng = np.random.default_rng(seed)
    beam = np.maximum(1 + flicker * rng.standard_normal(n + 50), 0.1)
    taken = np.delete(np.arange(n + lost), slice(n // 2, n // 2 + lost)) + 10
    reason = behind(rng.poisson(photons * beam[taken]), beam[10 + delay :][:n] + 0.01 * rng.standard_normal(n))
    if lost == 0 or flicker == 0:
        assert reason is None
    elif photons > 1 or reason:  # with few photons it may be found
        assert reason.startswith(f"by the monitor, {lost} frames are lost before ")


def test_a_monitor_that_is_the_same_everywhere_or_periodic_shows_nothing():
    t, rng = np.arange(1000), np.random.default_rng(0)
    beam = 1 + 0.2 * np.sin(2 * np.pi * t / 20)
    assert behind(rng.poisson(1e3 * beam), beam) is None
    assert behind(rng.poisson(1e3 * beam), np.full(1000, 0.7)) is None
    assert behind(rng.poisson(1e3 * beam), np.where(t < 500, beam, np.nan)) is None
    assert behind(rng.poisson(1e3 * beam[:100]), beam[:100]) is None
