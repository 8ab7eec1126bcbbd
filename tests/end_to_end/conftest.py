import pytest

from tests.end_to_end.sessions import Session


@pytest.fixture(scope="module", autouse=True)
def small_bank(bank_file):
    """That bank, for all processes of these tests, and of no others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINERD_RHEO_XPCS__BANK", str(bank_file))
        yield


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
