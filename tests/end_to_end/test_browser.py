"""The pages of a campaign in Chromium, on a real server, while an agent explores."""

import threading
import time
import uuid

import numpy as np
import pytest

from ainerd.page import SPECS
from ainerd.results import ResultRecord
from ainerd.technique import Analysis
from ainerd.words import SINCE
from tests.end_to_end.browsers import PATIENCE_MS, Browser, launched
from tests.end_to_end.night import Night
from tests.end_to_end.sessions import Session
from tests.waiting import until

HOSTILE = '<img src=x onerror="window.__hurt=1"><script>window.__hurt=1</script>javascript:window.__hurt=1'
GROUP = 7  # results on the left of the latent space
RESULTS = 20


@pytest.fixture(scope="module")
def session(server, tmp_path_factory):
    """An agent in review mode with 20 results; its RunEngine may run in any thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINERD_STEERING__REVIEW", "true")
        session = Session(tmp_path_factory.mktemp("browser"), server)
    session.RE.context_managers = []
    session.agent.quiet = True
    technique = session.agent.technique
    known = technique.landmarks().embeddings
    middle, axis = known.mean(axis=0), np.linalg.svd(known - known.mean(axis=0), full_matrices=False)[2][0]
    for i in range(RESULTS):
        put_result(session, i, middle + (-8 if i < GROUP else 8) * axis, dict(technique.parameters))
    session.store.log(f"a line {HOSTILE}")
    yield session
    session.close()


def put_result(session, i, embedding, parameters):
    """Write result number i of the night; 13 failed, 5 is novel."""
    rng = np.random.default_rng(i)
    record = ResultRecord(
        raw_uid=str(uuid.UUID(int=i)), technique="rheo_xpcs", agent=session.settings.name, parameters=parameters,
        scan_id=100 + i, run_time=time.time() - 60 * (RESULTS - i), n_frames=100, frame_time_s=0.5,
        positions={"sample_x": 0.5 + 2.2 * (i % 5), "sample_y": 0.5 + 2.2 * (i // 5)},
        units={"sample_x": "mm", "sample_y": "mm", "tau_s": "s"}, start={"sample": HOSTILE if i == 3 else "gel"},
        regime=int(i >= GROUP),
    )  # fmt: skip
    key = session.store.begin(record)
    if i == 13:
        session.store.fail(key, HOSTILE)
        return
    n, lags = 32, 0.5 * np.arange(1, 21)
    decay = np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / (2 + i))
    maps = 1 + 0.2 * decay + rng.normal(0, 0.01, (18, n, n))
    session.store.complete(
        key,
        Analysis(
            embedding=(embedding + rng.normal(0, 0.1, embedding.size)).astype(np.float32),
            novelty_p=0.001 if i == 5 else 0.1 + 0.8 * rng.random(),
            arrays={
                "c2": maps.astype(np.float32),
                "denoised": maps[:, ::2, ::2].astype(np.float32),
                "g2": 1 + 0.2 * np.exp(-lags / 3) + rng.normal(0, 0.01, (18, 20)),
                "g2_err": np.full((18, 20), 0.01),
                "tau": lags,
                "mean_frame": rng.random((20, 30), dtype=np.float32),
                "intensity": rng.random((18, 25)),
                "intensity_total": rng.random(25),
                "intensity_time": 2.0 * np.arange(25),
            },
            summary={"tau_s": 3.0 + i, "tau_s_err": 0.1, "kww_exponent": 1.0, "contrast": 0.2},
            units={"tau_s": "s"},
            model={"name": "encoder", "sha256": "0" * 64},
            calibration={"id": "bank", "n": 500, "alpha": 0.05},
        ),
    )


@pytest.fixture(scope="module")
def browser(session, server):
    with launched() as chromium:
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        yield Browser(page, session.client, server)


def test_the_campaign_shows_every_panel(browser, session):
    browser.open()
    for name in ("map", "latent", "timeline", "c2"):
        browser.drawn(name)
    for name in ("next", "log", "health", "table", "feed", "found"):
        assert browser.page.locator(f"[data-ainerd={name}]").count() == 1, name
    browser.until(f"{RESULTS} results, 1 failed", "[data-ainerd=found]")
    browser.until("connected", "[data-ainerd=feed]")
    browser.until("1 to 20 of 20", "[data-ainerd=table]")
    assert browser.page.locator("[data-ainerd=table] tbody tr").count() == RESULTS
    assert browser.page.locator("main.whole").count() == 1  # the page fills the window
    why = browser.page.locator("[data-ainerd=table] tr:has-text('failed') td.wide").bounding_box()
    assert why["x"] + why["width"] <= 1400 and why["height"] < 60  # the reason is in view, in two lines


def test_pictures_have_only_the_buttons_that_the_page_chose(browser):
    """Plotly's own choice uploads the picture to a public cloud."""
    titles = "() => [...document.querySelectorAll('.modebar-btn')].map((button) => button.dataset.title)"
    chosen = {"Download plot as a PNG", "Zoom", "Pan", "Reset axes", "Box Select", "Lasso Select"}
    assert set(browser.page.evaluate(titles)) == chosen


