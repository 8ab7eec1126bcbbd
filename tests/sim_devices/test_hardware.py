"""An instrument that differs from the settings: its frames agree with its file."""

import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest

from agents.demo.simulated import HARDWARE, hardware_beside
from agents.rheo_xpcs import TOML
from ainerd.config import Settings
from sim_devices import read_hardware

SMALL = TOML.with_name("small.toml")


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
