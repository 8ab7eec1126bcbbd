import numpy as np

from ainerd.campaign._atlas import remembered


def test_missing_fields_of_a_result_are_none(store):
    store.add_result("dark", reason="too dark", x=1.0)
    store.add_result("first", z=[0, 1], x=2.0, y=3.0, novelty_p=0.2, novel=False, regime=4, suggestion_id="asked")
    store.add_result("alone", z=[2, 3])
    first, alone, dark = remembered(store, ("x", "y"))
    assert (first.key, first.trial_id, first.status, first.regime) == ("first", "asked", "complete", 4)
    assert (first.positions, first.novelty_p, first.novel) == ({"x": 2.0, "y": 3.0}, 0.2, False)
    assert first.embedding.dtype == np.float32 and first.embedding.tolist() == [0, 1] and first.is_recalled
    assert (alone.trial_id, alone.positions, alone.novelty_p, alone.novel, alone.regime) == (
        "alone",
        {},
        None,
        None,
        -1,
    )
    assert (dark.status, dark.reason, dark.positions, dark.embedding) == ("failed", "too dark", {"x": 1.0}, None)
    assert (dark.raw_uid, first.reason) == ("dark", "")


def test_without_results_nothing_is_remembered(store):
    assert remembered(store, ("x", "y")) == []