@pytest.mark.timeout(400)
def test_the_agent_follows_a_person_who_takes_and_rejects(browser, session):
    page = browser.page
    page.fill("[data-ainerd=who]", "Ann")
    begun, goes_on = [], threading.Event()

    def on_start(name, doc):  # in the RunEngine's thread, which waits: the first exposure is in progress
        if "suggestion_id" in doc:
            begun.append(doc["suggestion_id"])
            goes_on.wait(PATIENCE_MS / 1000)

    token = session.RE.subscribe(on_start, "start")
    running = threading.Thread(target=lambda: session.RE(session.agent.explore(2)))
    running.start()
    try:
        browser.until("The plan waits", "[data-ainerd=next]")
        page.click("[data-ainerd=reject]")
        page.fill("[data-ainerd=why]", HOSTILE)
        page.click("[data-ainerd=reject]")
        page.wait_for_selector("[data-ainerd=next] .commands li.done:has-text('not this')")
        page.wait_for_selector("[data-ainerd=take]:enabled")
        browser.until("The plan waits", "[data-ainerd=next]")
        page.click("[data-ainerd=take]")
        page.wait_for_selector("[data-ainerd=measuring]")
        page.click("[data-ainerd=take]:enabled")  # the point after the one that is being measured
        browser.until("taken by Ann", "[data-ainerd=next]")
        page.click("[data-ainerd=hold]")
        page.wait_for_selector("[data-ainerd=next] .commands li.done:has-text('hold')")
        browser.until("Held by Ann", "[data-ainerd=next]")
        assert session.agent.optimizer.state.held and len(begun) == 1
        goes_on.set()
        browser.until(f"{RESULTS + 1} results", "[data-ainerd=found]")  # the exposure in progress is finished
        browser.until("The plan waits because Ann", "[data-ainerd=next]")
        assert len(begun) == 1
        page.click("[data-ainerd=hold]")
        browser.until(f"{RESULTS + 2} results", "[data-ainerd=found]")
        page.wait_for_selector("[data-ainerd=hold][aria-pressed=false]:enabled")
    finally:
        goes_on.set()
        running.join(PATIENCE_MS / 1000)
        session.RE.unsubscribe(token)
    assert len(begun) == 2
    assert session.agent.drain()  # the last status is written after the result
    suggestions = session.store.suggestions()
    assert (suggestions["status"] == "measured").sum() == 2
    (turned_down,) = suggestions[suggestions["status"] == "rejected"].itertuples()
    assert "Ann" in turned_down.status_by and turned_down.status_reason == HOSTILE
    measured = session.store.search(agent=session.settings.name).tail(2)
    for name in ("sample_x", "sample_y"):
        assert not np.isclose(measured[name].astype(float), getattr(turned_down, name)).all()


def test_clicks_on_the_map_add_points(browser, session):
    agent, page = session.agent, browser.page
    for n, place in enumerate([(2.0, 3.0), (8.0, 7.0)], 1):
        browser.add(*place)
        until(lambda n=n: len(agent.queue()) == n)
    np.testing.assert_allclose(agent.queue()[["sample_x", "sample_y"]], [[2, 3], [8, 7]], atol=0.2)
    assert agent.queue()["reason"].str.startswith("asked for by Ann").all()
    page.wait_for_function("document.querySelectorAll('[data-ainerd=queue] li').length === 2")
    before = list(agent.queue()["id"])
    browser.add(5.0, 8.0)
    page.click("[data-ainerd=queue] li >> nth=2 >> [data-ainerd=back]")
    browser.until("Taken back: the agent chooses again", "[data-ainerd=answer]")
    assert list(agent.queue()["id"]) == before


def test_a_click_on_the_map_excludes_a_box(browser, session):
    agent, page = session.agent, browser.page
    page.get_by_role("button", name="exclude a box").click()
    page.wait_for_selector("form.wanted")
    page.mouse.click(*browser.at("map", 8.0, 7.0))
    page.wait_for_function("document.querySelector('form.wanted input').value.length > 0")
    page.locator("form.wanted").get_by_label("why").fill("a scratch")
    page.click("[data-ainerd=exclude]:enabled")
    page.wait_for_selector("form.wanted", state="detached")
    until(lambda: agent.excluded)
    ((x0, x1), (y0, y1)) = (agent.excluded[0][name] for name in ("sample_x", "sample_y"))
    assert x0 < 8.0 < x1 and y0 < 7.0 < y1 and len(agent.queue()) == 1  # the point in it is withdrawn
    page.wait_for_function(
        "document.querySelector('[data-ainerd=map]')._fullLayout.shapes.some((s) => s.label?.text === 'excluded')"
    )


