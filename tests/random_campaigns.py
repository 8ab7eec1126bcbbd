"""Campaigns with random knobs, policies and wishes of a person, whose plans are run message by message.

Forbidden moves are judged here by rules of its own: outside the range, none of the values, back along a one-way knob,
in an excluded box, nearer to a measured position than the beam is wide, a knob with a cost not first, not alone, or
without its time to settle.
"""

import asyncio
from dataclasses import dataclass, field

import bluesky.plan_stubs as bps
import numpy as np

from ainerd.knobs import Knob
from ainerd.novelty import find_regimes
from ainerd.plans import visit
from ainerd.steering import POLICIES
from tests.explorer import Explorer

STEPS = 12
READBACK = 3e-4  # largest error of a readback, in ranges: that of a thermometer
SMALL = 2e-3  # changes that may be noise, in ranges
UNITS = ("mm", "K", "1/s", "wt%", "V", "MPa")


class Device:
    """An actuator that a plan can move and read."""

    def __init__(self, name, position, noise):
        self.name, self.position, self._noise, self.parent, self.hints = name, position, noise, None, {"fields": [name]}

    def read(self):
        return {self.name: {"value": self.position + self._noise(), "timestamp": 0.0}}

    def set(self, value):
        self.position = value


class Frames:
    name, parent, hints = "frames", None, {}


@dataclass
class Campaign:
    """An explorer, devices, and all that was moved."""

    rng: np.random.Generator
    explorer: Explorer
    devices: list
    moves: list = field(default_factory=list)  # of each position: (name, value) or ("settle", seconds)
    measured: list = field(default_factory=list)

    def run(self, suggestion):
        """Run the plan of a position, and return whether it was measured; ValueError if the plan refuses it."""
        begun, knobs = [], self.explorer.rules.window.knobs
        plan = visit(None, acquire=lambda devices, md: bps.null(), knobs=knobs)([suggestion], self.devices, [Frames()])
        answer, error = None, None
        while True:
            try:
                message = plan.send(answer) if error is None else plan.throw(error)
            except StopIteration:
                break
            except ValueError as refused:
                if "return its uid" not in str(refused):  # the exposure itself is left out
                    assert not begun, f"moved before it was refused: {begun}"
                    raise
                break
            answer, error = None, None
            match message.command:
                case "set":
                    begun.append((message.obj.name, message.args[0]))
                    message.obj.set(*message.args)
                case "sleep":
                    begun.append(("settle", message.args[0]))
                case "read":
                    answer = message.obj.read()
                case "wait_for":
                    for ask in message.args[0]:
                        asyncio.run(ask())
        self.moves.append(begun)
        self.measured.append({device.name: device.position for device in self.devices})


def campaign_of(seed):
    """Return a campaign with random knobs, and the name of its policy."""
    rng = np.random.default_rng(seed)
    names, costly = [f"knob{i}" for i in range(int(rng.integers(1, 5)))], False
    knobs = {}
    for name, unit in zip(names, UNITS, strict=False):
        low = float(rng.uniform(-50, 50))
        width = float(10 ** rng.uniform(-1, 2.5))
        options = {"unit": unit, "length": width * float(rng.uniform(0.05, 0.5))}
        kind = rng.choice(["free", "free", "slow", "values", "holder"]) if len(names) > 1 else "free"
        if kind in ("values", "holder"):
            options["values"] = tuple(np.unique(low + width * rng.random(int(rng.integers(2, 6)))).tolist())
            options["apart"] = kind == "holder"
        else:
            options["range"] = (low, low + width)
        if kind in ("slow", "holder"):
            options["settle_s"] = float(rng.uniform(1, 600))
        if kind == "slow":
            options["speed"] = width / float(rng.uniform(10, 1000))
        options["direction"] = str(rng.choice(["any", "any", "up", "down"]))
        if kind == "holder":
            options.pop("length"), options.pop("unit")
        knobs[name] = Knob(**options)
        costly |= knobs[name].costs
    policy = str(rng.choice([name for name in POLICIES if costly or name != "levels"]))
    rules = {"policy": POLICIES[policy], "beam_size": float(rng.uniform(0.05, 0.3)), "seed": int(rng.integers(100))}
    bounds = {name: knob.range for name, knob in knobs.items()}
    explorer = Explorer(bounds, knobs=knobs, labeler=lambda z: find_regimes(z, width=1.0).labels, dose_limit=1, **rules)
    devices = [
        Device(name, start(knob), lambda knob=knob: READBACK * np.ptp(knob.range) * rng.uniform(-1, 1))
        for name, knob in knobs.items()
    ]
    return Campaign(rng, explorer, devices), policy


def start(knob):
    """The first position of a device: the begin of its only way."""
    return (knob.values or knob.range)[-1 if knob.direction == "down" else 0]


