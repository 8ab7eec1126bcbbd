"""Two sessions of one agent: one steers, and the other one reads until that one has ended."""

from contextlib import closing

import pytest

from ainerd.agent import build_observer
from ainerd.config import Settings
from ainerd.processes import whereabouts
from tests.end_to_end.sessions import SMALL


@pytest.mark.fault(
    "A second session of an agent starts while one lives",
    "It says who steers and reads; it takes over once the first has ended, and decisions stay",
)
def test_a_second_session_reads_until_the_first_has_ended(server, tmp_path, caplog):
    settings, client = Settings.load(SMALL), server.client().create_container(tmp_path.name)
    settings.storage.directory, held = tmp_path / "tiled", f"{whereabouts()['user']}: tea"
    with closing(build_observer(settings, client)) as first, closing(build_observer(settings, client)) as second:
        first.quiet = second.quiet = True
        first.hold("tea")
        assert first.steers and first.drain()
        (line,) = [each for each in caplog.messages if "is steered by" in each]
        assert f"(process {whereabouts()['pid']} of " in line and "agent.take_over() steers from here" in line
        assert not second.steers and second.status()["reads"]
        for act in (second.release, second.accept, lambda: second.note("x"), lambda: second.follow("tiled", None)):
            with pytest.raises(RuntimeError, match=r"another session steers: .*agent\.take_over\(\)"):
                act()
        with pytest.raises(RuntimeError, match="is steered by another session on "):
            second.take_over()
        first.close()
        second.take_over()
        assert second.steers and second.status()["held"] == held
        second.release()
        assert second.drain() and second.status()["held"] == ""