def test_a_spoilt_run_is_left_out_and_taken_back(browser, session):
    browser.open()
    page, scan = browser.page, session.agent.results.table()["scan_id"].iloc[-1]
    page.click("[data-ainerd=leave_out]")
    page.fill("[data-ainerd=why-out]", "a bubble")
    page.get_by_role("button", name="leave it out").click()
    browser.until("left out by Ann", "[data-ainerd=gallery]")
    browser.until(f"left out scan {scan}: a bubble", "[data-ainerd=log]")
    page.click("[data-ainerd=undo]:enabled")
    browser.until("took back: Ann", "[data-ainerd=log]")
    page.wait_for_selector("[data-ainerd=gallery] [data-ainerd=leave_out]")


def test_a_result_page_shows_its_pictures_and_verdict(browser, session):
    key = next(key for key, row in session.store.table(all=True).iterrows() if row["scan_id"] == 105)
    browser.open("results", key)
    for name in ("c2", "g2", "frame", "intensity"):
        browser.drawn(name)
    browser.until("Novel: 1 in 1000 exposures of known behaviour would look as unusual", "[data-ainerd=explain]")
    page = browser.page
    page.focus("[data-ainerd=azimuth]")
    page.keyboard.press("ArrowRight")
    browser.until("bin 2", "output")
    page.wait_for_function("document.querySelector('[data-ainerd=c2]')._fullData.length === 3")
    label = page.evaluate("document.querySelector('[data-ainerd=intensity]')._fullLayout.xaxis.title.text")
    assert label == SINCE  # as in matplotlib
    page.click("a:has-text('18 × 32 × 32')")  # C2 in Tiled's own pages
    page.wait_for_url("**/c2")
    browser.until("c2", "main, body")


def test_suggestions_and_log_have_pages(browser, session):
    suggestions = session.store.suggestions()
    rejected = suggestions[suggestions["status"] == "rejected"]
    browser.open("suggestions", str(rejected["id"].iloc[0] if "id" in rejected else rejected.index[0]))
    browser.until("rejected", "[data-ainerd=status]")
    browser.until(HOSTILE)
    browser.open("log")
    browser.until(HOSTILE, "[data-ainerd=log]")


def test_no_errors_no_injected_script_and_no_foreign_requests(browser):
    assert browser.wrong == []
    assert browser.page.evaluate("window.__hurt") is None
    ours = (browser.root, browser.root.replace("http", "ws", 1), "data:", "blob:")
    outside = [url for url in browser.asked if not url.startswith(ours)]
    assert outside == [] and any("plotly" in url for url in browser.asked)


def test_each_spec_has_a_view(browser):
    known = browser.page.evaluate("Object.keys(window.__TILED_SPEC_VIEWS__)")
    assert {*SPECS} <= {*known}


def test_any_two_of_three_knobs_are_drawn(browser, server):
    name = f"knobs-{uuid.uuid4().hex[:8]}"
    bounds = {"x": [0.0, 10.0], "y": [0.0, 10.0], "oven": [300.0, 400.0]}
    night = Night(server.client().create_container(name), **bounds)
    for i in range(3):
        night.result(i, positions={"x": 1.0 + i, "y": 2.0, "oven": 310.0 + 10 * i})
    night.state()
    browser.path = "/".join([*browser.path.split("/")[:-2], name, "ainerd"]).removeprefix("/")
    browser.open()
    browser.drawn("map")
    page = browser.page
    page.get_by_role("group", name="knobs along x and y").get_by_role("button", name="oven").click()
    page.wait_for_function(
        """() => {
            const {xaxis, yaxis} = document.querySelector("[data-ainerd=map]")._fullLayout;
            return xaxis.title.text.startsWith("y") && yaxis.title.text.startsWith("oven");
        }"""
    )
    page.get_by_role("button", name="add a point").click()
    page.mouse.click(*browser.at("map", 5.0, 350.0))
    page.wait_for_function("() => document.querySelector('input[aria-label=oven]')?.value.startsWith('35')")
    assert float(page.get_by_label("y", exact=True).input_value()) == pytest.approx(5.0, abs=0.2)
    assert page.get_by_label("x", exact=True).input_value() == ""  # neither clicked nor suggested
