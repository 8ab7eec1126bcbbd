"""An instrument that differs from the settings: its frames agree with its file."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest

from agents.demo.simulated import HARDWARE, hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.config import Settings
from sim_devices import read_hardware

SMALL = TOML.with_name("small.toml")
FRAMES = 100


@pytest.fixture
def expose(tmp_path, run_engine):
    """Frames (T, ny, nx) and the file's mask of an instrument with these options; a fast fluid at 1 photon a pixel."""

    def frames(**options):
        made = simulated_instrument(
            tmp_path, hardware_beside(SMALL), sample="particles", sample_seed=1, speed=1e5, flicker_rms=0.0, **options
        )
        made.detector.cam.num_images.put(FRAMES)
        made.detector.cam.acquire_period.put(0.2)
        made.detector.cam.acquire_time.put(0.2)
        names = made.sample.regime_map(20)
        row, column = np.argwhere(names == "dilute")[0]
        run_engine(bps.mv(made.stage.x, (column + 0.5) / 2, made.stage.y, (row + 0.5) / 2, made.shutter, "open"))
        run_engine(bp.count([made.detector]))
        (path,) = tmp_path.glob("*.h5")
        with h5py.File(path) as file:
            taken = file["entry/data/data"][:].astype(float), file["entry/instrument/detector/pixel_mask"][:]
        path.unlink()
        return made.detector.geometry, *taken

    return frames


def contrast(geometry, frames):
    """Of the counts without their shot noise, at no lag, in the mean over frames."""
    ring = frames.reshape(len(frames), -1)[:, geometry.ring] / geometry.profile.ravel()[geometry.ring]
    noise = (ring / geometry.profile.ravel()[geometry.ring]).mean(1)
    return np.mean((ring.var(1) - noise) / ring.mean(1) ** 2)


def test_profiles_describe_the_instrument_of_their_settings():
    """Told and true are two files, and as they are shipped they agree."""
    for toml in (TOML, SMALL, TOML.parents[1] / "eiger_cell" / "agent.toml"):
        assert hardware_beside(toml) == toml.with_suffix(".instrument.toml")
        settings, true = Settings.load(toml).section, read_hardware(hardware_beside(toml))
        for name in set(settings["partition"]) - {"n_phi"}:
            assert np.array_equal(getattr(true["geometry"], name), settings["partition"][name])
        assert true["contrast"] == settings["contrast"]
    assert hardware_beside("elsewhere/agent.toml") == hardware_beside(None) == HARDWARE


@pytest.mark.parametrize(
    "text, says",
    [
        ("[geometry]\ncentre = [1, 2]", "no geometry.centre: there are bad_seed"),
        ("[detector]\nbeta = 0.2", "no detector.beta: there are contrast"),
        ("[beam]\ndrift = 1", "no beam: there are geometry and detector"),
        ("[geometry]\nbad_share = 1.5", "bad_share must lie in"),
        ("[geometry", "some.instrument.toml: Expected"),
    ],
)
def test_a_wrong_file_is_refused_with_the_valid_names(tmp_path, text, says):
    path = tmp_path / "some.instrument.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_hardware(path)


def test_contrast_and_centre_are_the_instruments_own(expose):
    centre = (60.0, 101.0)
    geometry, frames, _ = expose(contrast=0.35, geometry={"beam_center_px": centre})
    assert contrast(geometry, frames) == pytest.approx(0.35, rel=0.05)
    mean = frames.mean(0)
    rows, columns = np.indices(mean.shape) + 0.5
    far = np.hypot(rows - centre[0], columns - centre[1])
    stop = (far < 27) & (mean == 0)  # the beamstop's shadow, 30 pixels in radius
    assert stop.sum() == (far < 27).sum()
    assert (rows[stop].mean(), columns[stop].mean()) == pytest.approx(centre, abs=0.1)
