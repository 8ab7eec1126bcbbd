"""The path of runs that oscillate: RunEngine, the rheometer's record, analysis, Tiled, figures."""

import numpy as np
import pytest

from agents.demo import cycles
from ainerd.config import Settings
from sim_devices import SoftSolid

Q = 0.028  # of the ring in the profile, in 1/nm


def test_an_amplitude_sweep_is_a_campaign(tmp_path, monkeypatch):
    tables, shown = [], cycles.shown
    monkeypatch.setattr(cycles, "shown", lambda table: tables.append(table) or shown(table))
    cycles.run(Settings.load(cycles.TOML), amplitudes=1, cycles=60, output=tmp_path / "cycles")
    (rows,) = tables
    assert rows["status"].tolist() == ["complete"]
    assert rows["no_claim"].eq("60 cycles: a p-value needs at least 64").all()  # more would be calibrated for a minute
    assert rows["cycle_strain"].to_numpy() == pytest.approx(rows["strain_amplitude"].to_numpy(), rel=0.02)
    storage, _ = SoftSolid(yield_strain=0.1).moduli(rows["strain_amplitude"])
    assert rows["storage_pa"].to_numpy() == pytest.approx(storage, rel=0.02)
    faster = np.maximum(rows["strain_amplitude"] / 0.1, 1) ** 4
    height = np.exp(-2 * 35.0 * Q**2 * faster)  # of the sample in `CyclingInstrument`
    assert rows["echo_height"].to_numpy() == pytest.approx(height, abs=0.08)
    for name in ("sweep.png", "largest.png"):
        assert (tmp_path / "cycles" / name).stat().st_size > 20_000
