"""The RunEngine of the tests of plans."""

import pytest
from bluesky import RunEngine


@pytest.fixture(scope="session")
def RE():
    engine = RunEngine({}, context_managers=[])
    yield engine
    engine.loop.call_soon_threadsafe(engine.loop.stop)
    engine._th.join()
    engine.loop.close()
