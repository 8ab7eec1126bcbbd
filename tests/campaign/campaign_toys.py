"""A technique of a few lines and a store of a few dictionaries: the campaign without a RunEngine and without Tiled."""

from collections import Counter

import numpy as np
import orjson
import pandas as pd

from ainerd.campaign import Campaign
from ainerd.config import Steering
from ainerd.novelty import LOOKS, Components
from ainerd.results import Gone, Result, ResultRecord, ResultStore
from ainerd.technique import Analysis, NullRegimes, Regimes, Technique
from ainerd.words import utc_now

BOUNDS = {"x": (0.0, 10.0), "y": (0.0, 10.0)}
# Statistics of known regimes. The exposures of one all have the p-value of the first: as dependent as can be.
UNIFORM = (np.arange(4000) + 0.5) / 4000
NULL = NullRegimes(by_look=np.tile(-np.log(UNIFORM), (LOOKS, 1)), smallest=UNIFORM, whole=UNIFORM, own=np.ones((14, 9)))
ALONE = Components()  # each regime is a component


def seen(**regimes):
    """Exposures by regime, as ``r0=[.1, .2]`` or ``r0={"a": .1}``; keys are made of the regime and the place."""
    exposures = {}
    for name, p in regimes.items():
        keyed = p if isinstance(p, dict) else {f"{name} {i}": value for i, value in enumerate(p)}
        exposures |= {key: (int(name[1:]), value) for key, value in keyed.items()}
    return exposures


class Toy(Technique):
    """Embeddings with the same rounded first number are one regime."""

    name, unit, alpha, embedding_size, regime_width = "toy", "run", 0.05, 2, 1.0
    parameters = {"toy": 1}

    def regimes(self, embeddings, previous=None):
        groups = np.round(embeddings[:, 0]).astype(int)
        names, free = {}, iter(range(1000))
        taken = set() if previous is None else set(previous.tolist())
        for group in dict.fromkeys(groups.tolist()):
            known = Counter() if previous is None else Counter(previous[(groups == group) & (previous >= 0)].tolist())
            names[group] = known.most_common(1)[0][0] if known else next(n for n in free if n not in taken)
        return Regimes(
            labels=np.array([names[group] for group in groups.tolist()]),
            n_regimes=len(names),
            supported_range=(1, len(names)),
            predict=lambda z: np.array([names.get(round(float(x)), -1) for x in z[:, 0]]),
        )


class Store:
    """The parts of `ResultStore` and `AgentNode` that a campaign uses, in memory; `agent` is its owner."""

    seems_away, node = False, None

    def answers(self):
        return not self.seems_away

    def __init__(self, agent="toy"):
        self.agent = agent
        self.rows, self.points = {}, {}
        self.once, self.given, self.labels = set(), {}, {}
        self.saved, self.lines, self.by, self.atlases, self.checkpoints = {}, [], [], [], {}
        self.shown = {}  # the state of the agent
        self.records = []  # of changes

    # as `AgentNode`

    @property
    def container(self):
        return self

    def append(self, number, change):
        if number <= len(self.records):
            return self.records[number - 1]
        assert number == len(self.records) + 1
        self.records.append(orjson.loads(orjson.dumps(change, option=orjson.OPT_SERIALIZE_NUMPY)))

    def changes(self, after):
        return list(enumerate(self.records, 1))[after:]

    def save_checkpoint(self, state):
        self.checkpoints[self.agent] = state

    def checkpoint(self):
        return self.checkpoints.get(self.agent, {})

    def update_state(self, state):
        self.shown.update(state)

    def answer(self, *answer):
        self.node.answer(*answer)

    def add_result(self, key, z=None, **row):
        """A result of an earlier session; without `z` it failed."""
        self.rows[key] = {"raw_uid": key, "status": "failed" if z is None else "complete", "regime": pd.NA} | row
        if z is not None:
            self.points[key] = np.float32(z)

    def table(self, **_):
        return pd.DataFrame.from_dict(self.rows, orient="index", columns=None if self.rows else ["status"])

    def embeddings(self):
        return pd.DataFrame.from_dict(self.points, orient="index")

    def current_labels(self):
        return self.atlases[-1].labels if self.atlases else {}

    def add_atlas(self, record):
        labels = {**self.current_labels(), **record.labels}
        self.atlases.append(record.changed(version=len(self.atlases) + 1, labels=labels))
        return self.atlases[-1]

    def label(self, key, **label):
        self.labels[key] = self.labels.get(key, {}) | label

    def add_suggestion(self, record):
        self.saved.setdefault(record.id, record)

    def set_status(self, id, status, reason=None, raw_uid=None, *, by=None, instead_of=None):
        if id not in self.saved:
            raise Gone(f"no suggestion {id!r}")
        record = self.saved[id]
        if instead_of is None or record.status in instead_of:
            about = {"status_reason": reason, "raw_uid": raw_uid or record.raw_uid, "status_by": by or self.agent}
            self.saved[id] = record.changed(status=status, **about)
            self.given.setdefault(id, []).append(status)

    def log(self, text, *, once=None, by=None, **ids):
        if once is None or once not in self.once:
            self.lines.append((text, ids))
            self.by.append(by)
        self.once.add(once)

    def history(self, id):
        """Statuses that a suggestion was given, in order; later ones are added."""
        return self.given.setdefault(id, [])

    def status(self, id):
        """Status of a suggestion, and who gave it that."""
        return self.saved[id].status, self.saved[id].status_by


