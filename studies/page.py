"""How soon the page of a campaign is drawn in a browser, how much it transfers, and how soon it shows a new result.

A real server with synthetic results, the newest with maps, and headless Chromium. Ours and Tiled's own page of the same
node are opened in turn, each in a context of its own, so that nothing is cached. Ours is ready when map, latent space,
timeline, two-time maps and table are drawn; Tiled's when it shows the rows of the node. "Readable" is ours as soon as
it shows the rows of its table, health, next point and log, where pictures may still be missing. Bytes are those on the
wire, without plotly.js and Tiled's own files. The lag runs from the end of a write to the number on the page. An open
page asks twice a second whether there is news: what one such question costs the server, in processor time, is measured
without a browser, beside the answer to a page that is opened and beside the least that Tiled itself can be asked.
"Busy" is processor time of the browser's main thread until a page is ready, in which other programs do not count.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from tiled.client.container import Container

from ainerd.agent import build_technique
from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer, embedded_server, open_catalog
from ainerd.techniques.rheo_xpcs import RheoXPCS
from studies._catalogue import add_new, fill, own_records
from studies._session import settings_in
from studies._tools import Row, Study, report

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


study = Study(__doc__)


@study.part
def page(results: int = 10_000, rounds: int = 7, live: int = 20, quick: bool = False) -> None:
    """Measure at 20, 1,000 and up to `results`, with `live` results written while the page is open.

    ``--quick`` stops at 1,000 results, with three rounds and five live results.
    """
    if quick:
        results, rounds, live = 1000, 3, 5
    with tempfile.TemporaryDirectory() as folder, embedded_server(folder) as server:
        costs: list[Row] = []
        report("page", measured(server, [n for n in ALLOWED if n <= results], rounds, live, costs))
        report("page_cost", costs)


def measured(server: EmbeddedServer, sizes: list[int], rounds: int, live: int, costs: list[Row]) -> Iterator[Row]:
    """Yield times for each number of results, and add what the page costs to `costs`."""
    settings = settings_in(server.directory)
    _, ainerd = open_catalog(server.client())
    technique = build_technique(settings, ResultStore(ainerd))
    there = 0
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for n in sizes:
            if n > WITH_MAPS + there:
                records = own_records(technique, settings.name, there, n - WITH_MAPS)
                fill(server, ainerd, records, n - WITH_MAPS - there)
            for i in range(max(there, n - WITH_MAPS), n):
                add_new(ainerd, i, technique, settings.name)
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
    """Return the address of the page of the campaign."""
    return f"{server.uri.partition('/api/')[0]}/ui/browse/ainerd?api_key={server.api_key}"


def opened(browser: Browser, server: EmbeddedServer, ours: bool) -> tuple[float, float, float]:
    """Return the time in s until a page is readable, and ready, and its kB without plotly.js and Tiled's own files."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    if not ours:
        page.route("**/tiled-ui-settings", without_views)
    wire = context.new_cdp_session(page)
    urls: dict[str, str] = {}
    sizes: dict[str, float] = {}
    wire.on("Network.requestWillBeSent", lambda event: urls.update({event["requestId"]: event["request"]["url"]}))
    wire.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
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
    """Answer a request for the settings of Tiled's web interface as if our views were not installed."""
    response = route.fetch()
    settings = response.json()
    settings.pop("spec_views", None)
    route.fulfill(response=response, json=settings)


def wait_until_ready(page: Page, ours: bool) -> None:
    """Wait until everything is drawn."""
    for each in (*WORDS, *DRAWN) if ours else (TILED_ROWS,):
        page.wait_for_selector(each, state="attached")  # a log may be empty


def lag(
    browser: Browser, server: EmbeddedServer, ainerd: Container, technique: RheoXPCS, agent: str, n: int, live: int
) -> list[float]:
    """Return the times in s from the end of the write of a result to its appearance on an open page."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address(server))
    wait_until_ready(page, ours=True)
    lags, rng = [], np.random.default_rng(n)
    for i in range(n, n + live):
        time.sleep(rng.uniform(0, 1))  # at any moment between two questions of the page
        add_new(ainerd, i, technique, agent)
        written = time.perf_counter()
        page.wait_for_function(
            "n => parseInt(document.querySelector('[data-ainerd=found]').innerText) === n", arg=i + 1, polling=20
        )
        lags.append(time.perf_counter() - written)
    page.close()
    return lags


def cost(server: EmbeddedServer, n: int = 300) -> dict[str, float]:
    """Return the processor time of the server in ms for requests of a page, and for the least request of Tiled."""
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
    """Return the processor time in s of the main thread until each page is ready, and until plotly.js is read."""
    root = server.uri.partition("/api/")[0]
    spent: dict[str, list[float]] = {"Tiled's page": [], "ours": [], "plotly.js alone": []}
    for name, seconds in [*spent.items()] * rounds:
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
        metrics = {each["name"]: each["value"] for each in wire.send("Performance.getMetrics")["metrics"]}
        seconds.append(metrics["TaskDuration"])
        context.close()
    return {f"{name}, busy (s)": float(np.median(seconds)) for name, seconds in spent.items()}


if __name__ == "__main__":
    study()
