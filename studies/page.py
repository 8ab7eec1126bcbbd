"""How soon the page of a campaign is there in a browser, how much it moves, and how soon a new result is on it.

A real server with synthetic results, the newest with maps, and headless Chromium. Ours and Tiled's own page of the same
node are opened in turn, each in a context of its own, so that nothing is cached. Ours is ready when map, latent space,
timeline, two-time maps and table are drawn; Tiled's when it shows the rows of the node. "Readable" is ours as soon as
it shows the rows of its table, health, next point and log, where pictures may still be missing. Bytes are those on the
wire, without plotly.js and Tiled's own files. The lag runs from the end of a write to the number on the page. An open
page asks twice a second whether there is news: what one such question costs the server, in processor time, is measured
without a browser, beside the answer to a page that is opened and beside the least that Tiled itself can be asked.
"Busy" is processor time of the browser's main thread until a page is ready, in which other programs do not count.
"""

import argparse
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from tiled.client.container import Container

from agents.rheo_xpcs import TOML
from ainerd.agent import build_technique
from ainerd.config import Settings
from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer, embedded_server, open_catalog
from ainerd.technique import Analysis
from ainerd.techniques.rheo_xpcs import RheoXPCS
from studies._report import report
from studies.query import record
from studies.scale import fill

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
ALLOWED = {20: 1.5, 1000: 2.0, 10_000: 3.0}  # times Tiled's page
WITH_MAPS = 20  # as many as the table shows
TILED_ROWS = "[role=row][data-id], .MuiDataGrid-row"
WORDS = ("[data-ainerd=table] tbody tr", "[data-ainerd=health]", "[data-ainerd=next]", "[data-ainerd=log]")
DRAWN = tuple(f"[data-ainerd={name}][data-drawn=yes]" for name in ("map", "latent", "timeline", "c2"))
CLOCK = """
  window.__came = {};  // seconds since the page was asked for, by selector
  new MutationObserver((_, watch) => {
    const missing = %s.filter((each) => !(each in __came));
    for (const each of missing) if (document.querySelector(each)) __came[each] = performance.now() / 1000;
    if (!missing.length) watch.disconnect();
  }).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-drawn"] });
"""
PATIENCE_MS = 300_000


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, nargs="+", default=[20, 1000, 10_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--live", type=int, default=20, help="results that are written while the page is open")
    parser.add_argument("--quick", action="store_true", help="20 and 1,000 results, three rounds, five live")
    arguments = parser.parse_args()
    sizes, rounds, live = arguments.results, arguments.rounds, arguments.live
    if arguments.quick:
        sizes, rounds, live = [20, 1000], 3, 5
    with tempfile.TemporaryDirectory() as folder, embedded_server(folder) as server:
        costs: list[dict[str, Any]] = []
        rows = list(measured(server, Path(folder), sizes, rounds, live, costs))
        report("page", rows, load_average=os.getloadavg()[0])
        report("page_cost", costs)


def measured(
    server: EmbeddedServer, folder: Path, sizes: list[int], rounds: int, live: int, costs: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """A row for each number of results, and one of what it costs."""
    settings = Settings.load(TOML.with_name("small.toml"))
    _, ainerd = open_catalog(server.client())
    technique = build_technique(settings, ResultStore(ainerd))
    there = 0
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for n in sizes:
            if n > WITH_MAPS + there:
                fill(ainerd, folder / "catalog.db", technique, settings.name, there, n - WITH_MAPS)
            for i in range(max(there, n - WITH_MAPS), n):
                put(ainerd, technique, settings.name, i)
            there = n
            took: dict[bool, list[float]] = {True: [], False: []}
            moved: list[float] = []
            readable: list[float] = []
            for _ in range(rounds):
                for ours in (False, True):
                    words, ready, kilobytes = opened(browser, server, ours)
                    took[ours].append(ready)
                    moved += [kilobytes] * ours
                    readable += [words] * ours
            lags = lag(browser, server, ainerd, technique, settings.name, n, live)
            there += live
            costs.append({"results": there, **cost(server), **busy(browser, server, min(rounds, 3))})
            bare, own = np.median(took[False]), np.median(took[True])
            yield {
                "results": n,
                "Tiled's page (s)": bare,
                "ours, ready (s)": own,
                "slowest (s)": max(took[True]),
                "ratio": own / bare,
                "asked, at most": ALLOWED.get(n, np.nan),
                "readable (s)": np.median(readable),
                "readable, ratio": np.median(readable) / bare,
                "moved (kB)": max(moved),
                "lag, median (s)": np.median(lags),
                "lag, longest (s)": max(lags),
                "rounds": rounds,
                "live": live,
            }
        browser.close()


def address(server: EmbeddedServer) -> str:
    """The page of the campaign."""
    return f"{server.uri.partition('/api/')[0]}/ui/browse/ainerd?api_key={server.api_key}"


def opened(browser: Browser, server: EmbeddedServer, ours: bool) -> tuple[float, float, float]:
    """Seconds until a page is readable, and ready; and what it moved in kB beside plotly.js and Tiled's own files."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    if not ours:
        page.route("**/tiled-ui-settings", without_views)
    wire = context.new_cdp_session(page)
    urls: dict[str, str] = {}
    sizes: dict[str, float] = {}
    wire.on("Network.requestWillBeSent", lambda said: urls.update({said["requestId"]: said["request"]["url"]}))
    wire.on("Network.loadingFinished", lambda said: sizes.update({said["requestId"]: said["encodedDataLength"]}))
    wire.send("Network.enable")
    page.add_init_script(CLOCK % json.dumps([*WORDS, *DRAWN] if ours else [TILED_ROWS]))
    page.goto(address(server))
    wait_until_ready(page, ours)
    came = page.evaluate("window.__came")  # by the page's own clock: from outside nothing is seen while it is busy
    readable, ready = (max(came[each] for each in some) for some in ((WORDS, came) if ours else (came, came)))
    moved = [size for of, size in sizes.items() if "plotly.min.js" not in urls[of] and "/ui/" not in urls[of]]
    context.close()
    return readable, ready, sum(moved) / 1e3


def without_views(route: Any) -> None:
    """Settings of Tiled's web interface as it comes."""
    response = route.fetch()
    said = response.json()
    said.pop("spec_views", None)
    route.fulfill(response=response, json=said)


def wait_until_ready(page: Page, ours: bool) -> None:
    """Return once everything is there, and drawn."""
    for each in (*WORDS, *DRAWN) if ours else (TILED_ROWS,):
        page.wait_for_selector(each, state="attached")  # a log may be empty


def lag(
    browser: Browser, server: EmbeddedServer, ainerd: Container, technique: RheoXPCS, agent: str, n: int, live: int
) -> list[float]:
    """Seconds from the end of the write of a result to its place on an open page."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address(server))
    wait_until_ready(page, ours=True)
    found, rng = [], np.random.default_rng(n)
    for i in range(n, n + live):
        time.sleep(rng.uniform(0, 1))  # at any moment between two questions of the page
        put(ainerd, technique, agent, i)
        written = time.perf_counter()
        page.wait_for_function(
            "n => parseInt(document.querySelector('[data-ainerd=found]').innerText) === n", arg=i + 1, polling=20
        )
        found.append(time.perf_counter() - written)
    page.close()
    return found


def cost(server: EmbeddedServer, n: int = 300) -> dict[str, float]:
    """Processor time of the server in ms for questions of a page, and for one of Tiled's own."""
    root = server.uri.partition("/api/")[0]
    page = f"{root}/custom/ainerd/campaign/ainerd"
    spent = Path("/proc", str(json.loads((server.directory / "server.json").read_text())["pid"]), "stat")

    def ticks() -> int:
        return sum(map(int, spent.read_text().rpartition(")")[2].split()[11:13]))  # in its own code, and in the system

    def per_question(url: str, n: int, **query: str) -> float:
        before = ticks()
        for _ in range(n):
            http.get(url, params=query).raise_for_status()
        return 1e3 * (ticks() - before) / os.sysconf("SC_CLK_TCK") / n

    with httpx.Client(headers={"Authorization": f"Apikey {server.api_key}"}, trust_env=False, timeout=60) as http:
        cursor = http.get(page).json()["cursor"]
        answer = http.get(page, params={"since": cursor})
        cursor = answer.json()["cursor"] if answer.content else cursor
        return {
            "nothing new (CPU ms)": per_question(page, n, since=cursor),
            "everything (CPU ms)": per_question(page, 10),
            "Tiled's least (CPU ms)": per_question(f"{root}/api/v1/metadata/ainerd", n),
        }


def busy(browser: Browser, server: EmbeddedServer, rounds: int) -> dict[str, float]:
    """Processor time in s of the main thread until Tiled's page and ours are ready, and until plotly.js is read."""
    root = server.uri.partition("/api/")[0]
    found: dict[str, list[float]] = {"Tiled's page": [], "ours": [], "plotly.js alone": []}
    for name, seconds in [*found.items()] * rounds:
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        wire = context.new_cdp_session(page)
        wire.send("Performance.enable", {"timeDomain": "threadTicks"})
        if name == "plotly.js alone":
            page.goto(f"{root}/healthz")
            page.add_script_tag(url=f"{root}/custom/ainerd/static/plotly.min.js")
        else:
            if name != "ours":
                page.route("**/tiled-ui-settings", without_views)
            page.goto(address(server))
            wait_until_ready(page, name == "ours")
        said = {each["name"]: each["value"] for each in wire.send("Performance.getMetrics")["metrics"]}
        seconds.append(said["TaskDuration"])
        context.close()
    return {f"{name}, busy (s)": float(np.median(seconds)) for name, seconds in found.items()}


def put(ainerd: Container, technique: RheoXPCS, agent: str, i: int) -> None:
    """A result with maps, as the agent writes it."""
    rng = np.random.default_rng(i)
    said = record(i).changed(
        status="computing", raw_uid=str(uuid.uuid4()), agent=agent, parameters=dict(technique.parameters), arrays={},
        series={}, supersedes=None, run_time=time.time(),
    )  # fmt: skip
    store = ResultStore(ainerd)
    key = store.begin(said)
    store.complete(
        key,
        Analysis(
            embedding=rng.normal(size=technique.embedding_size).astype(np.float32),
            novelty_p=rng.random(),
            arrays={
                "c2": 1 + rng.random((18, 256, 256), dtype=np.float32),
                "denoised": 1 + rng.random((18, 64, 64), dtype=np.float32),
            },
            model=said.model,
            calibration=said.calibration,
        ),
    )


if __name__ == "__main__":
    main()
