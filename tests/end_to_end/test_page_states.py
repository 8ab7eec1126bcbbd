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

    def result(self, i, agent="one", **changes):
        fields = {
            "raw_uid": str(uuid.uuid4()), "technique": "other", "agent": agent, "parameters": {}, "scan_id": i,
            "run_time": time.time() - 60 * (10 - i), "positions": {"x": 0.00111 * i, "y": 0.002}, "n_frames": 100,
            "units": {"x": "m", "y": "m"}, "frame_time_s": 0.5,
        }  # fmt: skip
        store = ResultStore(self.ainerd, agent=agent)
        point = np.random.default_rng(i).normal(size=4).astype(np.float32)
        key = store.begin(ResultRecord(**fields | changes))
        store.complete(key, Analysis(embedding=point, novelty_p=None, arrays={}), regime=0)
        return key

    def state(self, agent, **changes):
        health = {"every_s": 5.0, "closed": False, "worker": "alive", "backlog": 0, "spool": 0}
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
