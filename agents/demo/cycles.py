"""``python -m agents.demo --profile cycles``: a night of an amplitude sweep of oscillatory shear.

The agent chooses the amplitudes. The sample yields at a strain of 10 %, which the agent does not know.
"""

import time
from pathlib import Path

import pandas as pd
from bluesky import RunEngine, SupplementalData
from rich.console import Console
from tiled.client.container import Container

import ainerd.agent
from agents.demo import catalog_in
from agents.demo.simulated import hardware_beside
from agents.rheo_xpcs import TOML as RHEO_XPCS
from agents.session import raw_writer
from ainerd.agent import Agent
from ainerd.config import Settings
from ainerd_shear import panels
from ainerd_xpcs.technique.plans import acquire_with_record
from sim_devices import CyclingInstrument, read_hardware

TOML = RHEO_XPCS.parents[1] / "cycles" / "agent.toml"
OUTPUT = RHEO_XPCS.parents[2] / "output" / "cycles"
AMPLITUDES, CYCLES, FRAMES = 7, 128, 2  # amplitudes, cycles of each, and frames of a cycle
EXPOSURE_S = 0.05  # of a frame
SPEED = 15.0  # simulated seconds in one second of the wall clock
SHOWN = {
    "strain_amplitude": "set",
    "frequency": "f (Hz)",
    "rest": "rest (s)",
    "cycle_strain": "strain",
    "echo_height": "echo",
    "tau_cycles": "tau",
    "tau_cycles_err": "±",
    "tau_cycles_above": "tau >",
    "storage_pa": "G' (Pa)",
    "loss_pa": "G'' (Pa)",
    "tan_delta": "tan δ",
    "regime": "regime",
    "novelty_p": "p",
}
console = Console()


def agent_of(client: Container, settings: Settings, instrument: CyclingInstrument) -> Agent:
    """Return an agent whose knobs are set points of the rheometer, and a detector that follows the frequency."""
    rheometer, cam = instrument.rheometer, instrument.detector.cam
    knobs = [getattr(rheometer, name) for name in settings.steering.bounds]
    for name, knob in zip(settings.steering.bounds, knobs, strict=True):
        knob.name = name

    def follow(value: float, **_: object) -> None:
        cam.acquire_period.put(1 / FRAMES / value)

    follow(rheometer.frequency.get())
    rheometer.frequency.subscribe(follow, run=False)
    return ainerd.agent.build_agent(
        settings,
        client,
        detector=instrument.detector,
        actuators=knobs,
        beside=[rheometer],
        shutter=instrument.shutter,
        acquire=acquire_with_record(rheometer),
    )


def run(
    settings: Settings,
    *,
    amplitudes: int = AMPLITUDES,
    cycles: int = CYCLES,
    speed: float = SPEED,
    seed: int = 0,
    output: Path = OUTPUT,
) -> Agent:
    """Let the agent choose amplitudes, and print and draw the results; `output` is emptied first."""
    began = time.perf_counter()
    with catalog_in(output, settings) as client:
        options = read_hardware(hardware_beside(settings.file)) | {"speed": speed, "seed": seed}
        instrument = CyclingInstrument(directory=settings.storage.frames[0], **options)
        cam = instrument.detector.cam
        cam.num_images.put(FRAMES * cycles)
        cam.acquire_time.put(EXPOSURE_S)
        agent = agent_of(client, settings, instrument)
        RE = RunEngine({})
        RE.preprocessors.append(SupplementalData(baseline=instrument.baseline))
        RE.subscribe(writer := raw_writer(client, settings))
        agent.attach(RE)
        console.print(f"Follow the campaign in a browser: open {agent.page}")
        with console.status(f"{amplitudes} amplitudes of {cycles} cycles"):
            RE(agent.explore(amplitudes))
            agent.drain()
            writer.shutdown()
        report(agent, output)
        agent.close()
        console.print(f"{time.perf_counter() - began:.0f} s")
        return agent


def report(agent: Agent, output: Path) -> None:
    """Print the results, read back from Tiled, and draw the sweep and its last amplitude."""
    table = agent.results.table(all=True).sort_values("strain_amplitude")
    console.rule("an amplitude in each row, read back from Tiled")
    console.print(shown(table).to_string(index=False, float_format="%.3g"))
    changed = table.get("cycles_changed", pd.Series(dtype=object)).dropna()
    for text in changed:
        console.print(text)
    whole = table[table["status"] == "complete"]
    if len(whole):
        figure = panels.sweep(agent.results.load([*whole.index]), [*whole["strain_amplitude"]])
        figure.savefig(output / "sweep.png", dpi=110)
        agent.results[whole.index[-1]].plot().savefig(output / "largest.png", dpi=110)
        console.print(f"figures: {output}/sweep.png, largest.png")


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the table that are printed, as far as it has them."""
    there = [name for name in SHOWN if name in table]
    return table[there].rename(columns=SHOWN)
