"""The bank: the kept arrays of exposures, and simulated runs of them."""

import zlib

import numpy as np
import pytest

from ainerd.novelty import LOOKS
from ainerd_xpcs.dynamics import MECHANISMS, Domains, Dynamics, Sheared, clean_exposure, noisy
from ainerd_xpcs.latent import Encoder, ModelError, write_weights
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import (
    Bank,
    Cells,
    Clean,
    RheoXPCS,
    add_systematics,
    measured_exposure,
    rings,
    run_features,
    seen_from,
    simulated_exposures,
    write_bank,
)
from tests.noisy_runs import noisy_runs
from tests.xpcs.numerics.conftest import RING

RUN = {"n_frames": 500, "counts": 0.5, "n_pixels": 570}


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A bank of 18 exposures, and these exposures."""
    path = tmp_path_factory.mktemp("bank") / "small.safetensors"
    clean, families = simulated_exposures(18, seed=4)
    write_bank(path, clean, families, seed=4)
    return path, clean, families


def seen_in(clean, n_roi):
    """|g1|² of one exposure in equal bins around the circle, (n_roi or 1, 64, 64)."""
    return seen_from([clean], 360 / n_roi * (np.arange(n_roi) + 0.5), np.full(n_roi, 360 / n_roi))[0]


def test_stored_values_are_kept(small):
    path, clean, families = small
    bank = Bank.load(path)
    assert bank.n == 18 and bank.families == families and set(families) <= set(MECHANISMS) and len(bank.id) == 12
    for kept, put in zip(bank.clean, clean, strict=True):
        np.testing.assert_array_equal(kept.steps, put.steps)
        assert (kept.angle_deg, kept.phase, kept.shear) == (put.angle_deg, put.phase, put.shear)


@pytest.mark.parametrize(
    "dynamics",
    [
        Dynamics(family="flow", tau_s=0.8, static=0.4, flow_rad_s=40.0, flow_deg=70.0),
        Dynamics(family="slow", tau_s=0.3, exponent=1.6, anisotropy=0.4, anisotropy_deg=30.0),
    ],
    ids=["flow", "anisotropic"],
)
def test_an_exposure_is_known_at_any_azimuth(dynamics):
    """From two or four maps, against the kernels there."""
    kept, phi = Clean.of(dynamics), np.array([3.0, 47.5, 131.0])
    seen = seen_from([kept], phi, np.full(3, 20.0))[0]
    assert len(kept.steps) < 9
    np.testing.assert_allclose(seen, np.broadcast_to(clean_exposure(dynamics, phi), seen.shape), atol=8e-3)


@pytest.mark.parametrize("rest_s", [np.inf, 0.4])
def test_a_sheared_fluid_is_known_at_any_azimuth(rest_s):
    """From two maps, against an average over heights of the gap, and over times and azimuths that a cell takes in."""
    relaxation, fine = Dynamics(family="sheared", tau_s=0.8), 6
    kept = Clean.of(Sheared(relaxation=relaxation, shear_rad_s=25.0, along_deg=70.0, rest_s=rest_s))
    t, height = (np.arange(64 * fine) + 0.5) / (64 * fine), (np.arange(200) + 0.5) / 200 - 0.5
    flowed = t if rest_s == np.inf else rest_s * (1 - np.exp(-t / rest_s))
    phi, across = np.array([3.0, 47.5, 131.0]), 20 * ((np.arange(10) + 0.5) / 10 - 0.5)
    for seen, centre in zip(seen_from([kept], phi, np.full(3, 20.0))[0], phi, strict=True):
        truth = 0
        for at in centre + across:
            wave = np.exp(25j * np.cos(np.deg2rad(at - 70)) * np.outer(flowed, height))
            truth = truth + np.abs(wave @ wave.conj().T / height.size) ** 2 / across.size
        truth = truth * np.exp(-2 * np.abs(t[:, None] - t) / 0.8)
        np.testing.assert_allclose(seen, truth.reshape(64, fine, 64, fine).mean((1, 3)), atol=0.01)


@pytest.mark.parametrize("cells", [None, Cells.of_whole(200)], ids=["many frames", "200 frames"])
def test_a_flow_past_a_wall_loses_its_fringes_in_a_ring_of_a_wide_range_of_q(cells):
    """Against an average of rings of one q each, q ± 20 %, for 6 turns."""

    def of(q):
        return Dynamics(family="flow", tau_s=0.8, static=0.4, flow_rad_s=40.0 * q, flow_deg=70.0)

    phi, width = np.array([3.0, 67.5, 131.0]), np.full(3, 20.0)
    each = [seen_from([Clean.of(of(q), cells)], phi, width, cells)[0] for q in 0.8 + 0.4 * (np.arange(60) + 0.5) / 60]
    seen = seen_from([Clean.of(of(1.0), cells)], phi, width, cells, q_spread=0.2)[0]
    np.testing.assert_allclose(seen, np.mean(each, axis=0), atol=0.03)
    assert np.abs(seen_from([Clean.of(of(1.0), cells)], phi, width, cells)[0] - seen).max() > 0.04


def test_the_range_of_q_of_a_ring_is_that_of_its_static_rings():
    of = {n: rings(Partition.annular(**RING, n_static=n))[0] for n in (1, 4)}
    assert of[4].q_spread == pytest.approx(0.005 / 0.024, rel=0.05)
    assert of[1].q_spread == pytest.approx(0, abs=1e-9)  # unknown


def test_domains_rearrange_one_by_one():
    """Against the mean field of domains, averaged over times within a cell."""
    times, fine = ((0.21, 0.6), (), (0.83,)), 15
    kept = Clean.of(Domains(relaxation=Dynamics(family="domains", tau_s=2.0), rearranged_s=times, jump=1.5))
    t = (np.arange(64 * fine) + 0.5) / (64 * fine)
    counts = [np.searchsorted(each, t) for each in times]
    field = np.mean([np.exp(-1.5 * np.abs(n[:, None] - n)) for n in counts], axis=0) * np.exp(
        -np.abs(t[:, None] - t) / 2
    )
    truth = (field**2).reshape(64, fine, 64, fine).mean((1, 3))
    away = np.abs(seen_from([kept], np.zeros(1), np.ones(1))[0, 0] - truth)
    at_jumps = np.isin(np.arange(64), [int(64 * when) for each in times for when in each])
    assert away[~at_jumps][:, ~at_jumps].max() < 4e-3  # in cells in which one rearranges, it matters when
    assert away.max() < 0.15


@pytest.mark.parametrize("duty", [0.0, 1.0])
@pytest.mark.parametrize("n_frames", [80, 150])
def test_cells_that_share_frames_are_those_of_the_reduction_of_frames(n_frames, duty):
    """C2 of frames, each pair averaged over the times in which the detector counts, reduced as a run is."""
    dynamics = Dynamics(family="slow", tau_s=0.03, exponent=1.3)
    within = 1 if duty == 0 else 40
    t = ((np.arange(n_frames)[:, None] + 0.5 + duty * ((np.arange(within) + 0.5) / within - 0.5)) / n_frames).ravel()
    pairs = np.exp(-2 * (np.abs(t[:, None] - t) / 0.03) ** 1.3)
    by_frame = pairs.reshape(n_frames, within, n_frames, within).mean((1, 3))
    cell, frame = np.arange(65) / 64, np.arange(n_frames + 1) / n_frames
    share = 64 * np.maximum(np.minimum(cell[1:, None], frame[1:]) - np.maximum(cell[:-1, None], frame[:-1]), 0)
    cells = Cells.of_whole(n_frames)
    seen = seen_from([Clean.of(dynamics, cells, duty)], np.zeros(1), np.ones(1), cells)[0, 0]
    np.testing.assert_allclose(seen, share @ by_frame @ share.T, atol=4e-3)
    even = seen_from([Clean.of(dynamics)], np.zeros(1), np.ones(1))[0, 0]
    assert np.abs(seen - even).max() > 0.01  # which those of many frames are not
    np.testing.assert_allclose(cells.shot, share @ share.T * n_frames / 64, atol=1e-9)


def test_the_shipped_regimes_are_of_the_shipped_bank_and_encoder():
    """Or nothing would be said of regimes, silently."""
    one = np.ones((8, 8), np.int32)
    unknown = np.full(1, np.nan)
    null = RheoXPCS(Partition(roi_map=one, static_map=one, q=unknown, phi=unknown)).null_regimes()
    assert null is not None and null.by_look.shape == (LOOKS, 5000) and null.smallest.size >= 5000


@pytest.mark.parametrize(("n_roi", "by_azimuth"), [(18, True), (1, True), (9, False)])
def test_bank_and_run_are_described_alike(encoder, small, n_roi, by_azimuth):
    """Means over many draws of the bank's features are those of runs of all bins, seen the public way."""
    bank = Bank.load(small[0])
    statistics = {"by_azimuth": by_azimuth, "n_roi": n_roi, "contrast": 0.2, "contrast_err": 0.01, **RUN}
    draws = np.stack([bank.features(encoder, seed=s, **statistics) for s in range(12)])
    rng = np.random.default_rng(3)
    flow = bank.families.index("flow")
    for number in (0, flow):
        clean = np.broadcast_to(0.2 * seen_in(small[1][number], n_roi), (n_roi, 64, 64))
        runs = np.stack([noisy(clean, rng=rng, **RUN)[:, 0] for _ in range(12)])
        add_systematics(runs, (0.2 + 64 / 250) / np.sqrt(570 * n_roi), rng, baseline=0.005)
        seen = np.stack([run_features(encoder, run, by_azimuth=by_azimuth, **RUN) for run in runs])
        spread = np.hypot(seen.std(0), draws[:, number].std(0)) + 0.02
        assert (np.abs(seen.mean(0) - draws[:, number].mean(0)) / spread).max() < 2.5
        assert draws[:, number].std(0).mean() == pytest.approx(seen.std(0).mean(), rel=0.5)


