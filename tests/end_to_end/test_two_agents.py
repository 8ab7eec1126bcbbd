"""Several agents on one RunEngine."""

import logging

import pytest

from agents.rheo_xpcs import build_agent


@pytest.mark.fault("Two agents are attached to one RunEngine", "Each run is analysed by both")
def test_each_run_has_a_result_of_both(session_in, tmp_path, caplog):
    session = session_in(tmp_path)
    settings = session.settings.model_copy(deep=True)
    settings.name = "another"
    devices = {"actuators": [session.stage.x, session.stage.y], "rheometer": session.rheometer}
    other = build_agent(
        session.client, detector=session.detector, shutter=session.shutter, settings=settings, **devices
    )
    other.attach(session.RE)
    session.RE(session.agent.explore(1))
    session.agent.close()
    session.RE(other.explore(1))
    other.detach()
    assert other.drain(60)
    other.close()

    exposures = [run for run in session.client["raw"].values() if run.metadata["start"]["plan_name"] == "expose"]
    assert len(exposures) == 2 and all(run.metadata["stop"]["exit_status"] == "success" for run in exposures)
    results = session.store.table()
    assert results["status"].tolist() == ["complete"] * 2, results["reason"].tolist()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
