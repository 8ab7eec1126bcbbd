"""A campaign of three knobs with a RunEngine and Tiled: a sample that is heated step by step."""

import pytest
from ophyd.sim import SynAxis

from agents.rheo_xpcs import build_agent
from ainerd.config import Steering


def test_a_sample_is_heated_step_by_step(session_in, tmp_path):
    session = session_in(tmp_path)
    session.agent.close()
    settings = session.settings.model_copy(deep=True)
    place = {"range": (0.0, 10.0), "unit": "mm", "length": 3.0}
    oven = {"range": (300.0, 400.0), "unit": "K", "length": 30.0, "settle_s": 0.01, "direction": "up"}
    knobs = {"sample_x": place, "sample_y": place, "oven": oven}
    settings.steering = Steering(knobs=knobs, policy="raster")
    stage = session.stage
    actuators = [stage.x, stage.y, SynAxis(name="oven", value=300.0)]
    others = {"detector": session.detector, "rheometer": session.rheometer, "shutter": session.shutter}
    session.agent = agent = build_agent(session.client, actuators=actuators, settings=settings, **others)
    agent.attach(session.RE)
    session.RE(agent.sample((2.0, 3.0, 310.0)))
    session.RE(agent.explore(2))
    table = session.table()
    assert (table["status"] == "complete").all() and len(table) == 3
    assert table["oven"].is_monotonic_increasing and table["oven"].iloc[0] == 310.0
    assert table.attrs["units"]["oven"] == "K"
    assert agent.suggest()["oven"] >= table["oven"].iloc[-1]
    with pytest.raises(ValueError, match="a knob that goes only one way would go back"):
        agent.add(2.0, 3.0, 305.0)
    assert agent.plot().axes[0].get_xlabel() == "sample_x (mm)"
