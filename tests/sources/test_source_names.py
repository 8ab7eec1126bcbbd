"""Names of sources on the command line, and sources of other packages."""

import sys
from importlib.metadata import EntryPoint

import pytest

from ainerd.sources import _source as module
from ainerd.sources import open_source


@pytest.mark.parametrize(
    ("name", "kind", "inside"),
    [
        ("tiled", "Tiled", {}),
        ("zmq://h:1", "ZeroMQ", {"_address": "h:1"}),
        ("kafka://a:1,b:2/t", "Kafka", {"_servers": "a:1,b:2", "_topic": "t"}),
        ("folder:/data/8id", "FolderOfAcquisitions", {}),
        ("folder:///data", "FolderOfAcquisitions", {}),
    ],
)
def test_a_name_gives_a_source(name, kind, inside):
    source = open_source(name)
    assert type(source).__name__ == kind
    assert {attribute: getattr(source, attribute) for attribute in inside} == inside


def test_a_home_in_a_path_is_that_of_this_account(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "documents.jsonl").write_text("")
    assert open_source("folder:~/8id")._path == tmp_path / "8id"
    assert open_source("results:~/maps?frame_time=0.1")._path == tmp_path / "maps"
    assert open_source("~/documents.jsonl")._path == tmp_path / "documents.jsonl"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("amqp://somewhere", "no source 'amqp://somewhere': give tiled"),
        ("zmqq://h:1", "did you mean 'zmq'"),
        ("http://a/b", "no source"),
        ("folders:/data", "did you mean 'folder'"),
        ("nowhere.jsonl", "or the path of a .jsonl file"),
        ("", "no source ''"),
        ("folder:", "give folder:PATH"),
        ("zmq://", "give zmq://host:port"),
        ("zmq", "give zmq://host:port"),
        ("kafka://a:1", "give kafka://host:port/topic"),
        ("kafka://a:1/", "give kafka://host:port/topic"),
        ("tiled://elsewhere", "give tiled alone"),
        ("results:", "give results:FOLDER"),
        ("results:/data?frame_time=soon", "frame_time=soon is not a time in seconds"),
        ("results:/data?frame_time=0", "frame_time=0 is not a time in seconds"),
    ],
)
def test_a_wrong_name_is_refused_with_the_right_ones(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as refusal:
        open_source(name)
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["kafka", "zmq", "documents.jsonl", "odd:name"])
def test_a_file_may_have_the_name_of_a_source(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("")
    assert list(open_source(name).documents(None)) == []
    (tmp_path / "tiled").mkdir()
    assert type(open_source("tiled")).__name__ == "Tiled"


class Elsewhere:
    """A source as a stranger's package has it."""

    usage = "elsewhere:NAME (a test)"
    writes_runs = True

    def __init__(self, address):
        self.address = address

    def documents(self, intake):
        yield "start", {"uid": self.address}


BROKEN = {"broken": "no_such_module:Source", "elsewhere": f"{__name__}:Elsewhere"}


def test_another_package_adds_a_source(monkeypatch):
    entry = EntryPoint("elsewhere", f"{__name__}:Elsewhere", module.GROUP)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(module, "entry_points", lambda group: [entry])
    assert list(open_source("elsewhere:A7").documents(None)) == [("start", {"uid": "A7"})]
    with pytest.raises(ValueError, match="did you mean 'elsewhere'"):
        open_source("elsewher:A7")


def test_a_broken_source_hides_no_other(monkeypatch):
    broken, works = (EntryPoint(name, value, module.GROUP) for name, value in BROKEN.items())
    monkeypatch.setattr(module, "entry_points", lambda group: [broken, works])
    with pytest.raises(ValueError, match=r"^source 'broken' \(no_such_module:Source\) cannot be imported: No module"):
        open_source("broken:A7")
    with pytest.raises(ValueError, match=r"give broken: \(cannot be imported\), or elsewhere:NAME"):
        open_source("other:A7")
    assert open_source("elsewhere:A7").address == "A7"
