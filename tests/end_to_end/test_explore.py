import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from IPython.lib.pretty import pretty
from tiled.queries import Key

MAY_BE_ZERO = {"plateau", "g2_left", "flow_direction_deg", "anisotropy_direction_deg"}


@pytest.fixture(scope="module")
def explored(session):
    """A session that has explored two positions, with all documents it emitted."""
    session.documents = []
    token = session.RE.subscribe(lambda name, doc: session.documents.append((name, doc)))
    session.RE(session.agent.explore(2))
    session.RE.unsubscribe(token)
    return session


def test_every_position_has_one_complete_result(explored):
    table = explored.table()
    assert (table["status"] == "complete").all()
    assert len(table) == 2 and table["raw_uid"].is_unique
    assert table["novelty_p"].between(0, 1).all()
    assert table["stress_mean"].between(80, 25_000).all()
    assert (table["time_since_shear"].diff().dropna() > 0).all()
    given = table.reindex(columns=["tau_s", "no_tau"])
    assert (given.notna().sum(axis=1) == 1).all() and (given["tau_s"].dropna() > 0).all()


def test_figure_and_log_agree_with_tiled(explored):
    agent = explored.agent
    figure, table, following = agent.plot(), agent.results.table(all=True), agent.suggest()
    assert not [text for axes in figure.axes for text in axes.texts if "cannot be drawn" in text.get_text()]
    assert len([axes for axes in figure.axes if axes.get_xlabel() == "$t_1$ (s)"]) == 3  # newest, clean, nearest
    (sample,) = [axes for axes in figure.axes if axes.get_ylabel() == "sample_y (mm)"]
    np.testing.assert_allclose(sample.lines[0].get_xydata(), table[["sample_x", "sample_y"]])
    star = sample.collections[-1].get_offsets()[0]
    np.testing.assert_allclose(star, [following["sample_x"], following["sample_y"]])
    shown, _ = DisplayFormatter().format(figure)  # as a notebook does
    assert shown["image/png"].startswith(b"\x89PNG")
    assert all(text in repr(agent.log()) for text in agent.results.logbook()["text"])
    assert "results" in pretty(agent) and "queue" in pretty(agent)
    names = dir(agent)
    assert {"explore", "suggest", "log", "plot", "results"} <= set(names)
    assert not [name for name in names if name.startswith("_")]


def test_no_number_comes_from_a_refused_model_or_is_smaller_than_its_error(explored):
    """Numbers that may not be shown are in no result and no bin, so nothing can show them."""
    store, table = explored.agent.results, explored.table()
    lags = {key: store.array(key, "tau") for key in table.index}
    rows = [(lags[key], row.to_dict()) for key, row in table.iterrows()]
    rows += [(lags[key], row.to_dict()) for key in table.index for _, row in store.rows(key, "bins").iterrows()]
    assert len(rows) >= 2 * 19
    for lag, row in rows:
        known = {name: x for name, x in row.items() if isinstance(x, (str, float)) and x == x}
        assert ("tau_s" in known) != bool(known.get("no_tau"))
        if "tau_s" in known:
            assert 2 * lag[0] < known["tau_s"] < lag[-1] and not known["misfit_p"] < 1e-4
            assert not {"tau_s_above", "tau_s_below"} & set(known) and known["g2_errors"]
        for name in {x.removesuffix("_err") for x in row if x.endswith("_err")} - MAY_BE_ZERO:
            if name in known:
                assert known[f"{name}_err"] < abs(known[name]), (name, known)
        assert not 0.99 * 2.5 < known.get("kww_exponent", 1) and known.get("kww_exponent", 1) > 0.202


def test_the_sample_was_at_the_suggested_position(explored):
    table = explored.table().set_index("raw_uid")
    suggestions = explored.agent.results.suggestions()
    measured = suggestions[suggestions["status"] == "measured"].set_index("raw_uid")
    assert set(measured.index) == set(table.index)
    for name in ("sample_x", "sample_y"):
        assert np.allclose(measured[name], table[name][measured.index], atol=0.003)  # where the stage stopped
    assert (suggestions["reason"].str.len() > 10).all()