def test_bins_of_part_of_a_circle_and_of_unequal_pixels_have_their_own_bank(encoder, small):
    bank, rng, phi = Bank.load(small[0]), np.random.default_rng(8), np.arange(5.0, 95.0, 10.0)
    pixels = np.array([570.0, 570, 90, 570, 570, 90, 570, 570, 570])
    statistics = {"n_frames": 500, "counts": 0.5, "n_pixels": pixels, "phi_deg": phi}
    draws = np.stack([bank.features(encoder, contrast=0.2, contrast_err=0.01, seed=s, **statistics) for s in range(12)])
    flow = bank.families.index("flow")
    clean = 0.2 * seen_from([small[1][flow]], phi, np.full(9, 10.0))[0]
    seen = []
    for _ in range(12):
        run = noisy(clean, n_pixels=pixels, n_frames=500, counts=0.5, rng=rng).swapaxes(0, 1)
        add_systematics(run, (0.2 + 64 / 250) / np.sqrt(pixels.sum()), rng, baseline=0.005)
        seen.append(run_features(encoder, run[0], **statistics))
    spread = np.hypot(np.std(seen, axis=0), draws[:, flow].std(0)) + 0.02
    assert (np.abs(np.mean(seen, axis=0) - draws[:, flow].mean(0)) / spread).max() < 2.5


