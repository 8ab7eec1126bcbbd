"""How long a follower waits."""

import pytest

from ainerd.documents import Quiet


@pytest.mark.fault("The agent and the RunEngine are suspended for an hour", "The run in progress is not ended")
def test_a_process_that_was_suspended_ends_no_run(monkeypatch):
    now = [50.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    quiet, silences = Quiet(), []
    for step in (4.0, 9.0, 3600.0, 2.0):
        now[0] += step
        silences.append(quiet.look())
    assert silences == [4, 13, 23, 25]  # of an hour without a look ten seconds count
    quiet.over()
    now[0] += 3.0
    assert quiet.look() == 3
