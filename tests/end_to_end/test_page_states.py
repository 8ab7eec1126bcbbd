"""States of a page that an evening seldom shows: motors in metres, a server that answers late, two agents."""

import time
import uuid

import numpy as np
import pytest

from ainerd.results import AgentNode, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from tests.end_to_end.browsers import Browser, launched

BOUNDS = {"x": [0.0, 0.01], "y": [0.0, 0.01]}  # m


@pytest.fixture(scope="module")
def chromium():
    with launched() as chromium:
        yield chromium


class Night:
    """A campaign of three results and a suggestion, without an agent, and a page that shows it."""

    def __init__(self, server, chromium):
        self.client = server.client().create_container(f"states-{uuid.uuid4().hex[:8]}")
        _, self.ainerd = open_catalog(self.client)
        self.keys = [self.result(i) for i in range(3)]
        self.store = ResultStore(self.ainerd, agent="one")
        self.state("one")
        record = SuggestionRecord(
            agent="one", positions={"x": 0.00412, "y": 0.0}, reason="unexplored", terms={"empty_radius": 0.00123}
        )
        self.suggestion = self.store.add_suggestion(record)
        self.browser = Browser(chromium.new_page(viewport={"width": 1400, "height": 1000}), self.client, server)
        self.page = self.browser.page
        self.page.set_default_timeout(25_000)

    def result(self, i, agent="one", arrays=None, is_done=True, **changes):
        fields = {
            "raw_uid": str(uuid.uuid4()), "technique": "other", "agent": agent, "parameters": {}, "scan_id": i,
            "run_time": time.time() - 60 * (10 - i), "positions": {"x": 0.00111 * i, "y": 0.002}, "n_frames": 100,
            "units": {"x": "m", "y": "m"}, "frame_time_s": 0.5,
        }  # fmt: skip
        store = ResultStore(self.ainerd, agent=agent)
        key = store.begin(ResultRecord(**fields | changes))
        if is_done:
            point = np.random.default_rng(i).normal(size=4).astype(np.float32)
            store.complete(key, Analysis(embedding=point, novelty_p=None, arrays=arrays or {}), regime=0)
        return key

    def state(self, agent, **changes):
        health = {"every_s": 5.0, "closed": False, "worker": "alive", "backlog": 0}
        units = {"x": "m", "y": "m"}
        state = {"bounds": BOUNDS, "units": units, "alpha": 0.05, "technique": "other", "health": health}
        AgentNode(self.ainerd, agent).write_state(state | changes)


@pytest.fixture
def night(server, chromium):
    night = Night(server, chromium)
    yield night
    night.page.context.close()


def test_motors_in_metres_are_not_rounded_to_zero(night):
    night.browser.open()
    night.browser.until("1 to 3 of 3", "[data-ainerd=table]")
    cells = night.page.locator(f"tr[data-key='{night.keys[2]}'] td.number").all_inner_texts()
    assert cells[:2] == ["0.00222", "0.00200"]
    night.page.click("summary")
    night.browser.until("0.00123 m", ".terms")
    assert night.browser.wrong == []


def test_a_page_stays_with_one_of_two_agents_until_it_ends(night):
    night.browser.open()
    night.browser.until("1 to 3 of 3", "[data-ainerd=table]")
    night.state("two")  # reports later, and is the newest
    night.store.log("a line of one")
    night.browser.until("a line of one", "[data-ainerd=log]")
    assert night.page.get_by_label("agent", exact=True).input_value() == "one"
    night.state("one", health={"every_s": 5.0, "closed": True})
    night.state("two")
    night.page.wait_for_function("() => document.querySelector('select[aria-label=agent]').value === 'two'")
    assert night.browser.wrong == []


def test_a_suggestion_of_the_agent_that_did_not_report_last_can_be_taken(night):
    night.state("two")
    night.browser.open("suggestions", night.suggestion)
    night.page.wait_for_selector("[data-ainerd=take]")
    night.browser.until("unexplored", ".reason")


def test_who_may_write_is_asked_again_if_the_server_was_away_at_first(night):
    night.page.route("**/ainerd/session/**", lambda route: route.abort(), times=1)
    night.browser.open()
    night.page.wait_for_selector("[data-ainerd=hold]")


