"""`ainerd replay`: runs that are in Tiled, analysed again."""

from collections.abc import Mapping
from concurrent.futures import wait
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli._catalog import Config, Json, Tiled, opened

if TYPE_CHECKING:
    from tiled.client.container import Container

    from ainerd.config import Settings
    from ainerd.results import ResultStore
    from ainerd.technique import Technique
    from ainerd.watch import Outcome

POLL_S = 0.1


def replay(
    uids: Annotated[
        list[str] | None, typer.Argument(help="Runs, by uid. Default: all without a result.", show_default=False)
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Those whose analysis failed, too.")] = False,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Analyse runs that are in Tiled, one after the other, as an instrument's settings say.

    A result that is complete with these parameters stays as it is: after an interruption, the same command goes on.
    With other parameters (another --config, or the environment) a run gets another result beside the one it has.
    Nothing is suggested; at the end the results of these parameters get their regimes, in a new atlas.
    """
    from rich.console import Console

    from ainerd.config import Settings
    from ainerd.instrument import build_technique
    from ainerd.results import ResultStore, link_provenance
    from ainerd.server import open_catalog

    if config is None:
        raise ValueError("how are the runs to be analysed? give --config with an instrument's .toml")
    settings = Settings.load(config)
    with opened(tiled, config) as client:
        raw, ainerd = open_catalog(client)
        store = ResultStore(ainerd)
        technique = build_technique(settings, store)
        runs = _waiting(raw, store, technique, settings.detector.image, uids, again=all)
        outcomes = _analysed(runs, technique, store, settings, quiet=json)
        _label(store, technique)
        complete = {outcome.raw_uid: outcome.key for outcome in outcomes if outcome.status == "complete"}
        for key in complete.values():
            link_provenance(ainerd, key)
    failed = {outcome.raw_uid: outcome.reason for outcome in outcomes if outcome.status == "failed"}
    console = Console()
    if json:
        console.print_json(data={"complete": complete, "failed": failed}, indent=None)
        return
    for uid, reason in failed.items():
        console.print(f"run {uid} failed: {reason}", markup=False, highlight=False)
    console.print(f"{len(outcomes)} analysed: {len(complete)} complete, {len(failed)} failed")


def _waiting(
    raw: "Container", store: "ResultStore", technique: "Technique", image: str, uids: list[str] | None, *, again: bool
) -> list["Container"]:
    """Finished runs with frames that have no result of these parameters yet, the oldest first."""
    from tiled.queries import KeyPresent

    from ainerd.results import result_key

    if uids:
        runs = [_run(raw, uid) for uid in uids]
    else:
        runs = raw.search(KeyPresent("stop.uid")).sort(("start.time", 1)).values().page_size(300)
    status = store.table()["status"]
    done = {"complete"} if again or uids else {"complete", "failed"}

    def waits(run: "Container") -> bool:
        key = result_key(run.metadata["start"]["uid"], technique.parameters)
        return status.get(key) not in done and any(image in run[name].metadata["data_keys"] for name in run)

    return [run for run in runs if waits(run)]


def _run(raw: "Container", uid: str) -> "Container":
    try:
        run = raw[uid]
    except KeyError:
        raise ValueError(f"there is no run {uid} in {raw.uri}") from None
    if "stop" not in run.metadata:
        raise ValueError(f"run {uid} is not finished")
    return run


def _analysed(
    runs: list["Container"], technique: "Technique", store: "ResultStore", settings: "Settings", *, quiet: bool
) -> list["Outcome"]:
    """What became of each run."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ainerd.documents import DetectorKeys, documents_of
    from ainerd.watch import Wanted, Watch

    beside = settings.beside
    watch = Watch(
        technique,
        store,
        keys=DetectorKeys(**settings.detector.model_dump()),
        wanted=Wanted(positions=tuple(settings.steering.bounds), **beside.model_dump()),
        roots=settings.storage.frames,
        listener=_Nobody(),
        agent=settings.name,
        unwritten=settings.storage.directory / "unwritten" / "results",
    )
    outcomes = []
    columns = TextColumn("{task.description:>6}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        with Progress(*columns, disable=quiet or not runs) as bars:
            done, frames = bars.add_task("runs", total=len(runs)), bars.add_task("frames", total=None)
            for run in runs:
                for name, doc in list(documents_of(run)):  # all, so that an interruption finds a whole run
                    watch(name, doc)
                future = watch.outcome(run.metadata["start"]["uid"])
                while not future.done():
                    read, announced = watch.progress or (0, None)
                    bars.update(frames, completed=read, total=announced)
                    wait([future], POLL_S)
                outcome = future.result()
                outcomes += [] if outcome is None else [outcome]
                bars.advance(done)
    finally:
        watch.close()  # a run that is begun is ended, even if a person has had enough
    return outcomes


class _Nobody:
    """Who listens: no campaign, so that nothing is suggested."""

    def place(self, outcome: "Outcome") -> Mapping[str, Any]:
        return {}

    def absorb(self, outcome: "Outcome") -> None:
        pass


def _label(store: "ResultStore", technique: "Technique") -> None:
    """Give the results of these parameters their regimes, if one has none; other results keep theirs."""
    from ainerd.results import AtlasRecord, digest

    points = store.embeddings(digest(technique.parameters))
    known = store.table()["regime"].reindex(points.index)
    if not known.isna().any():
        return
    regimes = technique.regimes(points.to_numpy(), known.fillna(-1).to_numpy(int))
    labels = dict(store.current_labels()) | dict(zip(points.index, regimes.labels.tolist(), strict=True))
    store.add_atlas(AtlasRecord(n_regimes=regimes.n_regimes, supported_range=regimes.supported_range, labels=labels))
