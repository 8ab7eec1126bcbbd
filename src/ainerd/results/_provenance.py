"""Links of W3C PROV from results to runs, in the graph that a Tiled server may keep."""

from collections.abc import Iterable
from typing import Any

import httpx
from tiled.client.container import Container

from ainerd.results._nodes import read_named

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
    "query(%s) {%s}",
    "$s{0}: ID, $o{0}: ID, $p{0}: String",
    "e{0}: links(subjectId: $s{0}, objectId: $o{0}, predicate: $p{0}, limit: 1, offset: 0) {{id}}",
)
_LINK = "mutation(%s) {%s}", "$i{0}: CreateLinkInput!", "e{0}: createLink(input: $i{0}) {{id}}"
_ENDS = {"subjectId": "s", "predicate": "p", "objectId": "o"}


def link_provenance(ainerd: Container, *keys: str) -> bool:
    """Say in the server's graph that results were derived from their runs, and which results they supersede.

    The same is in the metadata; the graph is for tools that read graphs. Linked twice is linked once. `ainerd` is
    ``client["ainerd"]``. Many at once take as many requests as one. False where the server keeps no graph, refuses, or
    does not know one of the runs: nothing is raised, and the others are linked.

    Raises
    ------
    httpx.TransportError
        If the server is away; they can be linked later.
    """
    here = [part for part in ainerd.path_parts if part]
    try:
        said = dict(read_named(ainerd["results"], keys))
        links: list[tuple[list[str], str, list[str]]] = []
        for key in keys:
            result = [*here, "results", key]
            links.append((result, _DERIVED, [*here[:-1], *said[key]["raw_path"].split("/")]))
            if "supersedes" in said[key]:
                links.append((result, _REPLACES, [*here, "results", said[key]["supersedes"]]))
        _Graph(ainerd).link(links)
    except httpx.TransportError:
        raise
    except (httpx.HTTPError, KeyError, ValueError) as error:
        has_none = isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.NOT_FOUND
        if has_none or len(keys) < 2:
            return False
        linked = [link_provenance(ainerd, key) for key in keys]
        return all(linked)
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

    def entities(self, paths: list[list[str]]) -> tuple[list[str], set[str]]:
        """Ids of the entities of nodes, made where there is none, and which of them were made.

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
        return [ids[i] for i in range(len(paths))], {ids[i] for i in missing}

    def link(self, links: list[tuple[list[str], str, list[str]]]) -> None:
        """Make links between nodes, (subject, predicate, object) by their paths, but for those that are there."""
        paths = list({"/".join(path): path for subject, _, object in links for path in (subject, object)}.values())
        ids, is_new = self.entities(paths)
        by_path = {"/".join(path): id for path, id in zip(paths, ids, strict=True)}
        ends = [
            {"subjectId": by_path["/".join(subject)], "predicate": predicate, "objectId": by_path["/".join(object)]}
            for subject, predicate, object in links
        ]
        old = [i for i, end in enumerate(ends) if end["subjectId"] not in is_new]
        if old:
            asked = self.ask(_each(_LINKS, old), **{f"{x}{i}": ends[i][name] for i in old for name, x in _ENDS.items()})
            old = [i for i in old if asked[f"e{i}"]]
        if missing := [i for i in range(len(ends)) if i not in old]:
            self.ask(_each(_LINK, missing), **{f"i{i}": ends[i] for i in missing})


def _each(request: tuple[str, str, str], numbers: Iterable[int]) -> str:
    """One request for several: frame, what it is given of each, and what is asked of each."""
    frame, given, asked = request
    return frame % (", ".join(given.format(i) for i in numbers), " ".join(asked.format(i) for i in numbers))
