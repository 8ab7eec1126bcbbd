"""The two walks through the code in the documentation, compared with the call stacks of a real run.

A file is passed if one of its functions is on the call stack at a stop of the walk. The technique counts as one file.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import ainerd

SOURCE = Path(ainerd.__file__).parents[1]
PAGE = SOURCE.parent / "docs" / "explanation" / "frame-to-move.md"
TECHNIQUE = ("ainerd_xpcs/", "ainerd/novelty/")
# The stops of each trip, and functions that are called there. Files are those of src/ainerd, of tiled and of bluesky.
TRIPS = {
    "From a frame to a result": {
        "a document announces frames": {("runs/_worker.py", "Worker.__call__")},
        "frames are read": {("documents/_frames.py", "FrameReader.blocks")},
        "the technique takes them": {("the technique", "push")},
        "the technique finishes": {("the technique", "finish")},
        "the result is written": {("results/_places.py", "Places.write")},
    },
    "From a verdict to a move": {
        "the campaign finds its regime": {("the technique", "grouped")},
        "the next position is chosen": {
            ("steering/_policies.py", "new_regimes"),
        },
        "the plan gets the result": {("runs/_worker.py", "Worker._resolve")},
        "the plan evaluates": {("agent/_observer.py", "Observer.evaluate")},
        "the plan takes the position": {("campaign/_campaign.py", "Campaign.suggest")},
        "the stage moves": {("bluesky/plan_stubs.py", "mv")},
    },
}
# Of these only calls within another: a plan moves other things as well.
WITHIN = {
    "the result is written": "complete", "the stage moves": "measure",
}  # fmt: skip


class Tracer:
    """Keeps the stack of each call at a stop: per stop the files, and the functions of each."""

    def __init__(self):
        self.stops = defaultdict(lambda: defaultdict(set))
        self._by_name = defaultdict(list)
        for stops in TRIPS.values():
            for stop, calls in stops.items():
                for file, function in calls:
                    self._by_name[function.rsplit(".")[-1]].append((file, function, stop))

    def __call__(self, frame, event, arg):
        for file, function, stop in self._by_name.get(frame.f_code.co_name, ()):
            is_it = function in (frame.f_code.co_name, frame.f_code.co_qualname)
            if is_it and named(frame.f_code) == file and self._counts(frame, stop):
                self._keep(frame, self.stops[stop])

    def start(self):
        sys.settrace(self)

    def stop(self):
        sys.settrace(None)

    def _counts(self, frame, stop):
        if stop == "a document announces frames":
            return frame.f_locals["name"] == "stream_datum"
        if stop in WITHIN:
            return any(at.f_code.co_name == WITHIN[stop] for at in frames(frame))
        return named(frame.f_code) != "the technique" or named(frame.f_back.f_code) != "the technique"

    def _keep(self, frame, files):
        for at in frames(frame):
            if (file := named(at.f_code)) is not None and not file.startswith(("tiled/", "bluesky/")):
                files[file].add(at.f_code.co_qualname)


def frames(frame):
    while frame is not None:
        yield frame
        frame = frame.f_back


def named(code):
    """Return the file of a function as the pages name it; None for other packages."""
    path = Path(code.co_filename)
    if path.is_relative_to(SOURCE):
        name = path.relative_to(SOURCE).as_posix()
        return "the technique" if name.startswith(TECHNIQUE) else name.removeprefix("ainerd/")
    match = re.search(r"/((?:tiled/client|bluesky)/\w+\.py)$", code.co_filename)
    return match[1] if match else None


@pytest.fixture(scope="module")
def traced(session):
    """Trace two exposures, the second at the suggested position, in the threads of analysis, campaign and RunEngine."""
    agent, tracer = session.start_agent(alpha=0.001), Tracer()  # no p-value is so small: nothing is followed up

    def plan():
        tracer.start()
        try:
            yield from agent.explore(2)
        finally:
            tracer.stop()

    session.RE(agent.explore(1))  # compiles and imports at first use
    agent.drain()
    for jobs in (agent._analysis.jobs, agent._own, agent._tiled):
        jobs.submit(tracer.start)
    session.RE(plan())
    for jobs in (agent._analysis.jobs, agent._own, agent._tiled):
        jobs.submit(tracer.stop)
    agent.drain()
    return tracer.stops


def rows(trip):
    """Yield each stop in the table of a trip, with its files and their functions."""
    for line in PAGE.read_text().split(f"\n## {trip}\n")[1].split("\n## ")[0].splitlines():
        if line.startswith("| ") and "`" in line:
            stop, _, passed = line.strip("| ").split(" | ")
            functions_of = {}
            for part in passed.split(" → "):
                file, functions = re.fullmatch(r"`?([^`]+?)`?: (.*)", part).groups()
                functions_of.setdefault(file, set()).update(re.findall(r"`([\w.]+)`", functions))
            yield stop, functions_of


@pytest.mark.parametrize("trip", TRIPS)
def test_the_page_names_the_files_that_are_passed(trip, traced):
    listed = dict(rows(trip))
    assert list(listed) == list(TRIPS[trip])
    for stop, files in listed.items():
        assert files.keys() == traced[stop].keys(), f"{stop}: {dict(traced[stop])}"
        for file, functions in files.items():
            there = {part for name in traced[stop][file] for part in (*name.split(".<locals>."), name.split(".")[-1])}
            assert functions <= there, f"{stop}, {file}: {there}"
