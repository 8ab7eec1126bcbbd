"""A novel exposure changes where the agent goes next."""

from pathlib import Path

import numpy as np

from ainerd_xpcs import technique as rheo_xpcs
from ainerd_xpcs.dynamics import HELD_OUT
from ainerd_xpcs.technique import read_bank, write_bank


def test_an_unknown_inclusion_is_noticed_and_confirmed(tmp_path, session_in, variables):
    clean, families = read_bank(Path(rheo_xpcs.__file__).parent / "weights" / "bank.safetensors")
    write_bank(tmp_path / "bank.safetensors", clean[::4], families[::4])  # each exposure calibrates it anew
    variables(AINERD_RHEO_XPCS__BANK=tmp_path / "bank.safetensors")
    session = session_in(tmp_path)
    agent, sample = session.agent, session.instrument.sample
    session.expect(300)
    (unknown,) = HELD_OUT & set(sample.regions)
    rows, cols = np.nonzero(sample.regime_map(100) == unknown)
    centre = (np.array([cols.mean(), rows.mean()]) + 0.5) / 10
    if session.instrument.truth(*centre) != unknown:  # two inclusions: take one cell of the first
        centre = (np.array([cols[0], rows[0]]) + 0.5) / 10
    session.RE(agent.explore(2))
    without = np.array([agent.suggest()["sample_x"], agent.suggest()["sample_y"]])
    agent.add(*centre)
    session.RE(agent.explore(1))
    row = session.table().iloc[-1]
    assert row["novel"] and row["novelty_p"] <= 0.05
    suggestion = agent.suggest()
    then = np.array([suggestion["sample_x"], suggestion["sample_y"]])
    assert np.linalg.norm(then - centre) < 2 < np.linalg.norm(without - centre)
    assert "novel spot" in suggestion["reason"]
    assert suggestion["novel_neighbour"] > 0.5
