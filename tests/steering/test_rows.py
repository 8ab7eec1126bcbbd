import numpy as np

from ainerd.steering import RowsById


def test_columns_are_those_of_a_dictionary():
    rng, rows, known = np.random.default_rng(0), RowsById(), {}
    for step in range(300):
        ids = [str(i) for i in rng.integers(0, 60, rng.integers(0, 5))]
        points = rng.normal(size=(len(ids), 2))
        if step % 3:
            rows.add(ids, point=points, step=np.full(len(ids), step))
            known |= {id: (point, step) for id, point in zip(ids, points.tolist(), strict=True)}
        else:
            rows.remove(ids)
            for id in ids:
                known.pop(id, None)
        assert [*rows] == rows.ids.tolist() == [*known]
        if known:
            assert rows["point"].tolist() == [point for point, _ in known.values()]
            assert rows["step"].tolist() == [step for _, step in known.values()]
    rows.give("step", np.arange(len(rows)))
    assert [rows.of(id, "step") for id in rows] == [*range(len(rows))]
    assert [rows.place(id) for id in rows] == [*range(len(rows))]
