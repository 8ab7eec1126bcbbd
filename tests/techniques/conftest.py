import pytest

from tests.techniques.installing import TOY, installed


@pytest.fixture(scope="module")
def installed_toy(tmp_path_factory):
    """The toy as a distribution: its modules can be imported, its entry points are found."""
    with installed(TOY, tmp_path_factory.mktemp("site")) as folder:
        yield folder


@pytest.fixture
def beamline(server, tmp_path, monkeypatch):
    """Make a beamline with its own catalog and agent."""
    from tests.techniques.beamline import Beamline

    made = []
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", server.api_key)

    def make(*, agent=None, **options):
        place = server.client().create_container(tmp_path.name)
        made.append(Beamline(tmp_path, place.uri, results=server.directory / "results", **options))
        made[-1].start_agent(**(agent or {}))
        return made[-1]

    yield make
    for one in made:
        one.close()