def outcome(key, x=5.0, y=5.0, z=0.0, **about):
    """A complete run at a position; without `z` a failed one."""
    failed = {"status": "failed", "reason": "too dark"} if z is None else {"status": "complete"}
    embedding = None if z is None else np.array([z, 0.0], np.float32)
    fields = {"raw_uid": f"run of {key}", "key": key, "trial_id": key, "positions": {"x": x, "y": y}}
    return Result(**{**fields, **failed, "embedding": embedding, **about})


def campaign_on(client, technique=None, **options):
    """A campaign of a technique that steers in a catalog, without threads."""
    technique = technique or Toy()
    store, steering = ResultStore(client["ainerd"], agent=technique.name), Steering(bounds=BOUNDS, **options)
    campaign = Campaign(technique, store, steering, Jobs(), Jobs())
    campaign.take_over()
    return campaign


def written(client, raw_uid, z, *, suggestion=None, technique=None, p=None, position=None, status="complete"):
    """Write a result into a catalog as the analysis does, and return its outcome."""
    technique, id = technique or Toy(), None if suggestion is None else suggestion["_id"]
    store = ResultStore(client["ainerd"], agent=technique.name)
    of_run = {"parameters": technique.parameters, "technique": technique.name, "agent": technique.name}
    record = ResultRecord(raw_uid=raw_uid, suggestion_id=id, **of_run)
    store.begin(record)
    embedding = np.zeros(technique.embedding_size, np.float32)
    embedding[0] = z
    analysis = Analysis(embedding=embedding, novelty_p=p, arrays={"a": np.ones(3)}, calibration={"alpha": 0.05})
    about = {"positions": position or {"x": 1.0, "y": 2.0}, "status": status, "awaits_regime": utc_now()}
    store.complete(record.key, analysis, **about)
    verdict = {"novelty_p": p, "novel": None if p is None else p <= 0.05}
    return outcome(record.key, raw_uid=raw_uid, trial_id=id or record.key, **about, **verdict, embedding=embedding)


def waiting(campaign):
    """The suggestions that wait, in their order."""
    return [each.suggestion.point for each in campaign.state.waiting]


def usable(campaign):
    """Keys of the results that did not fail."""
    return {*campaign.exposures.keys(campaign.exposures.used)}


def taken_of(campaign):
    """Id of the suggestion that a person took and that is measured next, or None."""
    return campaign.state.taken(review=campaign.rules.review)


def given_at(campaign, position):
    """Id of the newest suggestion for a spot that has no result, or None."""
    return campaign.state.given_at(position, campaign.rules)


def on(verdict, suggestion, **about):
    """A `Take` or `Reject` of a suggestion."""
    position = {name: suggestion[name] for name in ("x", "y")}
    return verdict(suggestion=suggestion["_id"], position=position, reason=suggestion["reason"], **about)


class Node:
    """The commands to an agent, as `AgentNode` keeps them in Tiled."""

    def __init__(self, store):
        store.node = self
        self.waiting, self.answers, self.before_answer = {}, {}, lambda: None
        self.fetched = {}  # suggestions that scripts got, by key

    def add(self, key, metadata, container="commands"):
        self.waiting[container, key] = {name: x for name, x in metadata.items() if name != "id"}

    def commands(self):
        return list(self.waiting.items())

    def listen(self, created):
        return []

    def answer(self, container, key, status, answer, fetched=None):
        self.before_answer()
        self.fetched[key] = fetched
        self.answers[key] = status, answer
        self.waiting.pop((container, key), None)


class Jobs:
    """The jobs of a thread, done by `submit`; without it at once."""

    def __init__(self, submit=lambda job, **_: job()):
        self.submit = self.write = submit

    def ask(self, job):
        return job()

    def when_idle(self, job):
        pass

    def do_first(self):
        pass


def answers(node):
    """Statuses of the answers, in order."""
    return [status for status, _ in node.answers.values()]
