"""Links of W3C PROV from results to runs, in the graph that a Tiled server may keep."""

from collections.abc import Iterable
from typing import Any

import httpx
from tiled.client.container import Container

_GRAPH = "/graphql"
_PROV = "http://www.w3.org/ns/prov#"
_DERIVED = "prov:wasDerivedFrom"
_REPLACES = "prov:wasRevisionOf"
_FIND = "query(%s) {%s}", "$p{0}: [String!]!", "e{0}: entities(nodePathParts: $p{0}, limit: 1, offset: 0) {{id}}"
_MAKE = (
    "mutation($prefix: String!, $uri: String!, %s) {upsertNamespace(prefix: $prefix, uri: $uri) {prefix} %s}",
    "$i{0}: CreateEntityInput!",
    "e{0}: createEntity(input: $i{0}) {{id}}",
)
_LINKS = (
    "query($subject: ID, $object: ID, $predicate: String)"
    " {links(subjectId: $subject, objectId: $object, predicate: $predicate, limit: 1, offset: 0) {id}}"
)
_LINK = "mutation($input: CreateLinkInput!) {createLink(input: $input) {id}}"


def link_provenance(ainerd: Container, key: str) -> bool:
    """Say in the server's graph that a result was derived from its run, and which result it supersedes.

    The same is in the metadata; the graph is for tools that read graphs. Linked twice is linked once. `ainerd` is
    ``client["ainerd"]``. False where the server keeps no graph, refuses, or does not know the run: nothing is raised.
    """
    here = [part for part in ainerd.path_parts if part]
    try:
        said = ainerd["results", key].metadata
        paths = [[*here, "results", key], [*here[:-1], *said["raw_path"].split("/")]]
        if "supersedes" in said:
            paths.append([*here, "results", said["supersedes"]])
        graph = _Graph(ainerd)
        (result, *others), is_new = graph.entities(paths)
        for other, predicate in zip(others, (_DERIVED, _REPLACES), strict=False):
            graph.link(result, predicate, other, is_new)
    except (httpx.HTTPError, KeyError, ValueError):
        return False
    return True


class _Graph:
    """The server's GraphQL; a KeyError is a refusal."""

    def __init__(self, client: Container) -> None:
        self._http = client.context.http_client
        self._uri = str(client.context.api_uri).rstrip("/").removesuffix("/v1") + _GRAPH

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        response = self._http.post(self._uri, json={"query": query, "variables": variables})
        response.raise_for_status()
        answer = response.json()
        if answer.get("errors"):
            raise KeyError(answer["errors"][0].get("message"))
        return answer["data"]

    def entities(self, paths: list[list[str]]) -> tuple[list[str], bool]:
        """Ids of the entities of nodes, made where there is none, and whether that of the first was made.

        All in two requests: every one costs the server some 10 ms.
        """
        found = self.ask(_each(_FIND, range(len(paths))), **{f"p{i}": path for i, path in enumerate(paths)})
        ids = {i: found[f"e{i}"][0]["id"] for i in range(len(paths)) if found[f"e{i}"]}
        missing = [i for i in range(len(paths)) if i not in ids]
        if missing:
            wanted = {
                f"i{i}": {"entityType": "dataset", "name": paths[i][-1], "nodePathParts": paths[i]} for i in missing
            }
            made = self.ask(_each(_MAKE, missing), prefix="prov", uri=_PROV, **wanted)
            ids |= {i: made[f"e{i}"]["id"] for i in missing}
        return [ids[i] for i in range(len(paths))], 0 in missing

    def link(self, subject: str, predicate: str, object: str, is_new: bool) -> None:
        """Make a link unless it is there; it is not if the subject `is_new`."""
        ends = {"subject": subject, "predicate": predicate, "object": object}
        if is_new or not self.ask(_LINKS, **ends)["links"]:
            self.ask(_LINK, input={"subjectId": subject, "predicate": predicate, "objectId": object})


def _each(request: tuple[str, str, str], numbers: Iterable[int]) -> str:
    """One request for several: frame, what it is given of each, and what is asked of each."""
    frame, given, asked = request
    return frame % (", ".join(given.format(i) for i in numbers), " ".join(asked.format(i) for i in numbers))