@pytest.mark.parametrize("name", ["n_frames", "counts", "contrast"])
def test_impossible_statistics_are_refused(encoder, small, name):
    with pytest.raises(ValueError, match=f"{name} must be positive"):
        Bank.load(small[0]).features(encoder, **RUN | {"contrast": 0.2, name: 0.0})


def test_a_bad_bank_is_named(tmp_path, small):
    path = tmp_path / "mine.safetensors"
    tensors = {"g1_squared": np.frombuffer(b"no zlib", np.uint8), "maps": np.array([1])}
    tensors["dynamics"] = np.frombuffer(zlib.compress(b"[null]"), np.uint8)
    write_weights(path, tensors | dict.fromkeys(("angle_deg", "phase", "shear"), np.zeros(1)), {"kind": "bank"})
    with pytest.raises(ModelError, match="mine.safetensors: "):
        Bank.load(path)
    write_bank(path, small[1][:2], ["slow"])
    with pytest.raises(ModelError, match="mine.safetensors: 1 families"):
        Bank.load(path)


def test_a_measured_run_becomes_its_clean_exposure(encoder):
    """Without its noise, in its directions, and a covariance, which an exposure must be to be noised again."""
    rng = np.random.default_rng(2)
    flow = Dynamics(family="flow", tau_s=1.0, static=0.5, flow_rad_s=30.0, flow_deg=40.0)
    truth = clean_exposure(flow)
    noisy = noisy_runs(np.float32(0.3) * truth[None], rng=rng, n_frames=5000, counts=0.3, n_pixels=570)[0]
    taken = measured_exposure(encoder, np.kron(noisy, np.ones((4, 4))), contrast=0.3)
    before = (noisy[:9] - 1) / 0.3
    assert taken.shape == (9, 64, 64)
    assert np.square(taken - truth).mean() < 0.5 * np.square(before - truth).mean()
    assert np.linalg.eigvalsh(taken.astype(float)).min() > -1e-4
    with pytest.raises(ValueError, match="contrast must be positive"):
        measured_exposure(encoder, noisy, contrast=0)
