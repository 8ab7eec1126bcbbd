import numpy as np
import pytest

from tests.end_to_end.sessions import FRAMES


@pytest.fixture(scope="module")
def explored(session):
    """A session that has explored two positions."""
    session.RE(session.agent.explore(2))
    return session


def test_the_maps_in_tiled_are_those_of_the_frames_in_the_file(explored):
    """A second path: every frame read back through Tiled, with the weight of its photons, and the definition of C2."""
    row = explored.table().iloc[0]
    explored.agent.detach()  # whatever the buffered writer still holds is written
    explored.agent.attach(explored.RE)
    frames = explored.client["raw"][row["raw_uid"]]["lambda750k"]["lambda750k_image"].read().reshape(FRAMES, 128, 192)
    partition = explored.agent.technique.partition
    maps = explored.agent.results.array(row.name, "c2")
    edges = np.linspace(0, FRAMES, 257)
    t = np.arange(FRAMES)
    reduce = np.clip(np.minimum(edges[1:, None], t + 1) - np.maximum(edges[:-1, None], t), 0, 1) * 256 / FRAMES
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


@pytest.mark.fault("Runs are taken while no agent is running", "They are analysed later, with the same bits")
def test_runs_that_the_agent_missed_are_caught_up_with(explored):
    """Rebuilt from Tiled, a run gives the same maps, bit for bit, as it gave while it was taken.

    Results of other parameters stand beside the old ones.
    """
    before = explored.table().set_index("raw_uid")
    agent = explored.start_agent(contrast=0.201)
    assert agent.status()["regimes"] == 0  # embeddings of other parameters are not its own
    keys = dict(zip(before.index, explored.store.table(all=True).index, strict=True))
    agent.detach()  # so that all raw runs are written
    assert agent.catch_up() == 2
    added = explored.table().drop([*keys.values()])  # once they are analysed
    assert agent.catch_up() == 0
    assert added["status"].tolist() == ["complete"] * 2
    for key, again in added.iterrows():
        old = before.loc[again["raw_uid"]]
        assert np.array_equal(agent.results.array(key, "c2"), agent.results.array(keys[again["raw_uid"]], "c2"))
        for name in ("sample_x", "sample_y", "stress_mean", "time_since_shear", "n_frames", "frame_time_s"):
            assert again[name] == old[name], name
