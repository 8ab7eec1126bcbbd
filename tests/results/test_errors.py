"""Answers of Tiled, and of a proxy before it."""

import httpx
import pytest
from tiled.client import from_uri

from ainerd.results import AgentNode, Away, Gone, Refused, ResultStore, TiledError, translated

HTML, TILED = "<html>no such page</html>", "{\"detail\":\"No such entry: ['results', 'a']\"}"


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [(status, HTML, Away) for status in (401, 404, 500)]
    + [(status, TILED, Refused) for status in (409, 413)]
    + [(404, TILED, Gone), (404, '{"detail":"Not Found"}', Away)],
)
def test_only_an_answer_about_the_request_is_a_refusal(status, text, kind):
    def meaning(**headers):
        request = httpx.Request("POST", "http://tiled")
        with pytest.raises(TiledError) as raised, translated():
            httpx.Response(status, text=text, request=request, headers=headers).raise_for_status()
        return raised.value

    assert type(of_tiled := meaning(**{"X-Tiled-Request-ID": "1"})) is kind and of_tiled.status == status
    of_a_proxy = meaning()
    assert type(of_a_proxy) is (Refused if status == 413 else Away)


def test_a_node_that_does_not_exist_is_gone_and_a_closed_client_is_away(server, ainerd):
    closed = from_uri(ainerd.uri, api_key=server.api_key)
    store, node = ResultStore(ainerd), AgentNode(ainerd, "nobody")
    for ask in (lambda: store.record("0" * 36), lambda: node.update_state({}), lambda: store.label("a" * 36)):
        with pytest.raises(Gone):
            ask()
    assert store.status("0" * 36) is None and node.changes(0) == [] and node.state() == {}
    store, node = ResultStore(closed), AgentNode(closed, "nobody")
    closed.context.http_client.close()
    for ask in (lambda: store.status("0" * 36), node.state, lambda: store.log("a line")):
        with pytest.raises(Away, match="closed"):
            ask()
