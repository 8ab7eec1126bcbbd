import pytest

from tests.techniques.installing import TOY, installed


@pytest.fixture(scope="module")
def installed_toy(tmp_path_factory):
    """The toy as a distribution: its modules can be imported, its entry points are found."""
    with installed(TOY, tmp_path_factory.mktemp("site")) as folder:
        yield folder


@pytest.fixture
def beamline(server, tmp_path, variables):
    """Make beamlines of one catalog of their own, with its agent unless it is not to start yet."""
    from tests.techniques.beamline import Beamline

    made, place = [], server.client().create_container(tmp_path.name)
    variables(AINERD_STORAGE__API_KEY=server.api_key)

    def make(*, agent=None, starts=True, **options):
        made.append(Beamline(tmp_path, place.uri, results=server.directory / "results", **options))
        if starts:
            made[-1].start_agent(**(agent or {}))
        return made[-1]

    yield make
    for one in made:
        one.close()
