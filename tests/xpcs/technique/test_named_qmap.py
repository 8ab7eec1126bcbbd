"""Runs that name a q map of their own."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ainerd.technique import AnalysisError, RunInfo
from ainerd_xpcs.technique import RheoXPCS

SHAPE, N = (40, 60), 128


FRAMES = np.random.default_rng(3).poisson(3.0, (N, *SHAPE)).astype(np.uint16)  # without speckle: nothing is calibrated


def technique(file, **partition):
    section = {"partition": {"file": file, **partition}, "encoder": "pca"}
    return RheoXPCS.from_settings(section, Path("/"))


def qmap(path, n_bins, shape=SHAPE):
    """Write a q map of `n_bins` bands of rows, in the layout of boost_corr."""
    labels = np.repeat(np.arange(1, n_bins + 1), shape[0] // n_bins)[:, None].repeat(shape[1], axis=1)
    with h5py.File(path, "w") as file:
        file["qmap/dynamic_roi_map"], file["qmap/mask"] = labels, np.ones(shape, "u1")
        file["qmap/dynamic_index_mapping"], file["qmap/dynamic_v_list_dim1"] = np.arange(n_bins), [0.0]
        file["qmap/dynamic_v_list_dim0"] = 0.001 * np.arange(1, n_bins + 1)
    return path


def named(subject, name):
    """Analyse frames of a run that names a q map."""
    info = RunInfo(raw_uid="x", n_frames=N, frame_shape=SHAPE, frame_time_s=0.1, start={"qmap_file": name})
    exposure = subject.begin(info)
    exposure.push(FRAMES.reshape(N, -1)[:, exposure.pixels])
    return exposure.finish()


def test_a_run_that_names_another_q_map_has_its_bins(tmp_path):
    mask = np.zeros(SHAPE, bool)
    mask[:, :3] = True
    np.save(tmp_path / "mask.npy", mask)
    one, two = (qmap(tmp_path / f"{n}.hdf", n) for n in (2, 4))
    of_one, of_two = (technique(file, mask=tmp_path / "mask.npy") for file in (one, two))
    for _ in range(2):  # also when it was read before
        other, expected = named(of_one, "/of/the/beamline/4.hdf"), named(of_two, "")
        assert other.summary["bins_of"] == "4.hdf" and "bins_of" not in expected.summary
        assert other.summary["bins_sha256"] == of_two.parameters["partition"]
        np.testing.assert_array_equal(other.arrays["c2"], expected.arrays["c2"])
        np.testing.assert_allclose(other.tables["bins"]["q"], [0.01, 0.02, 0.03, 0.04])
        np.testing.assert_array_equal(other.embedding, expected.embedding)
    assert "bins_of" not in named(of_one, "2.hdf").summary
    parameters = of_one.parameters
    digests = [of_one.files_digest({"qmap_file": "4.hdf"})]
    with h5py.File(two, "r+") as file:
        file["qmap/dynamic_v_list_dim0"][0] *= 1.5  # another q of the same pixels
    digests += [of_one.files_digest({"qmap_file": "4.hdf"})]
    qmap(two, 5)  # it is written again
    assert len(named(of_one, "4.hdf").arrays["c2"]) == 5
    digests += [of_one.files_digest({"qmap_file": name}) for name in ("4.hdf", "2.hdf", "nowhere.hdf")]
    digests += [of_one.files_digest({"qmap_file": "4.hdf", "result_file": {"path": "maps.hdf"}})]
    assert len(set(digests[:3])) == 3 and digests[3:] == ["", "", ""]
    assert of_one.parameters == parameters  # and so the keys of results of runs that name no other q map


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere.hdf", "names the q map nowhere.hdf, which is not in .*, the folder of rheo_xpcs.partition.file"),
        ("text.hdf", "which cannot be used: partition: .* cannot be read as HDF5"),
        ("large.hdf", "frames of 40 × 60 pixels, the partition is for 80 × 60"),
    ],
)
def test_a_q_map_that_cannot_be_used_is_a_reason(tmp_path, name, why):
    subject = technique(qmap(tmp_path / "own.hdf", 2))
    (tmp_path / "text.hdf").write_text("no HDF5"), qmap(tmp_path / "large.hdf", 2, (80, 60))
    with pytest.raises(AnalysisError, match=why):
        subject.begin(RunInfo(raw_uid="x", n_frames=N, frame_shape=SHAPE, frame_time_s=0.1, start={"qmap_file": name}))
