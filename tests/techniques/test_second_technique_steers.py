"""A technique with an optimizer of its own chooses the positions."""

import bluesky.plans as bp

from tests.techniques.installing import installed
from tests.techniques.test_second_technique import RADIAL


def test_its_own_optimizer_chooses_the_positions(beamline, tmp_path_factory):
    with installed(RADIAL, tmp_path_factory.mktemp("radial")):
        b = beamline(toml=RADIAL / "radial.toml", agent={"acquire": bp.count})
        b.RE(b.agent.explore(3))
        table = b.table()
    assert len(table) == 3 and (table["sample_x"] / 10 * 64 % 1 == 0).all()  # halves of halves
    assert set(b.agent.results.suggestions()["reason"]) == {"the middle of the widest gap"}
