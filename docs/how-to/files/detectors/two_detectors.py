"""Two detectors in each run, and an agent for each: a startup file, after those of the RunEngine and the devices."""

from functools import partial

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp

from ainerd.agent import build_agent


def flown(detectors, devices, md):
    """Take one run in which all detectors fly at once."""
    read = [device for device in devices if device not in detectors]

    def frames():
        for detector in detectors:
            yield from bps.kickoff(detector, group="started")
        yield from bps.wait("started")
        taken = []
        for detector in detectors:
            taken.append((yield from bps.complete(detector, group="frames")))
        is_over = False
        while not is_over:
            yield from bps.sleep(0.2)
            is_over = all(status.done for status in taken)
            for detector in detectors:
                yield from bps.collect(detector, name=detector.name)

    @bpp.stage_decorator([*detectors, *read])
    @bpp.run_decorator(md=dict(md))
    def inner():
        yield from bps.trigger_and_read(read)
        for detector in detectors:
            yield from bps.declare_stream(detector, name=detector.name, collect=True)
        yield from bpp.rewindable_wrapper(frames(), False)  # after a pause or a loss of beam it goes on

    return (yield from inner())


def agents_of(RE, client, settings, detectors, motors, **devices):
    """Return the agents, attached to the RunEngine: one for each of the settings, with the detector at its place.

    The RunEngine writes its runs to `raw` by a TiledWriter of the session.
    """
    acquire, agents = partial(flown, detectors), []
    for each, detector in zip(settings, detectors, strict=True):
        agent = build_agent(each, client, detector=detector, actuators=motors, acquire=acquire, **devices)
        agent.attach(RE)
        agents.append(agent)
    return agents
