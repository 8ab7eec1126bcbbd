import threading

import pytest

from tests.end_to_end.sessions import Session


@pytest.fixture(scope="module", autouse=True)
def small_bank(bank_file):
    """That bank, for all processes of these tests, and of no others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ainerd.techniques.rheo_xpcs._technique.calibrate_ahead", lambda *given: None)
        patch.setenv("AINERD_RHEO_XPCS__BANK", str(bank_file))
        yield


@pytest.fixture
def report_done():
    """Waits for the processes that write reports; at the end, too, so that none outlives the test."""

    def wait():
        for thread in threading.enumerate():
            if thread.name == "ainerd-report":
                thread.join(90)
                assert not thread.is_alive()

    yield wait
    wait()


@pytest.fixture(autouse=True)
def no_report(request, monkeypatch):
    """Only where it is waited for is a report written when a sample is explored."""
    if "report_done" not in request.fixturenames:
        monkeypatch.setattr("ainerd.agent._agent.write_report", lambda results, directory, bounds: directory)


@pytest.fixture(scope="module")
def session(server, tmp_path_factory):
    session = Session(tmp_path_factory.mktemp("session"), server)
    yield session
    session.close()


@pytest.fixture
def session_in(server):
    """Makes sessions in a folder, and closes them."""
    made = []

    def make(folder, **options):
        made.append(Session(folder, server, **options))
        return made[-1]

    yield make
    for session in made:
        session.close()
