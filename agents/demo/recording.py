"""A small campaign, recorded and played again: ``ainerd demo --replay``.

``python -m agents.demo.recording`` records it anew: the documents of the RunEngine, a line of JSON each, and the files
of the small simulated detector. A replay copies the files, and gives the documents to an observer as if they came from
a RunEngine.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich import get_console

from agents.demo import catalog_in, empty, progress_bar
from ainerd.words import runnable

if TYPE_CHECKING:
    import pandas as pd

SMALL = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs" / "small.toml"
RECORDED = Path(__file__).parent / "recorded"
SAMPLE, SEED, NOISE = "inclusions", 3, 4  # the last is the seed of the noise: two calibrations serve all exposures
POSITIONS, N_FRAMES, PERIOD_S = 8, 128, 0.5  # two frames a cell of the bank, which takes other numbers longer
COUNT_RATE = 3.7  # photons per pixel and second: the files are smaller
SPEED = 1000.0
FRAMES = "frames"  # folder of the files, in place of the real one in the recorded documents
DOCUMENTS = "documents.jsonl"
COMPILED = (
    "The first time, the first result takes longer: the loops over pixels are compiled, and p-values are calibrated "
    "for the noise of these exposures. Both are kept for the next time."
)
console = get_console()


def record(folder: Path = RECORDED, positions: int = POSITIONS) -> None:
    """Let an agent explore a hidden sample, and keep the documents and the frames in a folder, which is emptied."""
    from bluesky import RunEngine, SupplementalData

    from agents.demo.simulated import agent_of, hardware_beside, simulated_instrument  # a replay needs no devices
    from ainerd.config import Settings

    empty(folder)
    settings = Settings.load(SMALL)
    documents: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch).resolve()
        frames = output / FRAMES
        with catalog_in(output, settings) as client:
            hardware = hardware_beside(SMALL)
            options = {"sample": SAMPLE, "sample_seed": SEED, "seed": NOISE, "count_rate": COUNT_RATE, "speed": SPEED}
            instrument = simulated_instrument(frames, hardware, **options)
            cam = instrument.detector.cam
            cam.num_images.put(N_FRAMES)
            cam.acquire_period.put(PERIOD_S)
            cam.acquire_time.put(PERIOD_S)
            agent = agent_of(client, settings, instrument)
            RE = RunEngine({})
            RE.preprocessors.append(SupplementalData(baseline=instrument.baseline))
            agent.attach(RE)
            RE.subscribe(lambda name, doc: documents.append(json.dumps({"name": name, "doc": doc})))
            RE(agent.explore(positions))
            agent.drain(600)
            agent.close()
        text = "\n".join(documents).replace(_address(frames), _address(Path("/", FRAMES)))
        (folder / DOCUMENTS).write_text(text + "\n")
        shutil.copytree(frames, folder / FRAMES)


def replay(output: Path, *, browser: bool = True) -> "pd.DataFrame":
    """Analyse the recorded campaign as if it were measured now, and show its page; return the results.

    Parameters
    ----------
    output : Path
        Folder of the catalog and of the frames; emptied first.
    browser : bool
        Open the page of the campaign in a browser, and serve it until Ctrl-C.
    """
    began, output = time.monotonic(), output.resolve()
    # The loops over pixels, while this process imports and the server starts; a loop that fails there is compiled here.
    halves = [[sys.executable, "-m", "ainerd_xpcs.numerics", half] for half in ("screen", "correlate")]
    compiling = [subprocess.Popen(half, stderr=subprocess.DEVNULL) for half in halves]
    from ainerd.agent import build_observer, open_tiled
    from ainerd.config import Settings

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:3.0f} s[/] {text}")

    empty(output)
    say(f"{POSITIONS} recorded exposures of a simulated sample are analysed now; everything goes to {output}")
    settings, frames = Settings.load(SMALL), output / FRAMES
    settings.storage.directory, settings.storage.frames = output / "tiled", [frames]
    shutil.copytree(RECORDED / FRAMES, frames)
    recorded = (RECORDED / DOCUMENTS).read_text().replace(_address(Path("/", FRAMES)), _address(frames))
    (output / DOCUMENTS).write_text(recorded)
    client, close = open_tiled(settings.storage)
    try:
        observer = build_observer(settings, client)
        page = settings.storage.directory / "page.html"
        is_open = browser and webbrowser.open(page.as_uri())
        say(
            f"Tiled and the agent run. {'The page is open in your browser' if is_open else 'Open in a browser'}: {page}"
        )
        say(COMPILED)
        for each in compiling:
            each.wait()
        observer.follow(str(output / DOCUMENTS), threading.Event())
        with progress_bar() as bars:
            task = bars.add_task("exposures", total=POSITIONS)
            while observer.concluded < POSITIONS:
                if observer.concluded and not bars.tasks[0].completed:
                    say("the first result is on the page")
                bars.update(task, completed=observer.concluded)
                time.sleep(0.1)
            bars.update(task, completed=POSITIONS)
        while not observer.drain():
            pass
        say("all results are on the page")
        table = observer.results.table()
        console.print(table)
        if browser:
            say(f"the server runs until Ctrl-C, for {page}")
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
        else:
            serve = runnable(f"ainerd serve {output / 'tiled'} --frames {frames} --open")
            say(f"the server stops; to see the page: {serve}")
        observer.close()
        return table
    finally:
        close()
        for each in compiling:
            each.kill()


def _address(folder: Path) -> str:
    """Return how documents name the files of a folder."""
    return f"file://localhost{folder}/"


if __name__ == "__main__":
    record()
