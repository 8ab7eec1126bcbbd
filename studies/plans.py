"""Compare each result with the frames that it names: after every plan of bluesky, and after random ones.

bluesky  each plan of `bluesky.plans`, with ophyd's simulated motors (`ophyd.sim`) and with those of ophyd-async.
random   plans of a grammar: stages, triggers, events that are dropped, several streams, flights, monitors, interleaved
         and nested runs, pauses, suspenders, exceptions, and abort, stop or halt, each at any message.

Two agents follow the RunEngine: one of a detector with frames in its events, and one of a detector with frames in a
file. Each frame carries its number and the position of the motor. A complete result must hold consecutive frames of
one position, which is its own; no frame may be in two results; and each event with frames needs a result, which may be
failed with a reason. An event that is taken again after a pause has the sequence number of the first time, and is one
event. The exit code is 1 otherwise.
"""

import itertools
import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.suspenders import SuspendBoolHigh
from bluesky.utils import Msg, RunEngineInterrupted
from cycler import cycler
from ophyd import Signal
from ophyd.sim import SynGauss
from rich.progress import track

from studies._numbered import Beamline, beamline, mismatch
from studies._tools import Row, Study, report

NOT_TAKEN = {"tweak": "it asks a person", "fly": "its flyers have no frames in files"}
IMAGES = ("camera_image", "stack_image")
FLOWN = 3  # frames of a flight
STATUSES = ("complete", "partial", "failed")
PATIENCE_S = 1800.0  # on a busy machine
STEPS = ("move", "event", "event", "event", "drop", "checkpoint", "rest", "fly", "inner", "apart")
ENDS = ("none", "exception", "abort", "stop", "halt", "pause and resume", "suspender")

study = Study(__doc__)
for noisy in ("bluesky", "ophyd", "ainerd.documents"):  # many plans fail on purpose, or take frames in two streams
    logging.getLogger(noisy).setLevel(logging.CRITICAL)


@study.part
def bluesky(seed: int = 0) -> None:
    """Run every plan of `bluesky.plans`, with motors of ophyd and of ophyd-async."""
    with beamline("camera", "stack") as (line, _):
        runs = []
        for kind, motors in {"ophyd": lambda: (line.x, line.y), "ophyd-async": lambda: async_motors(line)}.items():
            for name, plan in track(plans_of(line, *motors()).items(), f"plans, {kind}"):
                runs.append((name, taken(line, plan(), may_fail=False)))
        finish("bluesky", line, runs, seed)


@study.part
def random(plans: int = 200, seed: int = 0) -> None:
    """Run plans of the grammar."""
    rng = np.random.default_rng(seed)
    with beamline("camera", "stack") as (line, _):
        grammar, runs = Grammar(line, rng), []
        for _ in track(range(plans), "plans"):
            end = str(rng.choice(ENDS))
            runs.append((end, taken(line, grammar.plan(), end, int(rng.integers(1, 60)))))
        finish("random", line, runs, seed)


def async_motors(line: Beamline) -> tuple[Any, Any]:
    """Return motors of ophyd-async with the names of the others; frames carry the position of the first."""
    from ophyd_async.core import init_devices
    from ophyd_async.sim import SimMotor

    with init_devices():
        x, y = SimMotor("sample_x", instant=True), SimMotor("sample_y", instant=True)
    position = [0.0]

    async def follow() -> None:
        x.user_readback.subscribe_reading(lambda reading: position.__setitem__(0, reading[x.name]["value"]))

    call_in_bluesky_event_loop(follow())
    line.also_at(lambda: position[0])
    return x, y


