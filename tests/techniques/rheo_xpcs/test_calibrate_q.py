"""`ainerd calibrate-q`: what it refuses; what it finds is tested with its page and with `fit_rings`."""

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ainerd.techniques.rheo_xpcs.commands import calibrate_q

app = typer.Typer()
app.command()(calibrate_q)
TOML = """
[rheo_xpcs.partition]
shape = [30, 40]
beam_center_px = [15.0, 20.0]
distance_m = 1.0
energy_keV = 10.0
q_range_inv_nm = [0.01, 0.02]
"""


@pytest.mark.parametrize(
    ("text", "shape", "options", "why"),
    [
        (TOML, (30, 40), ("--period-nm", 5, "--ring", 1.0), "give --period-nm or --ring, not both"),
        (TOML, (30, 40), ("--period-nm", -5), "--period-nm must be positive"),
        (TOML, (30, 41), (), "frames of (30, 41), the detector in"),
        (TOML, (30, 40), (), "no ring of the standard is on the detector"),
        ("[rheo_xpcs.partition]\nfile = 'q.hdf'", (30, 40), (), "its bins come from a file"),
        ("=", (30, 40), (), "agent.toml: "),
    ],
)
def test_what_cannot_be_calibrated_is_refused(text, shape, options, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.toml").write_text(text)
    np.save("frames.npy", np.ones(shape))
    done = CliRunner().invoke(app, ["frames.npy", "--config", "agent.toml", *map(str, options)])
    assert isinstance(done.exception, ValueError) and why in str(done.exception)
