"""Bins from the TOML, each way there is; and files that cannot be meant, each with its line."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from pyFAI.geometry import Geometry as PoniGeometry

from ainerd.agent import build_technique
from ainerd.config import Settings, SettingsError, read_section
from ainerd_xpcs.latent import SHIPPED, Encoder
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import RheoXPCSSettings, build_partition, check_bins

AROUND = """
name = "here"
[detector]
image = "image"
n_frames = "n"
frame_time_s = "t"
[steering.bounds]
x = [0.0, 1.0]
[storage]
directory = "tiled"
frames = ["."]
"""
RING = """
shape = [128, 192]
beam_center_px = [64.0, 96.0]
distance_m = 6.0
energy_keV = 11.0
q_range_inv_nm = [0.019, 0.029]
"""


PONI = """poni_version: 2.1
Detector: Lambda250k
Detector_config: {"pixel1": 5.5e-05, "pixel2": 5.5e-05, "orientation": 3}
Distance: 4.0
Poni1: 0.014
Poni2: 0.0141
Rot1: 0
Rot2: 0
Rot3: 0
Wavelength: 1.127e-10
"""


@pytest.fixture
def settings_of(tmp_path):
    """The settings of an agent from a file with these lines in its section for the bins."""

    def read(partition):
        path = tmp_path / "agent.toml"
        path.write_text(f"{AROUND}\n[rheo_xpcs.partition]\n{partition}\n")
        return Settings.load(path)

    return read


@pytest.fixture
def of(settings_of):
    """The settings of the bins."""

    def read(partition):
        settings = settings_of(partition)
        return read_section(RheoXPCSSettings, settings.section, "rheo_xpcs").anchored(settings.folder).partition

    return read


@pytest.fixture
def refused(settings_of):
    """The line that is said of such a file."""

    def read(partition):
        with pytest.raises(SettingsError) as error:
            build_technique(settings_of(partition))
        assert "\n" not in str(error.value)
        return str(error.value)

    return read


def findings_of(partition, settings=None):
    return {finding.subject: finding for finding in check_bins(partition, settings)}


def test_the_beam_in_a_corner_leaves_out_unseen_bins(of):
    settings = of(RING.replace("[64.0, 96.0]", "[1.5, 1.5]"))
    bins = build_partition(settings)
    assert bins.phi.tolist() == [10, 30, 50, 70, 90, 350] and bins.n_left_out == 12
    findings = findings_of(bins, settings)
    assert "6 bins of" in findings["partition"].state
    assert findings["left out"].state == "12 of 18 bins, which hold no pixel"
    off = of(RING.replace("[64.0, 96.0]", "[64.0, -20.0]"))
    assert "the beam is off the detector" in findings_of(build_partition(off), off)["geometry"].state


def test_a_tiny_ring_is_asked_about(of):
    settings = of(RING.replace("0.019, 0.029", "0.0019, 0.0029").replace("[128, 192]", "[256, 256]"))
    finding = findings_of(build_partition(settings), settings)["partition"]
    assert not finding.ok and "q in 1/nm" in finding.remedy


def test_labels_of_ones_own(of, tmp_path):
    labels = np.zeros((20, 30), int)
    labels[2:10, 3:25], labels[12:18, 5:9] = 1, 3
    Partition.from_roi_map(labels, [0.1, 0.2, 0.3], [0, 90, 180]).save(tmp_path / "labels.h5")
    np.save(tmp_path / "bad.npy", np.arange(600).reshape(20, 30) % 7 == 0)
    settings = of('file = "labels.h5"\nmask = "bad.npy"')
    bins = build_partition(settings)
    assert bins.q.tolist() == [0.1, 0.3] and bins.phi.tolist() == [0, 180]
    good = np.arange(600).reshape(20, 30) % 7 != 0
    assert np.array_equal(bins.roi_map, np.where(good, np.where(labels == 3, 2, labels), 0))
    findings = findings_of(bins, settings)
    assert "mask" in findings and "geometry" not in findings


def test_files_of_models_are_in_the_folder_of_the_settings(tmp_path):
    shutil.copy(SHIPPED / "pca.safetensors", tmp_path / "mine.safetensors")
    section = f'[rheo_xpcs]\nencoder = "mine.safetensors"\n[rheo_xpcs.partition]{RING}'
    (tmp_path / "agent.toml").write_text(AROUND + section)
    technique = build_technique(Settings.load(tmp_path / "agent.toml"))
    assert technique.encoder.sha256 == Encoder.load("pca").sha256


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        ("", "rheo_xpcs.partition: must have a geometry (detector or shape, beam_center_px, "),
        ('detector = "lambda750k"\nbeam_center_px = [1, 2]', "distance_m, energy_keV missing"),
        ('file = "x.h5"\nn_phi = 3', "file brings the bins, remove n_phi; or remove file"),
        (f'{RING}\ndetector = "lambda750k"', "detector 'lambda750k' has a shape and pixels of its own, remove shape"),
        (RING.replace("0.029]", "0.029, 0.04]\nn_q = 2"), "q_range_inv_nm has the edges of all rings, remove n_q"),
        ('file = "x.h5"', "partition: file: there is no "),
        (RING.replace("6.0", "6000.0"), "distance_m: Input should be less than or equal to 200, got 6000"),
        (RING.replace("0.019, 0.029", "0.029, 0.019"), "partition: q_range_inv_nm must be two or more growing numbers"),
        (RING.replace("0.019, 0.029", "1.9, 2.9"), "partition: no pixel lies in the rings from 1.9 to 2.9 1/nm"),
    ],
)
def test_a_fault_of_bins_is_one_line(refused, partition, message):
    assert message in refused(partition)


def test_the_geometry_comes_from_a_file_of_pyfai(of, tmp_path):
    (tmp_path / "rings.poni").write_text(PONI.replace("Rot1: 0", "Rot1: 0.002"))
    partition = build_partition(of('poni = "rings.poni"\nq_range_inv_nm = [0.019, 0.029]\nn_q = 2\nn_phi = 1'))
    q = PoniGeometry.sload(str(tmp_path / "rings.poni")).qArray((516, 516))  # of pyFAI, in 1/nm
    for k in (1, 2):
        of_bin = q[partition.roi_map == k]
        assert of_bin.min() == pytest.approx(0.014 + 0.005 * k, rel=0.02)
        assert of_bin.max() == pytest.approx(0.019 + 0.005 * k, rel=0.02)


def test_the_page_makes_a_q_map_of_a_tilted_detector(of, tmp_path, own_folder):
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "your-beamline.md").read_text()
    (code,) = (text for text in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S) if "tilted.poni" in text)
    (tmp_path / "tilted.poni").write_text(PONI.replace("Rot1: 0", "Rot1: 0.05"))
    exec(compile(code, "the page", "exec"), {})
    partition = build_partition(of('file = "qmap.h5"'))
    # by hand: the detector is turned around the sample, so that the axis of its columns leans against the beam
    from_axis = (np.arange(516) + 0.5) * 5.5e-5
    rows, columns = (from_axis - 0.014)[:, None], (from_axis - 0.0141)[None]
    across, along = columns * np.cos(0.05) + 4 * np.sin(0.05), 4 * np.cos(0.05) - columns * np.sin(0.05)
    q = 4 * np.pi / 0.1127 * np.sin(np.arctan2(np.hypot(rows, across), along) / 2)
    np.testing.assert_allclose(partition.q, [2.65, 2.75, 2.85])
    expected = np.where((q >= 2.6) & (q < 2.9), np.floor(10 * q - 25), 0)
    assert np.mean(partition.roi_map != expected) < 1e-4  # but for rounding at the borders


@pytest.mark.parametrize(
    ("text", "more", "line"),
    [
        (None, "", "rings.poni: No such file or directory"),
        (PONI.replace("Lambda250k", "Lumbda"), "", "Detector lumbda is unknown"),
        (PONI.replace("Wavelength: 1.127e-10", ""), "", "has no wavelength: calibrate with the energy of the beam"),
        (PONI.replace("Rot1: 0", "Rot1: 0.1"), "", "tilted by 5.73 degrees, q would be wrong by up to"),
        (PONI.replace('"orientation": 3', '"orientation": 1'), "", "orientation 1"),
        (PONI, "distance_m = 4.0", "poni brings the geometry, remove distance_m; or remove poni"),
    ],
)
def test_a_file_of_pyfai_is_refused(refused, tmp_path, text, more, line):
    if text is not None:
        (tmp_path / "rings.poni").write_text(text)
    assert line in refused(f'poni = "rings.poni"\nq_range_inv_nm = [0.019, 0.029]\n{more}')


def test_labels_in_a_npy_have_the_q_and_phi_of_a_geometry_beside_them(of, tmp_path):
    geometry = RING.partition("q_range")[0]
    for n_phi in (1, 12):
        known = build_partition(of(f"{RING}\nn_q = 2\nn_phi = {n_phi}"))
        numbers = 2 * known.roi_map
        np.save(tmp_path / "roi_map.npy", numbers)
        alone = build_partition(of('file = "roi_map.npy"'))
        assert np.array_equal(alone.numbers, np.unique(numbers)[1:]) and np.isnan(alone.q).all()
        bins = build_partition(of(f'file = "roi_map.npy"\n{geometry}'))
        np.testing.assert_array_equal(bins.labels, numbers)
        np.testing.assert_allclose(bins.q, known.q, rtol=0.05)
        np.testing.assert_allclose(bins.phi, known.phi if n_phi > 1 else np.nan, atol=4)
    np.save(tmp_path / "roi_map.npy", numbers[1:])
    with pytest.raises(ValueError, match=r"roi_map.npy has \(\d+, \d+\) pixels, the detector"):
        build_partition(of(f'file = "roi_map.npy"\n{geometry}'))