def plans_of(line: Beamline, x: Any, y: Any) -> dict[str, Callable[[], Any]]:
    """Return each plan of `bluesky.plans`, ready to run."""
    both, near = [line.camera, line.stack], SynGauss("near", line.x, "sample_x", center=3, Imax=1, sigma=1)
    two, four = (x, 1, 3, 3), (x, 1, 3, y, 2, 4)

    def ramp() -> Any:
        plan = bp.ramp_plan(bps.abs_set(x, 2.0), near, lambda: bps.trigger_and_read([*both, x]), period=0.05)
        return bpp.stage_wrapper(plan, both)

    made = {
        "count": lambda: bp.count([*both, x], num=3),
        "scan": lambda: bp.scan(both, *two),
        "rel_scan": lambda: bp.rel_scan(both, x, 0, 1, 3),
        "list_scan": lambda: bp.list_scan(both, x, [1, 2, 4]),
        "rel_list_scan": lambda: bp.rel_list_scan(both, x, [0, 1]),
        "log_scan": lambda: bp.log_scan(both, x, 0.1, 0.5, 3),
        "rel_log_scan": lambda: bp.rel_log_scan(both, x, 0.01, 0.3, 3),
        "adaptive_scan": lambda: bp.adaptive_scan([*both, near], "near", x, 1, 3, 0.3, 1, 0.2, True),
        "rel_adaptive_scan": lambda: bp.rel_adaptive_scan([*both, near], "near", x, 0, 1, 0.3, 1, 0.2, True),
        "tune_centroid": lambda: bp.tune_centroid([*both, near], "near", x, 2, 4, 0.5, num=4),
        "scan_nd": lambda: bp.scan_nd(both, cycler(x, [1, 2]) * cycler(y, [3, 4])),
        "inner_product_scan": lambda: bp.inner_product_scan(both, 3, *four),
        "relative_inner_product_scan": lambda: bp.relative_inner_product_scan(both, 3, x, 0, 1, y, 0, 1),
        "grid_scan": lambda: bp.grid_scan(both, x, 1, 2, 2, y, 1, 2, 2, snake_axes=True),
        "rel_grid_scan": lambda: bp.rel_grid_scan(both, x, 0, 1, 2, y, 0, 1, 2),
        "list_grid_scan": lambda: bp.list_grid_scan(both, x, [1, 2], y, [1, 2]),
        "rel_list_grid_scan": lambda: bp.rel_list_grid_scan(both, x, [0, 1], y, [0, 1]),
        "spiral": lambda: bp.spiral(both, x, y, 5, 5, 2, 2, 1, 4),
        "rel_spiral": lambda: bp.rel_spiral(both, x, y, 1, 1, 0.5, 4),
        "spiral_fermat": lambda: bp.spiral_fermat(both, x, y, 5, 5, 2, 2, 1, 2),
        "rel_spiral_fermat": lambda: bp.rel_spiral_fermat(both, x, y, 1, 1, 0.5, 2),
        "spiral_square": lambda: bp.spiral_square(both, x, y, 5, 5, 2, 2, 2, 2),
        "rel_spiral_square": lambda: bp.rel_spiral_square(both, x, y, 1, 1, 2, 2),
        "x2x_scan": lambda: bp.x2x_scan(both, x, y, 0.5, 1, 3),
        "ramp_plan": ramp,
    }
    rest = {
        name for name in vars(bp) if name.endswith(("scan", "spiral", "count", "plan", "square", "fermat", "centroid"))
    }
    missing = {name for name in rest - set(made) if not name.startswith(("_", "relative_", "outer_product"))}
    assert missing <= set(NOT_TAKEN), missing  # the names left out are old ones of the same plans
    return made


class Grammar:
    """Random plans."""

    def __init__(self, line: Beamline, rng: np.random.Generator) -> None:
        self._line, self._rng, self._keys = line, rng, itertools.count()

    def plan(self) -> Any:
        """Yield the messages of a plan: one or two runs, one after the other, with others nested or interleaved.

        A detector in a file names the file once for each staging, and either flies in it or is triggered.
        """
        for _ in range(int(self._rng.integers(1, 3))):
            self._flies = bool(self._rng.random() < 0.3)
            staged = [device for device in (self._line.camera, self._line.stack) if self._rng.random() < 0.95]
            yield from bpp.stage_wrapper(self._run(0), staged)

    def _run(self, depth: int) -> Any:
        key = f"run {next(self._keys)}"
        yield from bpp.set_run_key_wrapper(self._one(depth), key)

    def _one(self, depth: int) -> Any:
        rng, line, devices = self._rng, self._line, self._devices(depth)  # one stream has the same devices
        yield from bps.open_run({"depth": depth})
        is_monitored = rng.random() < 0.2
        if is_monitored:
            yield from bps.monitor(line.x.readback, name=f"x of {depth}")
        steps = [step for step in STEPS if step != ("event" if self._flies else "fly")]
        for _ in range(int(rng.integers(1, 7))):
            match str(rng.choice(steps)):
                case "move":
                    yield from bps.mv(line.x, float(rng.uniform(0, 10)))
                case "event":
                    yield from bps.trigger_and_read(devices, name="primary")
                case "apart":
                    yield from bps.trigger_and_read([line.x, line.camera], name="second")
                case "drop":
                    yield from bps.create("primary")
                    yield from bps.read(line.x)
                    yield from bps.drop()
                case "checkpoint":
                    yield from bps.checkpoint()
                case "rest":
                    yield from bps.sleep(0.01)
                case "fly":
                    yield from self._fly(depth)
                case "inner" if depth < 2:
                    yield from self._run(depth + 1)
        if is_monitored:
            yield from bps.unmonitor(line.x.readback)
        yield from bps.close_run(*rng.choice([["success"], ["fail"]], p=[0.9, 0.1]))

    def _devices(self, depth: int) -> list[Any]:
        line, some = self._line, [self._line.x]
        some += [line.camera] if self._rng.random() < 0.8 else []
        return some + ([line.stack] if self._rng.random() < (0.1 if depth else 0.8) else [])

    def _fly(self, depth: int) -> Any:
        stack = self._line.stack
        yield from bps.trigger_and_read([self._line.x], name="primary")
        yield from bps.declare_stream(stack, name=f"flown {depth}", collect=True)
        yield from bps.kickoff(stack, wait=True)
        yield from bps.complete(stack, wait=True)
        yield from bps.collect(stack, name=f"flown {depth}")


