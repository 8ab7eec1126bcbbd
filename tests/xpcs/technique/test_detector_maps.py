"""Mask, monitor and transmission, from files and readings, and their effects on a result."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ainerd.technique import RunInfo
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import PartitionSettings, RheoXPCS, RheoXPCSSettings, build_partition, read_mask

pytestmark = pytest.mark.usefixtures("part_of_bank")  # it is calibrated in less time

SHAPE = 40, 60
RING = {
    "shape": SHAPE, "beam_center_px": (20.0, 30.0), "distance_m": 6.0, "energy_keV": 11.0,
    "q_range_inv_nm": (0.004, 0.009), "n_phi": 2,
}  # fmt: skip
N = 128


def nexus(path, place="entry/instrument/detector", **maps):
    with h5py.File(path, "a") as file:
        for name, values in maps.items():
            file[f"{place}/{name}"] = values
    return path


def npy(path, values):
    np.save(path, values)
    return path


@pytest.fixture
def frames():
    """Speckle that changes from frame to frame."""
    return np.random.default_rng(3).poisson(np.random.default_rng(2).gamma(3.0, 1.0, (N, *SHAPE))).astype(np.uint16)


class Beam:
    """Readings of an exposure: the monitor falls, one value for each frame; the transmission was read once."""

    value = staticmethod(lambda key, unit="": {"foil": 0.25}.get(key))

    @staticmethod
    def of_frames(key, unit=""):
        return {"i0": np.linspace(3e5, 1e5, N), "foil": np.full(N, 0.25)}.get(key, np.full(N, np.nan))

    series = staticmethod(lambda key, unit="": np.empty((2, 0)))


def technique(partition, **options):
    section = {"partition": {"n_phi": 2} | RING | partition, "encoder": "pca", **options}
    return RheoXPCS.from_settings(RheoXPCSSettings.model_validate(section).model_dump(exclude_unset=True), Path("/"))


def analysed(technique, frames, readings=None):
    n, readings = len(frames), readings or Beam()
    exposure = technique.begin(RunInfo(raw_uid="x", n_frames=n, frame_shape=SHAPE, frame_time_s=0.1, readings=readings))
    flat = frames.reshape(n, -1)[:, exposure.pixels]
    for first in range(0, n, 32):
        exposure.push(flat[first : first + 32], first)
    for number, frame in enumerate(frames):
        exposure.whole(frame, number)
    return exposure.finish()


def test_maps_of_nexus_are_those_of_npy(tmp_path):
    marked = np.zeros(SHAPE, np.uint32)
    marked[10, 15:25], marked[12, 18] = 2, 1 << 31  # dead, virtual
    place = "entry/instrument/detector/detectorSpecific"
    ways = nexus(tmp_path / "x_master.h5", place, pixel_mask=marked), npy(tmp_path / "m.npy", marked > 0)
    first, second = (PartitionSettings(**RING, mask=way) for way in ways)
    np.testing.assert_array_equal(read_mask(first), marked > 0)
    np.testing.assert_array_equal(read_mask(second), marked > 0)
    assert not build_partition(first).roi_map[marked > 0].any()


def test_a_q_map_brings_a_mask(tmp_path):
    bins, marked = build_partition(PartitionSettings(**RING)), np.zeros(SHAPE, np.uint32)
    marked[8:12] = 1
    bins.save(tmp_path / "qmap.h5")
    nexus(tmp_path / "qmap.h5", pixel_mask=marked)
    settings = PartitionSettings(file=tmp_path / "qmap.h5")
    assert build_partition(settings).n_pixels.sum() == (bins.roi_map[marked == 0] > 0).sum()


def test_monitor_and_transmission_divide_intensities_and_leave_c2_bit_for_bit(frames):
    plain, both = technique({}), technique({}, monitor=["i0", "foil"])
    before, after = analysed(plain, frames), analysed(both, frames)
    assert after.summary["incident"] == pytest.approx(2e5 * 0.25) and after.summary["incident_of"] == "i0 × foil"
    for name in ("saxs", "intensity", "intensity_total"):
        np.testing.assert_allclose(after.arrays[name] * 5e4, before.arrays[name], rtol=1e-6)
        assert after.units[name] == "photons/pixel/frame/(i0 × foil)"
        assert before.units[name] == "photons/pixel/frame"
    for name in ("c2", "g2", "mean_frame"):
        np.testing.assert_array_equal(after.arrays[name], before.arrays[name])
    assert after.summary["counts_per_pixel"] == before.summary["counts_per_pixel"]
    assert plain.parameters != both.parameters


def test_a_reading_that_is_missing_divides_nothing(frames):
    analysis = analysed(technique({}, monitor=["nowhere", "foil"]), frames)
    assert analysis.summary["incident"] == 0.25 and analysis.summary["incident_of"] == "foil"
    nothing = analysed(technique({}, monitor=["nowhere"]), frames)
    assert "incident" not in nothing.summary and nothing.units["saxs"] == "photons/pixel/frame"


def test_frames_that_fall_behind_the_monitor_have_no_verdict():
    n, lost = 2 * N, 9
    beam = 1 + 0.3 * np.random.default_rng(5).random(n + lost)
    light = np.random.default_rng(6).gamma(3.0, 1.0, (n + lost, *SHAPE)) * beam[:, None, None]
    counts = np.random.default_rng(7).poisson(light).astype(np.uint16)

    class Flickering(Beam):
        of_frames = staticmethod(lambda key, unit="": beam[:n])

    subject = technique({}, monitor=["i0"])
    spoilt = analysed(subject, np.delete(counts, slice(n // 2, n // 2 + lost), 0), Flickering())
    assert spoilt.summary["no_claim"].startswith("by the monitor, 9 frames are lost before ")
    assert spoilt.arrays["c2"].size and spoilt.summary["tau_s"] is None
    assert "monitor" not in (analysed(subject, counts[:n], Flickering()).summary["no_claim"] or "")


@pytest.mark.parametrize("group", ["qmap", "xpcs/qmap"])
def test_a_blemish_map_of_boost_corr_is_a_mask(tmp_path, group):
    """1 is a good pixel; the layout is that of BCDA-APS/8id-bits, scripts/qmap_blemish_patch.py."""
    good = np.ones(SHAPE, "u1")
    good[7, 3:9] = 0
    with h5py.File(tmp_path / "qmap.hdf", "w") as file:
        file[f"{group}/blemish"] = good
        file[f"{group}/mask"] = np.ones(SHAPE, "u1")
        file[f"{group}/dynamic_roi_map"] = np.ones(SHAPE, "i4")
    settings = PartitionSettings(**RING, mask=tmp_path / "qmap.hdf")
    assert np.array_equal(read_mask(settings), good == 0)
    assert not build_partition(settings).roi_map[7, 3:9].any()
    assert np.array_equal(Partition.load(tmp_path / "qmap.hdf").roi_map, good)