def test_a_connection_that_was_lost_in_silence_is_noticed(night):
    night.page.clock.install()
    night.browser.open()
    night.browser.until("connected", "[data-ainerd=feed]")
    campaign, held = "**/custom/ainerd/campaign/**", []
    night.page.route(campaign, lambda route: held.append(route))  # an answer never comes
    while not held:
        night.page.wait_for_timeout(50)
    night.page.clock.fast_forward(31_000)
    night.browser.until("the server does not answer: no answer within 30 s", "[data-ainerd=feed]")
    night.page.unroute(campaign)
    night.page.clock.fast_forward(5_000)
    night.browser.until("connected", "[data-ainerd=feed]")


def test_the_table_shows_that_a_run_failed(night):
    key = night.result(7, is_done=False)
    night.browser.open()
    night.browser.until("computing", f"tr[data-key='{key}']")
    night.store.fail(key, "the beam was lost")
    night.browser.until("the beam was lost", f"tr[data-key='{key}']")


def test_the_page_of_a_result_waits_for_it_after_a_lost_connection(night):
    key, result = night.result(7, is_done=False), "**/custom/ainerd/result/**"
    night.browser.open("results", key)
    night.browser.until("computing", "header")
    with night.page.expect_event("requestfailed"):
        night.page.route(result, lambda route: route.abort())
    night.page.unroute(result)
    night.store.fail(key, "the beam was lost")
    night.browser.until("failed", "header")


def test_pictures_of_a_growing_result_are_read_again(night):
    maps = {"c2": np.ones((2, 8, 8), np.float32)}
    key, n = night.result(7, technique="rheo_xpcs", arrays=maps), iter(range(100, 1000))

    def grow(route):
        answer = route.fetch()
        metadata = {**answer.json()["metadata"], "status": "growing", "n_frames": next(n)}
        route.fulfill(response=answer, json={**answer.json(), "metadata": metadata})

    night.page.route("**/custom/ainerd/result/**", grow)
    with night.page.expect_response(f"**/ainerd/mean/**/{key}/c2**"):
        night.browser.open("results", key)
    with night.page.expect_response(f"**/ainerd/mean/**/{key}/c2**"):
        pass


def test_only_a_person_who_was_first_is_named(night):
    night.browser.open()
    night.page.fill("[data-ainerd=who]", "Ann")
    reason = ""
    night.page.route(
        "**/ainerd/command/**", lambda route: route.fulfill(status=409, json={"detail": {"reason": reason}})
    )
    for reason in ("the suggestion is superseded at 03:14:15", "Bob took it at 03:14:15"):
        night.page.click("[data-ainerd=take]")
        night.browser.until(reason, "[data-ainerd=answer]")
        answer = night.page.inner_text("[data-ainerd=answer]")
        assert answer == (f"Another person was first: {reason}" if "Bob" in reason else reason)


def test_a_note_is_sent_once(night):
    night.browser.open("results", night.keys[0])
    night.page.click("text=add a note")
    night.page.fill("form input", "a bubble")
    night.page.get_by_role("button", name="note it").dblclick()
    night.browser.until("note: a bubble", "form em")
    assert [note["note"] for note in night.store.notes()].count("a bubble") == 1


def test_a_map_that_cannot_be_read_is_not_said_to_be_missing(night):
    night.state("one", technique="rheo_xpcs")
    night.result(7, technique="rheo_xpcs")
    night.browser.open()
    night.browser.until("the run has no map", "[data-ainerd=gallery]")
    night.page.route("**/ainerd/mean/**", lambda route: route.abort())
    night.page.reload()
    night.browser.until("The maps cannot be read", "[data-ainerd=gallery]")


def test_older_runs_along_one_motor_are_round(night):
    night.state("one", bounds={"x": BOUNDS["x"]})

    def many(route):
        """Answer with each result 200 times: all but the newest 500 are dots of one image."""
        answer = route.fetch()
        state = answer.json() if answer.status == 200 else {}
        results = state.get("results", {})
        columns = {name: 200 * column for name, column in results.items() if isinstance(column, list)}
        columns["key"] = [str(k) for k in range(200 * len(results.get("key", [])))]
        regimes = {**state.get("regimes", {}), "label": 200 * state.get("regimes", {}).get("label", [])}
        route.fulfill(response=answer, json={**state, "results": {**results, **columns}, "regimes": regimes})

    night.page.route("**/custom/ainerd/campaign/**", lambda route: None)  # later answers never come
    night.page.route("**/custom/ainerd/campaign/**", many, times=1)
    night.browser.open()
    night.browser.drawn("map")
    high = night.page.evaluate("document.querySelector('[data-ainerd=map]').layout.images.at(-1).sizey")
    assert high == 2  # as the axis, which runs from -1 to 1
