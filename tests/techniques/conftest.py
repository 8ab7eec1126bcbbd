import pytest

from tests.techniques.installing import TOY, installed


@pytest.fixture(scope="module")
def installed_toy(tmp_path_factory):
    """The toy as a distribution: its modules can be imported, its entry points are found."""
    with installed(TOY, tmp_path_factory.mktemp("site")) as folder:
        yield folder
