"""The commands of the agent, as ``agent?`` shows them."""

import re

# Calls, with a description of each.
ACTIONS = {
    "Look": {
        "agent": "its state, the next position and why; agent.status() as plain values",
        "agent.results": "the table of results; agent.results[12] is that of scan 12",
        "agent.explain(12)": "why scan 12 is novel or not; details=True adds the statistics",
        "agent.why(12)": "why the position of scan 12 was chosen",
        "agent.log()": "results and decisions, a line each; agent.quiet = True prints none",
        "agent.regimes()": 'the regimes, a sentence each; agent.name(1, "gel") names one',
        "agent.plot()": "a figure of the campaign; agent.page shows the same in a browser",
    },
    "Measure": {
        "RE(agent.explore(3))": "three positions, each chosen after the previous one is analysed",
        "RE(agent.explore())": "until the sample is explored",
        "RE(agent.sample((2.0, 3.5)))": "positions of your own, now",
    },
    "Steer": {
        "agent.suggest()": "the next position as data, with the numbers behind it",
        "agent.accept()": "take it; RE(agent.sample(agent.accept())) measures it",
        'agent.reject("too near the wall")': "reject the next point, also a person's; returns another",
        'agent.add(3.0, 7.0, reason="a scratch")': "your own position comes before the agent's",
        "agent.queue()": "the points that people asked for, in their order",
        'agent.exclude("a crack", sample_x=(2, 3))': "suggest none in a box; agent.excluded = [] allows all",
        'agent.leave_out(12, "a bubble")': "no regime, reference or map uses scan 12 any more",
        "agent.undo()": "take back the last exclusion, name, or scan that was left out",
        "agent.bounds = {'sample_x': (1, 9), …}": "narrower limits for all suggestions",
        'agent.hold("the beam is weak")': "begin no exposure until agent.release()",
        'agent.note("a bubble", scan=12)': "write a note on scan 12; without scan=, on the newest",
    },
    "Tidy up": {
        "agent.attach(RE)": "analyse the runs of RE; agent.close() ends it; agent.warm_up() compiles",
        "agent.take_over()": "steer from this session, once the one that steered has ended",
        "agent.drain()": "wait until everything is analysed",
        'agent.results.export("results.csv")': "the table as a file; agent.results.to_xarray()",
    },
}

_WIDTH = 2 + max(len(call) for calls in ACTIONS.values() for call in calls)
GUIDE = "Commands of the agent.\n\n" + "\n\n".join(
    f"{title}\n" + "\n".join(f"    {call:{_WIDTH}}{does}" for call, does in calls.items())
    for title, calls in ACTIONS.items()
)
NAMES = sorted({*re.findall(r"agent\.(\w+)", GUIDE)})
"""Names that the guide mentions, which TAB completes; others are for programs."""
