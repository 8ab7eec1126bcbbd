"""Links of W3C PROV from results to runs, in the graph that a Tiled server may keep."""

from typing import Any

import httpx
from tiled.client.container import Container

_GRAPH = "/graphql"
_PROV = "http://www.w3.org/ns/prov#"
_DERIVED = "prov:wasDerivedFrom"
_REPLACES = "prov:wasRevisionOf"
_FIND = "query($path: [String!]!) {entities(nodePathParts: $path, limit: 1, offset: 0) {id}}"
_NAME = "mutation($prefix: String!, $uri: String!) {upsertNamespace(prefix: $prefix, uri: $uri) {prefix}}"
_MAKE = "mutation($input: CreateEntityInput!) {createEntity(input: $input) {id}}"
_LINKS = (
    "query($subject: ID, $object: ID, $predicate: String)"
    " {links(subjectId: $subject, objectId: $object, predicate: $predicate, limit: 1, offset: 0) {id}}"
)
_LINK = "mutation($input: CreateLinkInput!) {createLink(input: $input) {id}}"


def link_provenance(ainerd: Container, key: str) -> bool:
    """Say in the server's graph that a result was derived from its run, and which result it supersedes.

    The same is in the metadata; the graph is for tools that read graphs. Linked twice is linked once. False where the
    server keeps no graph, refuses, or does not know the run: nothing is raised.
    """
    here = [part for part in ainerd.path_parts if part]
    try:
        said = ainerd["results", key].metadata
        graph = _Graph(ainerd)
        graph.ask(_NAME, prefix="prov", uri=_PROV)
        result = graph.entity([*here, "results", key])
        graph.link(result, _DERIVED, graph.entity([*here[:-1], *said["raw_path"].split("/")]))
        if "supersedes" in said:
            graph.link(result, _REPLACES, graph.entity([*here, "results", said["supersedes"]]))
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

    def entity(self, path: list[str]) -> str:
        """Id of the entity of a node, made if there is none."""
        if found := self.ask(_FIND, path=path)["entities"]:
            return found[0]["id"]
        made = self.ask(_MAKE, input={"entityType": "dataset", "name": path[-1], "nodePathParts": path})
        return made["createEntity"]["id"]

    def link(self, subject: str, predicate: str, object: str) -> None:
        """Make a link unless it is there."""
        ends = {"subject": subject, "predicate": predicate, "object": object}
        if not self.ask(_LINKS, **ends)["links"]:
            self.ask(_LINK, input={"subjectId": subject, "predicate": predicate, "objectId": object})
