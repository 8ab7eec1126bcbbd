"""The RunEngine of the tests of plans."""

from tests.sim_devices import conftest

RE = conftest.run_engine
