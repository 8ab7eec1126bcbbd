"""Two detectors in each run, and an agent for each, as in the file to copy."""

import importlib.util
from contextlib import closing

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine

from agents.session import raw_writer
from ainerd.agent import build_agent
from ainerd.server import open_catalog
from sim_devices import Geometry, Lambda750k
from tests.end_to_end.sessions import FRAMES, SMALL, expect

FILE = SMALL.parents[2] / "docs" / "how-to" / "files" / "detectors" / "two_detectors.py"
WIDE = {"shape": (96, 128), "beam_center_px": (48.0, 64.0), "distance_m": 6.0, "q_range_inv_nm": (0.017, 0.024)}
MORE = 2 * FRAMES  # of the second detector


@pytest.fixture(scope="module")
def wide(session):
    """A second detector in the beam of the session's instrument."""
    instrument = session.instrument

    def in_the_beam(now_s, duration_s, rng):
        at = (axis.position for axis in (instrument.stage.x, instrument.stage.y))
        return instrument.sample.dynamics(*at, now_s, duration_s, rng)

    detector = Lambda750k(
        name="wide",
        directory=session.settings.storage.frames[0],
        geometry=Geometry(**WIDE),
        clock=instrument.clock,
        sample_now=in_the_beam,
        transmission=lambda: float(instrument.shutter.is_open),
    )
    expect(detector.cam, MORE)
    return detector


def named(settings, name, **section):
    """Settings of an agent with this name, of the second detector if that is its name."""
    settings = settings.model_copy(deep=True)
    settings.name = name
    settings.section.update(section)
    if name == "wide":
        for key in ("image", "n_frames", "frame_time_s"):
            setattr(settings.detector, key, getattr(settings.detector, key).replace("lambda750k", name))
    return settings


@pytest.fixture(scope="module")
def line(session, wide, tmp_path_factory):
    """RunEngine, agents of both detectors, their settings, and their catalog."""
    spec = importlib.util.spec_from_file_location("two_detectors", FILE)
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    bins = {**session.settings.section["partition"], **WIDE}
    settings = [named(session.settings, "near"), named(session.settings, "wide", partition=bins)]
    client, RE = session.client.create_container(tmp_path_factory.mktemp("two").name), RunEngine({})
    open_catalog(client)
    RE.subscribe(writer := raw_writer(client, session.settings))
    detectors, motors = [session.detector, wide], [session.stage.x, session.stage.y]
    agents = module.agents_of(
        RE, client, settings, detectors, motors, beside=[session.rheometer], shutter=session.shutter
    )
    near, other = agents
    with closing(near), closing(other):
        near.quiet = other.quiet = True
        RE(near.explore(1))
        assert other.drain(120)
        RE(other.explore(1))
        session.shutter.set("open").wait(10)
        RE(bp.count([*detectors, *motors]))  # both in one event
        assert near.drain(120) and other.drain(120)
        writer.shutdown()  # after the last document
        yield agents, settings, client


def of_their_frames(table, technique, client, stream):
    """Whether the counts of the last result are those of the frames that Tiled has of a detector."""
    (row,) = table.tail(1).itertuples()
    run = client["raw"][row.raw_uid]
    node = run[stream if stream in run else "primary"][f"{stream}_image"]
    frames = node.read().reshape(row.n_frames, *technique.partition.shape)
    counts = frames[:, technique.partition.static_map > 0].mean()
    return counts == pytest.approx(row.counts_per_pixel, rel=1e-6)


def test_each_run_has_a_result_of_each_detector(line):
    agents, _, client = line
    tables = [agent.results.table(all=True) for agent in agents]
    for agent, table, stream, n in zip(agents, tables, ("lambda750k", "wide"), (FRAMES, MORE), strict=True):
        assert table["status"].tolist() == ["complete"] * 3 and table["agent"].eq(agent.results.agent).all()
        assert table["n_frames"].eq(n).all() and table["frame_time_s"].round(6).eq(50 / n).all()
        assert of_their_frames(table, agent.technique, client, stream)
    near, wide = (agent.results.table(all=True) for agent in agents)
    both = near.merge(wide, on=["raw_uid", "event"])  # as the page says
    assert len(both) == 3 and both["sample_x_x"].equals(both["sample_x_y"])
    places = near[["sample_x", "sample_y"]].head(2).to_numpy()
    assert len(np.unique(places.round(), axis=0)) == 2  # each explores where neither has measured
    assert [len(agent.results.suggestions("measured")) for agent in agents] == [1, 1]


@pytest.mark.fault("Two agents of two detectors have the same settings of the technique", "The second is not attached")
def test_agents_with_the_same_bins_for_two_detectors_are_refused(session, wide, line):
    (near, _), settings, client = line
    motors = [session.stage.x, session.stage.y]
    engine, _ = near._attached
    with closing(build_agent(named(settings[0], "wide"), client, detector=wide, actuators=motors)) as agent:
        with pytest.raises(ValueError, match=r"near analyses 'lambda750k_image' with the settings of wide"):
            agent.attach(engine)