def taken(
    line: Beamline, plan: Any, end: str = "none", at: int = 0, *, may_fail: bool = True
) -> dict[str, Counter[str]]:
    """Run a plan, end it in this way at message `at`, and return the events with frames of each detector by run.

    An error of the plan is raised unless it `may_fail`.
    """
    events: dict[str, dict[str, set[int]]] = {}  # sequence numbers by run and data key
    of: dict[str, tuple[str, str, Mapping[str, Any]]] = {}
    first: dict[tuple[str, str], str] = {}  # stream with frames, by run and data key

    def note(name: str, doc: Mapping[str, Any]) -> None:
        if name == "start":
            events[doc["uid"]] = {key: set() for key in IMAGES}
        elif name == "descriptor":
            of[doc["uid"]] = doc["run_start"], doc["name"], doc["data_keys"]
        elif name == "stream_datum":
            uid, stream, _ = of[doc["descriptor"]]
            if stream.startswith("flown") and first.setdefault((uid, "stack_image"), stream) == stream:
                events[uid]["stack_image"].update(range(doc["seq_nums"]["start"], doc["seq_nums"]["stop"], FLOWN))
        elif name in ("event", "event_page"):
            uid, stream, keys = of[doc["descriptor"]]
            for key in IMAGES:  # those in a second stream are left out, with a line in the log
                if key in keys and first.setdefault((uid, key), stream) == stream:
                    events[uid][key].add(doc["seq_num"])

    engine, suspended = line.RE, Signal(name="suspended", value=0)
    suspender = SuspendBoolHigh(suspended, sleep=0)
    engine.install_suspender(suspender)
    try:
        engine(ended(plan, end, at, suspended), note)
    except RunEngineInterrupted:
        with suppress(Exception):  # of the plan, which goes on
            getattr(engine, end if end in ("abort", "stop", "halt") else "resume")()
        if engine.state == "paused":
            engine.abort()
    except Exception:
        if not may_fail:
            raise
    finally:
        engine.remove_suspender(suspender)
        for device in (line.camera, line.stack):  # after a halt they are still staged
            with suppress(Exception):
                device.unstage()
    return {uid: Counter({key: len(numbers) for key, numbers in seen.items()}) for uid, seen in events.items()}


def ended(plan: Any, end: str, at: int, suspended: Signal) -> Any:
    """Let something happen at a message of a plan."""
    numbers = itertools.count()

    def change(message: Msg) -> Any:
        if next(numbers) != at or end == "none":
            return None, None
        if end == "exception":
            raise RuntimeError("the plan breaks off")
        if end == "suspender":
            for after_s, value in ((0.0, 1), (0.05, 0)):  # in other threads: the RunEngine's would wait for itself
                threading.Timer(after_s, suspended.put, [value]).start()
            return None, bps.sleep(0.02)
        return None, bps.pause()

    yield from bpp.plan_mutator(plan, change)


def finish(part: str, line: Beamline, runs: list[tuple[str, dict[str, Counter[str]]]], seed: int) -> None:
    """Judge the results; end the process with 1 if any is wrong."""
    wrong, rows = list[str](), list[Row]()
    results: dict[str, dict[str, Counter[str]]] = {}
    for agent, key in zip(line.agents, IMAGES, strict=True):
        end = time.monotonic() + PATIENCE_S
        while not agent.drain(PATIENCE_S):
            if time.monotonic() > end:
                wrong.append(f"{agent.name}: not analysed in {PATIENCE_S:.0f} s")
                break
            time.sleep(1.0)
        statuses, problems = judged(agent.results)
        results[key] = statuses
        wrong += problems
    for what in dict.fromkeys(what for what, _ in runs):
        counts: Counter[str] = Counter()
        for uid, events in ((uid, events) for name, some in runs if name == what for uid, events in some.items()):
            counts["runs"] += 1
            for key, statuses in results.items():
                got = statuses.get(uid, Counter())
                counts.update({"events": events[key]} | got)
                if sum(got[status] for status in STATUSES) < events[key]:
                    wrong.append(f"{what}: run {uid} has {dict(got)} of {events[key]} events of {key}")
        rows.append({"plan": what, **{name: counts[name] for name in ("runs", "events", *STATUSES, "no position")}})
    report(f"plans_{part}", rows, seed=seed, wrong=wrong)


def judged(store: Any) -> tuple[dict[str, Counter[str]], list[str]]:
    """Return the statuses of the results by run, and results that do not belong to their frames."""
    statuses: dict[str, Counter[str]] = defaultdict(Counter)
    wrong, owner = list[str](), dict[int, str]()
    for key, row in store.table().iterrows():
        statuses[row["raw_uid"]][row["status"]] += 1
        name = f"run {row['raw_uid']}, event {row['event']}"
        if row["status"] not in ("complete", "partial"):
            if row["status"] != "failed" or not row["reason"]:
                wrong.append(f"{name}: {row['status']}, {row['reason']}")
            continue
        statuses[row["raw_uid"]]["no position"] += int(not np.isfinite(row["sample_x"]))
        if why := mismatch(store, row, str(key)):
            wrong.append(f"{name}: {why}")
        for number in store.array(str(key), "numbers").tolist():
            if number in owner:
                wrong.append(f"frame {number} is in {name} and in {owner[number]}")
            owner[number] = name
    return statuses, wrong


if __name__ == "__main__":
    study()
