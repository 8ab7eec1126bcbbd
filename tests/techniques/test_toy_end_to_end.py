"""A third-party technique from TOML to result with each unit, to figure and check."""

import bluesky.plans as bp
import numpy as np
import pytest
from typer.testing import CliRunner

from ainerd.cli import app

pytestmark = pytest.mark.usefixtures("installed_toy")


def shows(b):
    """The figures of the campaign and of the newest result."""
    campaign, result = b.agent.plot(), b.client["ainerd/results"].values().last().plot()
    for name, figure in (("campaign", campaign), ("result", result)):
        path = b.toml.with_name(f"{name}.png")
        figure.savefig(path)
        assert path.stat().st_size > 5000
    labels = {axes.get_ylabel() for axes in (*campaign.figure.axes, *result.axes)}
    assert "counts a pixel" in labels  # drawn by the toy
    assert not any(word in label for label in labels for word in ("$C_2$", "azimuth", "stress"))


def scan(b, first, last, n, **md):
    return b.RE(bp.scan([b.camera, b.temperature], b.x, first, last, n, md=md))


def test_a_result_for_each_event(beamline):
    b = beamline(unit='"event"', agent={"acquire": bp.count})
    scan(b, 2.0, 8.0, 4)
    table = b.table()
    assert table["status"].tolist() == ["complete"] * 4 and table["raw_uid"].nunique() == 1
    assert table["sample_x"].tolist() == [2.0, 4.0, 6.0, 8.0]
    assert table["regime"].tolist() == [0, 0, 0, 1] and table["novel"].tolist() == [False, False, False, True]
    np.testing.assert_allclose(table["counts"], [4, 4, 4, 20], rtol=0.25)
    b.RE(bp.count([b.camera], num=2))
    assert len(b.table()) == 6
    shows(b)
    done = CliRunner().invoke(app, ["check", "--server", str(b.toml)])
    assert done.exit_code == 0 and "6 results" in done.output, done.output


def test_a_result_for_each_run_while_the_agent_explores(beamline):
    b = beamline(agent={"acquire": lambda devices, md: bp.count(devices, num=3, md=md)})
    scan(b, 1.0, 3.0, 5)
    b.temperature.put(310.0)
    b.RE(b.agent.explore(3))
    table = b.table()
    assert table["status"].tolist() == ["complete"] * 4 and table["raw_uid"].nunique() == 4
    assert table["n_frames"].tolist() == [5, 3, 3, 3] and table["temperature"].tolist() == [300.0] + [310.0] * 3
    bright = table["sample_x"] > 7
    assert (table["novel"] == bright).all() and bright.any()
    node = b.client["ainerd/results"][table.index[0]]
    raw = b.client["raw"][table["raw_uid"].iloc[0]]
    np.testing.assert_allclose(node.trajectory[:], np.mean(raw["primary"]["camera_image"].read(), axis=(1, 2)))
    assert table["suggestion_id"].notna().tolist() == [False, True, True, True]


def test_a_result_for_a_series(beamline):
    b = beamline(unit='"ramp"')
    scan(b, 1.0, 3.0, 4, ramp="cooling")
    assert b.table()["status"].tolist() == ["growing"]
    scan(b, 1.0, 3.0, 4, ramp="heating")
    scan(b, 8.0, 9.0, 6, ramp="cooling", ramp_ends=True)
    table = b.table()
    assert dict(zip(table["series_id"], table["status"], strict=True)) == {
        "ramp=cooling": "complete",
        "ramp=heating": "growing",
    }
    cooling, heating = (table.index[table["series_id"] == f"ramp={name}"][0] for name in ("cooling", "heating"))
    trajectory = b.client["ainerd/results"][cooling].trajectory[:]
    np.testing.assert_allclose(trajectory, [4] * 4 + [20] * 6, rtol=0.3)
    assert len(b.agent.results.record(cooling).raw_uids) == 2
    assert b.agent.close_series("heating") and not b.agent.close_series("heating")
    assert b.table().loc[heating, "status"] == "complete"
    scan(b, 1.0, 3.0, 2)  # a run without the key is a series of its own
    assert b.table()["status"].tolist().count("complete") == 3
