"""A server that does not answer is noticed soon."""

import socket

import httpx
import pytest

from ainerd.results import ResultStore, _files


@pytest.mark.fault("Tiled hangs, or is not there any more", "noticed by one short request; runs wait on disk")
@pytest.mark.parametrize("hangs", [False, True])
def test_a_server_that_does_not_answer_is_noticed_soon(ainerd, record, monkeypatch, hangs):
    store, attempts = ResultStore(ainerd), []
    listener = socket.create_server(("127.0.0.1", 0))
    if not hangs:
        listener.close()
    http = ainerd.context.http_client
    address = listener.getsockname() if hangs else ("127.0.0.1", 9)
    put = http.put

    def elsewhere(url, **options):
        attempts.append(url)
        return put(httpx.URL(url).copy_with(host=address[0], port=address[1]), **options)

    monkeypatch.setattr(http, "put", elsewhere)
    monkeypatch.setattr(_files, "PAUSE_S", 0.01)
    monkeypatch.setattr(_files, "QUICK_S", 0.2)
    with pytest.raises(httpx.TransportError):
        store.take(record())
    assert len(attempts) == (1 if hangs else _files.ATTEMPTS) and store.seems_away
    listener.close()
    monkeypatch.undo()
    assert store.take(record()) is None and not store.seems_away
