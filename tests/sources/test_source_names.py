"""Names of sources on the command line, and sources of other packages."""

import pytest

from ainerd.sources import open_source
from tests.cli.conftest import Site


def test_a_home_in_a_path_is_that_of_this_account(tmp_path, variables):
    variables(HOME=tmp_path)
    (tmp_path / "documents.jsonl").write_text("")
    assert open_source("folder:~/8id")._path == tmp_path / "8id"
    assert open_source("results:~/maps?frame_time=0.1")._path == tmp_path / "maps"
    assert open_source("~/documents.jsonl")._path == tmp_path / "documents.jsonl"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("amqp://somewhere", "no source 'amqp://somewhere': give tiled"),
        ("zmqq://h:1", "did you mean 'zmq'"),
        ("nowhere.jsonl", "or the path of a .jsonl file"),
        ("", "no source ''"),
        ("folder:", "give folder:PATH"),
        ("zmq://", "give zmq://host:port"),
        ("kafka://a:1/", "give kafka://host:port/topic"),
        ("tiled://elsewhere", "tiled:elsewhere: give tiled, or the date"),
        ("results:", "give results:FOLDER"),
        ("results:/data?frame_time=soon", "frame_time=soon is not a time in seconds"),
    ],
)
def test_a_wrong_name_is_refused_with_the_right_ones(name, message):
    with pytest.raises(ValueError) as refusal:
        open_source(name)
    assert message in str(refusal.value)


def test_runs_of_files_alone_are_written_to_tiled():
    names = {name.split(":")[0] for name in ("folder:/a", "results:/a", "zmq://h:1", "kafka://h:1/t", "tiled")
             if open_source(name).writes_runs}  # fmt: skip
    assert names == {"folder", "results"}


@pytest.mark.parametrize("name", ["kafka", "odd:name"])
def test_a_file_may_have_the_name_of_a_source(tmp_path, own_folder, name):
    (tmp_path / name).write_text("")
    assert list(open_source(name).documents(None)) == []
    (tmp_path / "tiled").mkdir()
    assert type(open_source("tiled")).__name__ == "Tiled"


@pytest.fixture
def packages(tmp_path, importable):
    """Two other packages as pip installs them: one adds a source, the module of the other one is not there."""
    site = Site(tmp_path)
    site.install("elsewhere", {"source_elsewhere": ELSEWHERE}, sources="source_elsewhere:Elsewhere")
    site.install("broken", {}, sources="no_such_module:Source")
    importable(tmp_path)


ELSEWHERE = """
class Elsewhere:
    usage = "elsewhere:NAME (a test)"
    writes_runs = True

    def __init__(self, address):
        self.address = address

    def documents(self, intake):
        yield "start", {"uid": self.address}
"""


def test_another_package_adds_a_source_and_a_broken_one_hides_no_other(packages):
    assert list(open_source("elsewhere:A7").documents(None)) == [("start", {"uid": "A7"})]
    with pytest.raises(ValueError, match="did you mean 'elsewhere'.* give .*broken: \\(cannot be imported\\)"):
        open_source("elsewher:A7")
    with pytest.raises(ValueError, match=r"^source 'broken' \(no_such_module:Source\) cannot be imported: No module"):
        open_source("broken:A7")
