"""``make demo-xtec``: two ramps of a simulated crystal, one chosen by the agent, one even, beside the truth."""

import sys
import time
from pathlib import Path
from typing import Any

import bluesky.plans as bp
from bluesky import RunEngine
from rich.console import Console
from rich.panel import Panel
from tiled.queries import Key

from agents.demo import catalog_in
from agents.session import raw_writer
from agents.xtec import TOML, build_agent
from ainerd.agent import Agent
from ainerd.config import Settings
from ainerd.server import ServerError
from sim_devices import Crystal, DiffractionDetector, SimClock, TemperatureController

OUTPUT = Path(__file__).resolve().parents[1] / "output" / "demo-xtec"
EVEN, CHOSEN = 30, 12
SPEED = 2000.0  # simulated seconds in one second of the wall clock
console = Console()


def devices(settings: Settings, *, crystal: Crystal, speed: float = SPEED, seed: int = 0) -> tuple[Any, Any]:
    """Return the detector and the temperature controller around a crystal; frames go to the folder in the settings."""
    clock = SimClock(speed)
    temperature = TemperatureController(name="temperature", clock=clock, seed=seed)
    detector = DiffractionDetector(
        name="diffraction",
        directory=settings.storage.frames[0],
        clock=clock,
        crystal=crystal,
        temperature=lambda: temperature.true_position,
        seed=seed,
    )
    return detector, temperature


def main() -> None:
    """Run the demo; print one line and exit with 2 if it cannot start."""
    try:
        run(Settings.load(TOML))
    except (ValueError, ServerError) as err:
        print(f"ainerd: {err}", file=sys.stderr)
        sys.exit(2)


def run(
    settings: Settings, *, even: int = EVEN, chosen: int = CHOSEN, n: int = 200, output: Path = OUTPUT, seed: int = 4
) -> Agent:
    """Ramp a crystal, and print and draw the results; `output` is emptied first."""
    began = time.perf_counter()
    with catalog_in(output, settings) as client:
        crystal = Crystal(n, seed=seed)
        detector, temperature = devices(settings, crystal=crystal)
        agent = build_agent(client, detector=detector, temperature=temperature, settings=settings)
        RE = RunEngine({})
        RE.subscribe(writer := raw_writer(client, settings))
        agent.attach(RE)
        low, high = settings.steering.bounds["temperature"]
        with console.status(f"{chosen} temperatures that the agent chooses"):
            RE.md["series_id"] = "chosen by the agent"
            RE(agent.explore(chosen))
            del RE.md["series_id"]
            agent.close_series("chosen by the agent")
        with console.status(f"{even} temperatures, evenly"):
            RE(bp.scan([detector], temperature, low, high, even))
        agent.drain()
        writer.shutdown()
        report(agent, client, crystal)
        for name, figure in (
            ("campaign", agent.plot()),
            ("ramp", client["ainerd/results"].values().last().plot()),
        ):
            figure.savefig(output / f"{name}.png", dpi=150)
        agent.close()
        console.print(f"figures: {output}/campaign.png, ramp.png\n{time.perf_counter() - began:.0f} s")
        return agent


def report(agent: Agent, client: Any, crystal: Crystal) -> None:
    """Print the results, read back from Tiled, and the truth."""
    table = agent.results.table()
    console.rule("results, read back from Tiled")
    for key, row in table.iterrows():
        name = row["series_id"] if isinstance(row.get("series_id"), str) else "one run"
        console.print(f"[bold]{name}[/], {row['status']}")
        console.print(agent.explain(key))
        console.print(agent.results.rows(key, "cluster").to_string(float_format="%.3g"))
    console.rule("reasons of the temperatures")
    asked = agent.results.suggestions()
    for _, row in asked[asked["status"] == "measured"].iterrows():
        console.print(f"  {row['temperature']:6.1f} K: {row['reason']}")
    near = client["ainerd/results"].search(Key("transition_1") >= 70.0).search(Key("transition_1") <= 90.0)
    console.rule('client["ainerd/results"].search(Key("transition_1") >= 70.0).search(Key("transition_1") <= 90.0)')
    for node in near.values():
        result = node.metadata
        console.print(f"  {result['transition_1']:.1f} K from {result['temperatures']} temperatures")
    truth = ", ".join(f"{t.temperature:g} K" for t in crystal.transitions)
    console.print(Panel(f"transitions of the crystal: {truth}", title="the truth, hidden from the agent"))


if __name__ == "__main__":
    main()
