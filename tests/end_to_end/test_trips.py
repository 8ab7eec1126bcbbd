"""The two walks through the code in the documentation, compared with the calls of a real run."""

import re
import sys
from collections import defaultdict
from pathlib import Path

import ainerd

SOURCE = Path(ainerd.__file__).parents[1]
PAGE = SOURCE.parent / "docs" / "explanation" / "frame-to-move.md"
TECHNIQUE = ("ainerd_xpcs/", "ainerd/novelty/")


def called_while_it_explores(session):
    """Explore twice, and return the functions that each thread called in the second exposure, by thread and file."""
    agent, codes = session.start_agent(alpha=0.001), defaultdict(set)  # no p-value is so small: nothing is followed up

    def trace(thread):
        def note(frame, event, arg):
            while frame is not None and frame.f_code not in codes[thread]:
                codes[thread].add(frame.f_code)
                frame = frame.f_back

        sys.settrace(note)

    def plan():
        trace("RunEngine")
        try:
            yield from agent.explore(2)
        finally:
            sys.settrace(None)

    session.RE(agent.explore(1))  # compiles and imports at first use
    agent.drain()
    threads = {"analysis": agent._analysis.jobs, "campaign": agent._own, "catalog": agent._tiled}
    for thread, jobs in threads.items():
        jobs.submit(lambda thread=thread: trace(thread))
    session.RE(plan())
    for jobs in threads.values():
        jobs.submit(lambda: sys.settrace(None))
    agent.drain()
    called = defaultdict(set)
    for thread, code in ((thread, code) for thread, each in codes.items() for code in each):
        if (path := Path(code.co_filename)).is_relative_to(SOURCE):
            name = path.relative_to(SOURCE).as_posix()
            file = "the technique" if name.startswith(TECHNIQUE) else name.removeprefix("ainerd/")
            called[thread, file] |= {*code.co_qualname.split(".<locals>."), code.co_qualname.rpartition(".")[2]}
    return called


def test_the_page_names_functions_that_are_called_in_these_threads(session):
    called, steps = called_while_it_explores(session), 0
    for line in PAGE.read_text().split("\n## Gain")[0].splitlines():
        if line.startswith("| ") and "`" in line:
            step, thread, passed = line.strip("| ").split(" | ")
            steps += 1
            for part in passed.split(" → "):
                file, functions = re.fullmatch(r"`?([^`]+?)`?: (.*)", part).groups()
                missing = {*re.findall(r"`([\w.]+)`", functions)} - called[thread, file]
                assert not missing, f"{step}, {thread}, {file}: {missing} not among {called[thread, file]}"
    assert steps == 11
