"""A campaign that a test writes in place of an agent, for a page that shows it."""

import time
import uuid

import numpy as np

from ainerd.results import AgentNode, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import open_catalog
from ainerd.technique import Analysis


class Night:
    """An empty campaign in a catalog, and its state, which is written after each change as an agent does."""

    def __init__(self, client, agent="one", unit="m", **bounds):
        self.client, self.agent, self.states = client, agent, 0
        _, self.ainerd = open_catalog(client)
        self.store, self.units = ResultStore(self.ainerd, agent=agent), dict.fromkeys(bounds, unit)
        self.known = {"bounds": bounds, "units": self.units, "alpha": 0.05, "technique": "other"}
        AgentNode(self.ainerd, agent).open()

    def result(self, i, point=None, p=None, regime=0, is_done=True, **changes):
        """Begin a result, complete it unless `is_done` is false, and return its key."""
        fields = {
            "raw_uid": str(uuid.uuid4()), "technique": "other", "agent": self.agent, "parameters": {}, "scan_id": i,
            "run_time": time.time() - 60 * (1000 - i), "n_frames": 100, "units": self.units, "frame_time_s": 0.5,
        }  # fmt: skip
        key = self.store.begin(ResultRecord(**fields | changes))
        if is_done:
            point = np.random.default_rng(i).normal(size=4) if point is None else point
            calibration = {} if p is None else {"alpha": 0.05}
            analysis = Analysis(embedding=np.float32(point), novelty_p=p, arrays={}, calibration=calibration)
            self.store.complete(key, analysis, regime=regime)
        return key

    def suggestion(self, **position):
        terms = {"empty_radius": 2.0}
        record = SuggestionRecord(agent=self.agent, positions=position, reason="unexplored", terms=terms)
        return self.store.add_suggestion(record)

    def state(self, agent=None, closed=False, **changes):
        self.states += 1
        health = {"every_s": 5.0, "closed": closed, "worker": "alive", "backlog": 0, "heard": time.time()}
        counters = {**self.store.counters, "state": self.states}
        AgentNode(self.ainerd, agent or self.agent).write_state(
            {**self.known, "health": health, "counters": counters} | changes
        )
