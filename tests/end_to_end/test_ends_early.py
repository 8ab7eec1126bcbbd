"""Exposures that end early because the analysis has seen enough, with the simulated instrument."""

import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import pytest

from agents.demo.simulated import simulated_instrument
from ainerd_xpcs.dynamics import Dynamics

FRAMES, PERIOD_S, SPEED = 2400, 0.05, 10.0  # 120 s in 12 s
FLUID = Dynamics(family="fluid", tau_s=0.6)
SOLID = Dynamics(family="arrested", tau_s=4.0, plateau=0.7)


@pytest.fixture(scope="module")
def session(server, tmp_path_factory):
    from tests.end_to_end.sessions import SMALL, Session, hardware_beside

    class Early(Session):
        """A session whose exposures may end early, on a sample of one kind at a time."""

        def use(self):
            self.settings.steering.enough = 0.2
            frames = self.settings.storage.frames[0]
            made = simulated_instrument(frames, hardware_beside(SMALL), speed=SPEED)
            made.detector._sample_now = lambda now, duration, rng: self.sample
            return self.use_this(made)

        def expect(self, frames):
            cam = self.detector.cam
            cam.num_images.put(FRAMES)
            cam.acquire_period.put(PERIOD_S)
            cam.acquire_time.put(PERIOD_S)

    session = Early(tmp_path_factory.mktemp("early"), server)
    yield session
    session.close()


def in_files(session):
    """Frames in the file of each run, oldest first."""
    paths = sorted(session.settings.storage.frames[0].glob("*.h5"), key=lambda path: path.stat().st_mtime)
    counts = []
    for path in paths:
        with h5py.File(path) as file:
            counts.append(len(file["entry/data/data"]))
    return counts


def test_a_fluid_ends_early_with_its_reason_and_the_next_position_follows(session):
    session.sample = FLUID
    session.RE(session.agent.explore(3))
    table = session.table()
    assert table["status"].eq("complete").all() and len(table) == 3
    short = table[table["shortened"].notna()]
    assert len(short) >= 1 and short["n_frames"].between(FRAMES // 8, FRAMES - 1).all()
    assert table["n_frames"].astype(int).tolist() == in_files(session)  # the detector stopped
    assert short["shortened"].str.contains(f"of {FRAMES} frames were enough").all() and short["novelty_p"].eq(1).all()
    assert (short["tau_s_or"] / FLUID.tau_s).between(0.9, 1.1).all()  # the ring has a small baseline
    assert len(set(zip(table["sample_x"], table["sample_y"], strict=True))) == 3
    assert "frames were enough" in session.agent.explain(str(short.index[0]))
    assert table["regime"].nunique() == 1  # with those that were taken whole


def test_a_solid_takes_all_frames(session):
    session.sample = SOLID
    before = len(session.table())
    session.RE(session.agent.explore(1))
    (row,) = session.table().iloc[before:].to_dict("records")
    assert row["n_frames"] == FRAMES == in_files(session)[-1] and row.get("shortened") != row.get("shortened")
