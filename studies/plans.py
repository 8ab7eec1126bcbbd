"""Compare each result with the frames that it names, after every plan of bluesky.

Each plan of `bluesky.plans` runs with ophyd's simulated motors (`ophyd.sim`) and with those of ophyd-async.
Two agents follow the RunEngine: one of a detector with frames in its events, and one of a detector with frames in a
file. Each frame carries its number and the position of the motor. A complete result must hold consecutive frames of
one position, which is its own; no frame may be in two results; and each event with frames needs a result, which may be
failed with a reason. The exit code is 1 otherwise.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.run_engine import call_in_bluesky_event_loop
from cycler import cycler
from ophyd.sim import SynGauss
from rich.progress import track

from studies._numbered import Beamline, beamline, mismatch
from studies._tools import Row, Study, report

NOT_TAKEN = {"tweak": "it asks a person", "fly": "its flyers have no frames in files"}
IMAGES = ("camera_image", "stack_image")
STATUSES = ("complete", "partial", "failed")
PATIENCE_S = 1800.0  # on a busy machine

study = Study(__doc__)
for noisy in ("bluesky", "ophyd", "ainerd.documents"):  # many plans fail on purpose, or take frames in two streams
    logging.getLogger(noisy).setLevel(logging.CRITICAL)


@study.part
def bluesky() -> None:
    """Run every plan of `bluesky.plans`, with motors of ophyd and of ophyd-async."""
    with beamline("camera", "stack") as (line, _):
        runs = []
        for kind, motors in {"ophyd": lambda: (line.x, line.y), "ophyd-async": lambda: async_motors(line)}.items():
            for name, plan in track(plans_of(line, *motors()).items(), f"plans, {kind}"):
                runs.append((name, taken(line, plan())))
        finish(line, runs)


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


def taken(line: Beamline, plan: Any) -> dict[str, Counter[str]]:
    """Run a plan, and return the number of events with frames of each detector by run."""
    events: dict[str, dict[str, set[int]]] = {}  # sequence numbers by run and data key
    of: dict[str, tuple[str, Mapping[str, Any]]] = {}

    def note(name: str, doc: Mapping[str, Any]) -> None:
        if name == "start":
            events[doc["uid"]] = {key: set() for key in IMAGES}
        elif name == "descriptor":
            of[doc["uid"]] = doc["run_start"], doc["data_keys"]
        elif name in ("event", "event_page"):
            uid, keys = of[doc["descriptor"]]
            for key in IMAGES:
                if key in keys:
                    events[uid][key].add(doc["seq_num"])

    line.RE(plan, note)
    return {uid: Counter({key: len(numbers) for key, numbers in seen.items()}) for uid, seen in events.items()}


def finish(line: Beamline, runs: list[tuple[str, dict[str, Counter[str]]]]) -> None:
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
    report("plans", rows, wrong=wrong)


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
