"""Several agents on one catalog: each store shows its own results, an analyst's store shows all, unmixed."""

import pytest

from ainerd.results import AtlasRecord, ResultStore, SuggestionRecord, digest

FINE = {"size": 256}
COARSE = {"size": 64}


@pytest.fixture
def both(ainerd, record, analysis):
    """Stores of two agents with the same parameters and a third with others, each with a complete result; by name."""
    stores, keys = {}, {}
    for i, (name, parameters) in enumerate((("a", FINE), ("b", FINE), ("c", COARSE))):
        stores[name] = ResultStore(ainerd, agent=name, digest=digest(parameters))
        begun = record(agent=name, parameters=parameters, run_time=100.0 + i)
        keys[name] = stores[name].begin(begun)
        stores[name].complete(keys[name], analysis(embedding=[i, 0.0], only=["tau"], novelty_p=0.01))
    return stores, keys


def suggested(store, agent):
    return store.add_suggestion(SuggestionRecord(id=f"of {agent}", agent=agent, positions={"x": 1.0}, reason="there"))


def test_results_and_embeddings_are_the_agents_own(both, store):
    stores, keys = both
    for name, own in stores.items():
        assert list(own.table().index) == list(own.search(novel=True).index) == [keys[name]] and len(own) == 1
        assert list(own.embeddings().index) == [keys[name]] and own.similar(keys[name]).empty
        assert f"1 result of {name}," in repr(own)
        for other in keys.keys() - {name}:
            with pytest.raises(KeyError, match="no complete result"):
                own.similar(keys[other])
    assert set(store.table(all=True).index) == set(keys.values())
    done = set().union(*(stores["a"].analysed(d) for d in store.table(all=True)["digest"]))
    assert done == set(store.table(all=True)["raw_uid"])  # by any agent
    nobody = ResultStore(store.container, agent="a", digest=digest(COARSE))
    assert nobody.table().empty and nobody.search(run_time=(0, None)).empty


def test_the_newest_atlas_of_all_agents_labels_every_result(both, store, ainerd):
    stores, keys = both
    for name, n in (("a", 1), ("b", 2), ("c", 3), ("a", 4)):
        stores[name].add_atlas(AtlasRecord(n_regimes=n, supported_range=(1, n), labels={keys[name]: n}))
    for name, n in (("a", 4), ("b", 2), ("c", 3)):
        fresh = ResultStore(ainerd, agent=name, digest=stores[name].newest_atlas().digest)
        for own in (fresh, stores[name]):
            atlas = own.newest_atlas()
            assert (atlas.agent, atlas.n_regimes) == (name, n) and own.table()["regime"].tolist() == [n]
    assert store.newest_atlas().version == 4
    assert store.newest_atlas().labels == store.current_labels() == {keys["a"]: 4, keys["b"]: 2, keys["c"]: 3}
    assert store.table(all=True)["regime"].tolist() == [4, 2, 3]


def test_suggestions_are_the_agents_own(both, store):
    stores, _ = both
    of_a, of_b = suggested(stores["a"], "a"), suggested(stores["b"], "b")
    assert list(stores["a"].suggestions().index) == [of_a] and stores["b"].next_suggestion().id == of_b
    assert stores["c"].next_suggestion() is None and store.next_suggestion("a").id == of_a
    with pytest.raises(ValueError, match=r"several agents have suggestions \(a, b\): give one, agent='a'"):
        store.next_suggestion()
    assert not stores["b"].set_status(of_a, "failed") and store.next_suggestion("a").id == of_a
    assert stores["a"].set_status(of_a, "accepted")
    assert store.next_suggestion().id == of_b  # only one agent has any


def test_the_log_has_lines_of_the_agent_and_of_people(both, store):
    stores, _ = both
    stores["a"].log("of a", raw_uid="run-a")
    stores["b"].log("of b")
    store.log("of a person")
    assert stores["a"].logbook()["text"].tolist() == ["of a", "of a person"]
    assert store.logbook()["text"].tolist() == ["of a", "of b", "of a person"]
    assert store.logbook()["raw_uid"].iloc[0] == "run-a"
