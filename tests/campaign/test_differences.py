"""What a result says about the last one of its spot and about its regime, beside its p-value."""

import numpy as np
import pandas as pd
from campaign_toys import Toy, outcome

from ainerd.results import Away, Content, LoadedResult, ResultRecord

RECORD = ResultRecord(raw_uid="run", technique="toy", agent="toy", parameters={}).metadata()


class Comparing(Toy):
    """Results hold one number; the difference is chi square of it, and rare beyond 10."""

    compares = ("level",)

    def difference(self, new, others):
        chi2 = float((new["level"] - np.mean([each["level"] for each in others])) ** 2)
        return chi2, 1e-6 if chi2 > 10 else 0.5


def test_a_difference_that_p_does_not_show_is_in_the_record_and_in_the_log(make, store):
    levels = {"a": 0.0, "b": 1.0, "c": 8.0, "far": 8.0, "novel": 20.0}
    read = []

    def load(keys, names):
        read.extend(keys)
        for scan, key in enumerate(levels):
            if key in keys:
                yield LoadedResult(key, {"scan_id": scan}, {"level": Content(np.array(levels[key]))})

    store.load = load
    campaign = make(technique=Comparing())
    for scan, (key, x) in enumerate({"a": 5.0, "b": 5.02, "c": 5.04, "far": 1.0}.items()):
        campaign.answer(outcome(key, x=x, scan_id=scan, novelty_p=0.5, novel=False, sentences=["verdict"]))
    assert "spot_chi2" not in store.labels["a"] and "regime_chi2" not in store.labels["a"]
    assert store.labels["b"]["spot_chi2"] == 1.0 and store.labels["b"]["spot_chi2_p"] == 0.5
    assert store.labels["c"]["spot_chi2"] == 49.0 and store.labels["c"]["regime_chi2"] == 7.5**2
    assert "spot_chi2" not in store.labels["far"]  # nothing was measured there before
    campaign.answer(outcome("novel", x=5.0, scan_id=4, novelty_p=0.01, novel=True))
    assert store.labels["novel"]["spot_chi2"] == 144.0  # and no line
    line, *others = [text for text, _ in store.lines if "it differs" in text]
    assert not any(each.startswith("scan 4") for each in others)
    both = "from scan 1 at the same spot (reduced χ² 49) and from the others of its regime (reduced χ² 56)"
    assert line == f"scan 2: it differs {both}"
    assert store.labels["c"]["sentences"][-1] == line.removeprefix("scan 2: ")
    assert len(read) == len(set(read))  # each result is read once


def test_a_result_that_cannot_be_compared_has_its_regime(make, store, caplog):
    store.load = lambda keys, names: [
        LoadedResult(key, {"scan_id": 1}, {"level": Content(np.array("no number"))}) for key in keys
    ]
    campaign = make(technique=Comparing())
    for key in "ab":
        campaign.answer(outcome(key, scan_id=1, novelty_p=0.5, novel=False))
    assert store.labels["b"]["regime"] == 0 and "spot_chi2" not in store.labels["b"]
    (line,) = [text for text in caplog.messages if "not compared" in text]
    assert line.startswith("result b is not compared, ")


class Agreeing(Toy):
    """Results of a regime have the mean of their numbers; people are told when that of an earlier one changes."""

    agrees = ("numbers",)

    def agree(self, results):
        mean = float(np.mean([tables["numbers"]["x"].mean() for tables, _ in results]))
        changes = [{} if about.get("mean") == mean else {"mean": mean, "gone": None} for _, about in results]
        return f"the mean is {mean:g} now" if any(changes[:-1]) else "", changes


def test_a_new_result_changes_the_numbers_of_its_regime(make, store):
    numbers, read = {"a": 1.0, "b": 3.0, "c": 2.0}, []

    def load(keys, names):
        read.extend(keys)
        for key in keys:
            about = RECORD | {"key": key, "gone": 1.0, "summary": ["gone"], "sentences": ["verdict"]}
            yield LoadedResult(key, about, {"numbers": Content(pd.DataFrame({"x": [numbers[key]]}))})

    store.load = load
    campaign = make(technique=Agreeing())
    for scan, (key, x) in enumerate({"a": 5.0, "b": 5.02, "c": 5.04}.items()):
        campaign.answer(outcome(key, x=x, scan_id=scan, novelty_p=0.5, novel=False, sentences=["verdict"]))
    assert {key: label["mean"] for key, label in store.labels.items()} == {"a": 2.0, "b": 2.0, "c": 2.0}
    assert store.labels["a"]["gone"] is None and store.labels["a"]["regime"] == 0
    assert ResultRecord.from_metadata(RECORD | store.labels["a"]).summary == {"mean": 2.0}
    assert [text for text, _ in store.lines if "mean" in text] == ["the mean is 2 now"]  # c changes nothing
    assert len(read) == len(set(read))  # each result is read once


def test_numbers_of_a_regime_that_tiled_does_not_take_are_written_later(make, store):
    label, away = store.label, [Away("not now")]

    def load(keys, names):
        for key in keys:
            about = RECORD | {"key": key, "sentences": ["verdict"]}
            yield LoadedResult(key, about, {"numbers": Content(pd.DataFrame({"x": [{"a": 1.0, "b": 3.0}[key]]}))})

    def take(key, **fields):
        if key == "b" and away:
            raise away.pop()
        label(key, **fields)

    store.load, store.label, store.answers = load, take, lambda: True
    campaign = make(technique=Agreeing())
    for key in "ab":
        campaign.answer(outcome(key, scan_id=1, novelty_p=0.5, novel=False, sentences=["verdict"]))
    campaign.journal.catch_up()
    assert not away and store.labels["b"]["mean"] == store.labels["a"]["mean"] == 2.0
