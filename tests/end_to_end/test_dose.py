"""Exposures that the agent chooses, within a limit of dose, with the simulated instrument."""

import pytest

from agents.rheo_xpcs import build_agent
from ainerd.config import Steering
from ainerd.dose import DoseError
from ainerd.knobs import ExposureOptions

LIMIT = 800.0  # seconds of the open beam, as the flux is 1
EXPOSURE = {
    "modes": [{"frame_time_s": (0.1, 1.0), "frames": (100, 300)}],
    "transmissions": (1.0, 0.24),
    "flux": 1.0,
    "counts_per_s": 5.0,
    "frame_exposure_s": "lambda750k_cam_acquire_time",
    "limit": LIMIT,
}


def agent_of(session, attenuator):
    settings = session.settings.model_copy(deep=True)
    settings.steering = Steering(bounds=settings.steering.bounds, beam_size=0.1, exposure=ExposureOptions(**EXPOSURE))
    session.agent = build_agent(
        session.client,
        detector=session.detector,
        actuators=[session.stage.x, session.stage.y],
        rheometer=session.rheometer,
        shutter=session.shutter,
        attenuator=attenuator,
        settings=settings,
    )
    session.agent.attach(session.RE)
    return session.agent


def test_exposures_are_chosen_and_their_dose_is_bounded(session_in, tmp_path):
    session = session_in(tmp_path)
    session.agent.close()
    with pytest.raises(ValueError, match="steering.exposure.transmissions: there is no attenuator"):
        agent_of(session, None)
    attenuator, cam = session.instrument.attenuator, session.detector.cam
    agent = agent_of(session, attenuator)
    session.RE(agent.explore(1))
    starts = [run.metadata["start"] for run in session.client["raw"].values() if "exposure" in run.metadata["start"]]
    taken = [start["exposure"] for start in starts]
    assert len(taken) == 1
    assert all(0.1 <= each["frame_time_s"] <= 1 and 100 <= each["n_frames"] <= 300 for each in taken)
    last = taken[-1]
    assert (cam.acquire_period.get(), cam.acquire_time.get()) == (last["frame_time_s"], last["frame_time_s"])
    assert cam.num_images.get() == last["n_frames"] and attenuator.transmission.get() == last["transmission"]
    status = agent.status()
    assert status["dose"] == pytest.approx(sum(each["dose"] for each in taken))
    assert status["beam_s"] == pytest.approx(sum(each["frame_time_s"] * each["n_frames"] for each in taken))

    states = []
    session.shutter.status.subscribe(lambda value, **_: states.append(value), run=False)
    point = {"sample_x": 5.0, "sample_y": 5.0, "frame_time_s": 1.0, "n_frames": 300, "transmission": 1.0}
    session.RE(agent.sample(point, point))
    opened = states.count("open")
    assert opened == 2
    agent.close()  # the next session knows the doses of this one
    agent = agent_of(session, attenuator)
    with pytest.raises(
        DoseError, match="the spot at sample_x = [45][.0-9]*, sample_y = [45][.0-9]* has 600 photons/um2"
    ):
        session.RE(agent.sample(point))
    assert states.count("open") == opened and session.shutter.status.get() == "closed"