def test_the_maps_in_tiled_are_those_of_the_frames_in_the_file(explored):
    """A second path: every frame read back through Tiled, with the weight of its photons, and the definition of C2."""
    row = explored.table().iloc[0]
    explored.agent.detach()  # whatever the buffered writer still holds is written
    explored.agent.attach(explored.RE)
    frames = explored.client["raw"][row["raw_uid"]]["lambda750k"]["lambda750k_image"].read().reshape(100, 128, 192)
    partition = explored.agent.technique.partition
    maps = explored.agent.results.array(row.name, "c2")
    edges = np.linspace(0, 100, 257)
    t = np.arange(100)
    reduce = np.clip(np.minimum(edges[1:, None], t + 1) - np.maximum(edges[:-1, None], t), 0, 1) * 256 / 100
    for k in (1, 7, 18):
        inside = partition.roi_map == k
        i, ring = frames[:, inside].astype(float), partition.static_map[inside]
        profile = np.array([i[:, ring == r].mean() for r in ring])
        d = i / profile / (i.sum(1) / profile.sum())[:, None]
        c2 = d @ d.T / inside.sum()
        a = i.sum(1) / profile.sum()
        c2[t, t] -= (i / profile**2).sum(1) / a**2 / inside.sum()  # a counter's shot noise
        r = reduce * a / (reduce @ a)[:, None]
        assert np.abs(maps[k - 1] - r @ c2 @ r.T).max() < 1e-4


def test_the_raw_runs_are_in_tiled(explored):
    explored.agent.detach()
    explored.agent.attach(explored.RE)
    raw = explored.client["raw"]
    exposures = raw.search(Key("start.plan_name") == "expose")
    assert len(exposures) == 2
    assert len(raw.search(Key("start.plan_name") == "explore")) == 1
    run = raw[explored.table()["raw_uid"].iloc[0]]
    assert run.metadata["start"]["suggestion_id"] and run.metadata["start"]["reason"]
    assert run["rheometer_stress_monitor"].base["internal"].read().shape[0] > 0


def test_outcomes_are_recorded_by_the_optimize_run(explored):
    events = [doc["data"] for name, doc in explored.documents if name == "event" and "novelty_p" in doc["data"]]
    assert len(events) == 2
    assert {"sample_x", "sample_y", "reason", "unexplored", "boundary", "novel_neighbour", "travel"} <= set(events[0])


@pytest.mark.fault("Runs are taken while no agent is running", "They are analysed later, with the same bits")
def test_runs_that_the_agent_missed_are_caught_up_with(explored):
    """Rebuilt from Tiled, a run gives the same maps, bit for bit, as it gave while it was taken.

    Results of other parameters stand beside the old ones.
    """
    agent = explored.start_agent(contrast=0.21)
    assert agent.status()["regimes"] == 0  # embeddings of other parameters are not its own
    before = explored.table()
    complete = before[before["status"] == "complete"]
    agent.detach()  # so that all raw runs are written
    assert agent.catch_up() == len(complete)
    after = explored.table()
    added = after.drop(before.index).set_index("raw_uid")
    assert (added["status"] == "complete").all() and len(added) == len(complete)
    assert agent.catch_up() == 0
    for key, row in complete.head(2).iterrows():
        again = added.loc[row["raw_uid"]]
        new_key = after.index[(after["raw_uid"] == row["raw_uid"]) & (after["created"] == again["created"])][0]
        assert np.array_equal(agent.results.array(new_key, "c2"), agent.results.array(key, "c2"))
        for name in ("sample_x", "sample_y", "stress_mean", "time_since_shear", "n_frames", "frame_time_s"):
            assert again[name] == row[name] or (np.isnan(again[name]) and np.isnan(row[name]))


def test_a_sample_that_is_sheared_afresh_is_young(explored, monkeypatch):
    old = explored.table()["time_since_shear"].max()
    monkeypatch.setitem(explored.settings.section, "preshear", [[100, 20]])
    agent = explored.start_agent()
    explored.RE(agent.explore(1))
    assert explored.table()["time_since_shear"].iloc[-1] < old / 3
    assert explored.rheometer.shear_number.get() == 1
