"""Evenings with a page, without an agent: many results, twelve hours, two people who disagree."""

import time
import uuid

import numpy as np
import pytest

from ainerd.results import AgentNode, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from tests.end_to_end.browsers import Browser, launched

RESULTS = 100
HOURS, STEP_S = 12, 360


@pytest.fixture(scope="module")
def client(server):
    return server.client().create_container(f"evenings-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def store(client):
    """A campaign of 100 results on a grid, in four regimes, and one suggestion."""
    store = ResultStore(open_catalog(client)[1], agent="evening")
    rng = np.random.default_rng(0)
    for i in range(RESULTS):
        record = ResultRecord(
            raw_uid=str(uuid.UUID(int=i)), technique="other", agent="evening", parameters={}, scan_id=i,
            run_time=time.time() - 60 * (RESULTS - i), positions={"x": float(i % 20), "y": float(i // 20)},
            units={"x": "mm", "y": "mm"}, n_frames=100, frame_time_s=0.5, regime=i % 4,
            start={"sample": "wax" if i == 67 else "gel"},
        )  # fmt: skip
        point = np.float32(rng.normal(i % 4, 0.1, 4))
        analysis = Analysis(embedding=point, novelty_p=0.5, arrays={}, calibration={"alpha": 0.05})
        store.complete(store.begin(record), analysis)
    AgentNode(store.container, "evening").write_state(
        {
            "bounds": {"x": [0.0, 20.0], "y": [0.0, 15.0]},
            "units": {"x": "mm", "y": "mm"},
            "alpha": 0.05,
            "technique": "other",
            "health": {"every_s": 5.0, "closed": False, "worker": "alive", "backlog": 0},
        }
    )
    propose(store)
    return store


def propose(store):
    record = SuggestionRecord(agent="evening", positions={"x": 3.0, "y": 4.0}, reason="unexplored")
    return store.add_suggestion(record)


@pytest.fixture(scope="module")
def chromium():
    with launched() as chromium:
        yield chromium


@pytest.fixture
def browser(chromium, client, server, store):
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    yield Browser(page, client, server)
    page.context.close()


def test_a_hundred_results_are_drawn_and_can_be_chosen(browser):
    browser.open()
    for name in ("map", "latent", "timeline"):
        browser.drawn(name)
    browser.until(f"{RESULTS} results", "[data-ainerd=found]")
    browser.until(f"1 to 20 of {RESULTS}", "[data-ainerd=table]")
    page = browser.page
    page.mouse.click(*browser.at("map", 7.0, 3.0))
    browser.until("scan 67", "[data-ainerd=gallery]")
    page.get_by_role("button", name="the next rows").click()
    browser.until(f"21 to 40 of {RESULTS}", "[data-ainerd=table]")
    page.locator("input[type=search]").fill("wax")
    browser.until(f"1 to 1 of 1 (of {RESULTS})", "[data-ainerd=table]")
    assert browser.wrong == []


def test_a_page_that_is_open_for_twelve_hours_stays_live_and_does_not_grow(browser, store):
    page = browser.page
    page.clock.install()
    browser.open()
    browser.drawn("timeline")
    browser.until("connected", "[data-ainerd=feed]")
    sizes, tools = [], page.context.new_cdp_session(page)
    tools.send("Performance.enable")
    for i in range(HOURS * 3600 // STEP_S):
        if i % 20 == 0:
            store.log(f"line {i}")
        page.clock.fast_forward(STEP_S * 1000)
        page.wait_for_timeout(10)
        if i % 30 == 29:
            tools.send("HeapProfiler.collectGarbage")
            metrics = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
            sizes.append((metrics["Nodes"], metrics["JSHeapUsedSize"]))
    store.log("the morning has come")
    for _ in range(100):  # the page asks by its own clock
        page.clock.fast_forward(1000)
        page.wait_for_timeout(20)
        if "the morning has come" in page.inner_text("[data-ainerd=log]"):
            break
    browser.until("the morning has come", "[data-ainerd=log]")
    browser.until("connected", "[data-ainerd=feed]")
    browser.until("agent away: last report", "[data-ainerd=health]")  # it has been silent all night
    (nodes, heap), (last_nodes, last_heap) = sizes[0], sizes[-1]
    print(f"nodes {nodes} and {last_nodes}, heap {heap / 1e6:.1f} and {last_heap / 1e6:.1f} MB")
    assert last_nodes < 1.3 * nodes and last_heap < 1.3 * heap
    assert browser.wrong == []


def test_raw_runs_have_scan_numbers_and_samples(browser, client):
    raw = client["raw"]
    for i in range(35):
        start = {"uid": str(uuid.UUID(int=i)), "scan_id": 500 + i, "time": 1e9 + 60 * i, "plan_name": "count"}
        start["sample"] = {"name": "gel <b>3</b>"} if i == 34 else f"gel {i}"
        stop = {"time": start["time"] + 42, "exit_status": "fail", "reason": "spoilt"} if i % 2 else {}
        raw.create_container(start["uid"], metadata={"start": start, **({"stop": stop} if stop else {})})
    browser.page.goto(f"{browser.root}/custom/ainerd/open/{browser.path}?api_key={browser._key}")
    browser.page.goto(f"{browser.root}/ui/browse/{browser.path.rpartition('/')[0]}/raw")
    browser.until("1 to 30 of 35 runs")
    first = browser.page.locator("tbody tr").first.inner_text()
    for text in ("534", "gel <b>3</b>", "count", "in progress"):
        assert text in first
    second = browser.page.locator("tbody tr").nth(1).inner_text()
    assert "533" in second and "42 s" in second and "fail: spoilt" in second
    browser.page.get_by_role("button", name="older").click()
    browser.until("31 to 35 of 35 runs")
    assert browser.page.locator("tbody tr").count() == 5
    assert browser.page.locator("tbody tr").last.inner_text().startswith("500")
    browser.page.get_by_role("link", name="500").click()
    browser.page.wait_for_url(f"**/raw/{uuid.UUID(int=0)}")
    assert browser.wrong == []


def test_the_first_of_two_browsers_that_disagree_counts(browser, chromium, client, server, store):
    id = propose(store)
    other = Browser(chromium.new_page(viewport={"width": 1400, "height": 1000}), client, server)
    for each, who in ((browser, "Ann"), (other, "Bob")):
        each.open()
        each.page.wait_for_selector("[data-ainerd=take]:enabled")
        each.page.fill("[data-ainerd=who]", who)
    other.page.click("[data-ainerd=reject]")
    other.page.fill("[data-ainerd=why]", "a bubble")
    browser.page.click("[data-ainerd=take]")
    browser.page.wait_for_selector("[data-ainerd=pending]:has-text('Ann: take')")
    other.page.evaluate("document.querySelector('[data-ainerd=reject]')?.click()")  # if his page does not know it yet
    other.page.wait_for_selector("[data-ainerd=pending]:has-text('Ann: take')")
    (command,) = (each for key, each in AgentNode(store.container, "evening").commands() if key == f"verdict-{id}")
    assert (command["do"], command["by"]) == ("take", "Ann")
    assert [each for each in other.wrong if not each.startswith("409 ")] == [] and browser.wrong == []
    other.page.context.close()