def wish(campaign):
    """A point of a person, often one that is forbidden."""
    rng, point = campaign.rng, {}
    for name, knob in campaign.explorer.rules.window.knobs.items():
        low, high = knob.range
        x = float(rng.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low)))
        point[name] = float(rng.choice(knob.values)) if knob.values and rng.random() < 0.7 else x
    return point


def box(campaign):
    """A box to exclude."""
    rng, limits = campaign.rng, {}
    for name, (low, high) in campaign.explorer.bounds.items():
        if rng.random() < 0.5:
            a = rng.uniform(low, high)
            limits[name] = (float(a), float(a + rng.uniform(0, 0.5) * (high - low)))
    return limits


def forbidden(seed):
    """Return the faults of a campaign in words, how many positions were measured, and how many plans refused one."""
    campaign, policy = campaign_of(seed)
    rng, explorer = campaign.rng, campaign.explorer
    faults, refused = [], 0
    for _ in range(STEPS):
        if rng.random() < 0.25 and (limits := box(campaign)):
            explorer.window = explorer.window.changed(explorer.bounds, [*explorer.window.excluded, limits])
        asked = rng.random()
        try:
            if asked < 0.15:
                (suggestion,) = explorer.register_suggestions([wish(campaign)])
            elif asked < 0.25:
                suggestion = {"_id": "", **wish(campaign)}  # to the plan itself, which knows no boxes and no beam
            else:
                (suggestion,) = explorer.suggest(1)
        except ValueError as error:
            if asked >= 0.25:
                assert "no position is left" in str(error), error
                break
            continue
        before = {device.name: device.position for device in campaign.devices}
        try:
            campaign.run(suggestion)
        except ValueError:
            refused += 1
            if suggestion["_id"]:
                faults.append(f"{policy}: the plan refused {suggestion}")
                explorer.expect({}, {})
            continue
        faults += [f"{policy}, seed {seed}: {fault}" for fault in wrong(campaign, before, asked)]
        z = rng.normal(size=3).astype(np.float32) + 3 * int(rng.integers(3))
        point = {name: suggestion[name] for name in explorer.names}
        embedding = z if rng.random() < 0.9 else np.full(3, np.nan, np.float32)  # some exposures fail
        point |= {"_id": suggestion["_id"] or f"plan {len(campaign.moves)}", "embedding": embedding}
        explorer.ingest([point | {"novelty_p": float(rng.random())}])
    return faults, len(campaign.measured), refused


def wrong(campaign, before, asked):
    """Yield the rules that the last position breaks."""
    explorer, knobs = campaign.explorer, campaign.explorer.rules.window.knobs
    here = campaign.measured[-1]
    for name, knob in knobs.items():
        low, high = knob.range
        if not low <= here[name] <= high:
            yield f"{name} = {here[name]} outside {knob.range}"
        if knob.values and here[name] not in knob.values:
            yield f"{name} = {here[name]} not in {knob.values}"
        step = here[name] - before[name]
        if {"up": -step, "down": step, "any": 0}[knob.direction] > SMALL * (high - low):
            yield f"{name} went back from {before[name]} to {here[name]}"
    slow = sorted((n for n in knobs if knobs[n].costs), key=lambda n: -across(knobs[n]))
    expected = [part for n in slow if moved(knobs[n], before[n], here[n]) for part in ((n, here[n]), ("settle", None))]
    moves, of = [], None
    for name, x in campaign.moves[-1]:
        of = of if name == "settle" else name
        if of not in slow or moved(knobs[of], before[of], here[of]):
            moves.append((name, x))
    done = [(n, None if n == "settle" else x) for n, x in moves[: len(expected)]]
    if done != expected or any(name in slow for name, _ in moves[len(expected) :]):
        yield f"moves {moves} are not in the order {expected}"
    for (name, _), (_, seconds) in zip(moves[: len(expected) : 2], moves[1::2], strict=False):
        if seconds != knobs[name].settle_s:
            yield f"{name} did not settle for {knobs[name].settle_s} s"
    if asked < 0.25 and asked >= 0.15:
        return
    inside = [all(low <= here[n] <= high for n, (low, high) in limits.items()) for limits in explorer.window.excluded]
    if any(inside):
        yield f"{here} is excluded by {explorer.window.excluded}"
    if asked >= 0.25:
        lengths = {name: knob.length or 1e-12 for name, knob in knobs.items()}
        apart = [np.linalg.norm([(here[n] - old[n]) / lengths[n] for n in knobs]) for old in campaign.measured[:-1]]
        if min(apart, default=np.inf) < explorer.rules.beam_size * (1 - 1e-5):
            yield f"{here} was measured before"


def across(knob):
    """Seconds of a knob's longest way."""
    width = knob.range[1] - knob.range[0]
    return (width / knob.speed if knob.speed else 0.0) + knob.settle_s


def moved(knob, before, here):
    """Whether a knob has changed by more than the noise of its readback."""
    return abs(here - before) > SMALL * (knob.range[1] - knob.range[0])
