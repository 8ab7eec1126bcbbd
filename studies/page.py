"""The page of a campaign in a browser: the time until it is drawn, its bytes, and the lag of a new result.

A real server with synthetic results, the newest with maps, and headless Chromium. Ours and Tiled's own page of the same
node are opened in turn, each in a context of its own, so that nothing is cached. Ours is ready when map, latent space,
timeline, two-time maps and table are drawn; Tiled's when it shows the rows of the node. "Readable" is ours as soon as
it shows the rows of its table, health, next point and log, where pictures may still be missing. Bytes are those on the
wire, without plotly.js and Tiled's own files. The lag runs from the end of a write to the number on the page.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from playwright.sync_api import Browser, BrowserContext, Page
from tiled.client.container import Container

from ainerd.agent import build_technique
from ainerd.results import AgentNode, ResultStore
from ainerd.server import EmbeddedServer, embedded_server, open_catalog
from studies._catalogue import add_new, fill, own_records
from studies._session import settings_in
from studies._tools import Row, Study, report
from tests.end_to_end.browsers import launched

SIZES = (20, 1000, 10_000)
WITH_MAPS = 20  # as many as the table shows
WORDS = ("[data-ainerd=table] tbody tr", "[data-ainerd=health]", "[data-ainerd=next]", "[data-ainerd=log]")
DRAWN = tuple(f"[data-ainerd={name}][data-drawn=yes]" for name in ("map", "latent", "timeline", "c2"))
READY: dict[str, tuple[str, ...]] = {  # pages, and the elements that each of them shows when it is ready
    "Tiled's page": ("[role=row][data-id], .MuiDataGrid-row",),
    "ours": (*WORDS, *DRAWN),
}
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
def page(results: int = 10_000, rounds: int = 7, live: int = 20) -> None:
    """Measure at 20, 1,000 and up to `results`, with `live` results written while the page is open."""
    with tempfile.TemporaryDirectory() as folder, embedded_server(folder) as server, launched() as browser:
        rows = measured(server, browser, [n for n in SIZES if n <= results], rounds, live)
        report("page", rows, most={"ours, ready (s)": 10.0, "lag, longest (s)": 5.0})


def measured(server: EmbeddedServer, browser: Browser, sizes: list[int], rounds: int, live: int) -> Iterator[Row]:
    """Yield times for each number of results."""
    agent = settings_in(server.directory).name
    _, ainerd = open_catalog(server.client())
    technique, there = build_technique(settings_in(server.directory), ResultStore(ainerd)), 0
    AgentNode(ainerd, agent).write_state({"counters": {}})
    for n in sizes:
        if (plain := n - WITH_MAPS - there) > 0:
            fill(server, ainerd, own_records(technique, agent, there, there + plain), plain)
        for i in range(max(there, n - WITH_MAPS), n):
            add_new(ainerd, i, technique, agent)
        turns = [{what: opened(browser, server, what) for what in READY} for _ in range(rounds)]
        bare, ours = (
            {name: float(np.median([turn[what][name] for turn in turns])) for name in turns[0][what]} for what in READY
        )
        lags = lag(browser, server, partial(add_and_count, ainerd, technique, agent), range(n, n + live))
        there = n + live
        yield {
            "results": n,
            "Tiled's page (s)": bare["ready (s)"],
            "ours, ready (s)": ours["ready (s)"],
            "readable (s)": ours["readable (s)"],
            "moved (kB)": ours["moved (kB)"],
            "lag, median (s)": np.median(lags),
            "lag, longest (s)": max(lags),
        }


def add_and_count(ainerd: Container, technique: Any, agent: str, i: int) -> None:
    """Write a result, and count it in the node of its agent, as the agent does."""
    add_new(ainerd, i, technique, agent)
    AgentNode(ainerd, agent).update_state({"counters": {"results": i}})


def new_page(browser: Browser) -> tuple[BrowserContext, Page]:
    """Return a page in a context of its own."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    return context, context.new_page()


def show(page: Page, server: EmbeddedServer, what: str) -> None:
    """Open a page, and wait until everything is drawn."""
    root = server.uri.partition("/api/")[0]
    page.goto(f"{root}/ainerd/open.html#key={server.api_key}")
    for each in READY[what]:
        page.wait_for_selector(each, state="attached")  # a log may be empty


def opened(browser: Browser, server: EmbeddedServer, what: str) -> dict[str, float]:
    """Return the time until a page is readable and ready, and its transfer."""
    context, page = new_page(browser)
    if what == "Tiled's page":
        page.route("**/tiled-ui-settings", without_views)
    wire = context.new_cdp_session(page)
    urls: dict[str, str] = {}
    sizes: dict[str, float] = {}
    wire.on("Network.requestWillBeSent", lambda event: urls.update({event["requestId"]: event["request"]["url"]}))
    wire.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    wire.send("Network.enable")
    page.add_init_script(CLOCK % json.dumps(READY[what]))
    show(page, server, what)
    came = page.evaluate("window.__came")  # by the page's own clock: from outside nothing is seen while it is busy
    moved = [size for of, size in sizes.items() if "plotly.min.js" not in urls[of] and "/ui/" not in urls[of]]
    context.close()
    return {
        "ready (s)": max(came.values(), default=np.nan),
        "readable (s)": max((at for each, at in came.items() if each in WORDS), default=np.nan),
        "moved (kB)": sum(moved) / 1e3,
    }


def without_views(route: Any) -> None:
    """Answer a request for the settings of Tiled's web interface as if our views were not installed."""
    response = route.fetch()
    settings = response.json()
    settings.pop("spec_views", None)
    route.fulfill(response=response, json=settings)


def lag(browser: Browser, server: EmbeddedServer, write: Callable[[int], Any], numbers: range) -> list[float]:
    """Return the times in s from the end of the write of a result to its appearance on an open page."""
    context, page = new_page(browser)
    show(page, server, "ours")
    lags, rng = [], np.random.default_rng(numbers.start)
    for i in numbers:
        time.sleep(rng.uniform(0, 1))  # at any moment between two questions of the page
        write(i)
        written = time.perf_counter()
        page.wait_for_function(
            "n => document.querySelector('[data-ainerd=found]').innerText.match(/\\d+/g).map(Number).includes(n)",
            arg=i + 1,
            polling=20,
        )
        lags.append(time.perf_counter() - written)
    context.close()
    return lags


if __name__ == "__main__":
    study()
