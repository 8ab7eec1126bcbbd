"""`ainerd replay`: runs that are in Tiled, analysed again."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli._shared import Config, Json, Tiled, bars, opened

if TYPE_CHECKING:
    from rich.progress import Progress
    from tiled.client.container import Container

    from ainerd.config import Settings
    from ainerd.documents import DetectorKeys
    from ainerd.results import ResultStore
    from ainerd.runs import Outcome
    from ainerd.technique import Technique


def replay(
    uids: Annotated[
        list[str] | None, typer.Argument(help="Runs, by uid. Default: all without a result.", show_default=False)
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Those whose analysis failed, too.")] = False,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEDULER", help="Dask cluster that does it: tcp://host:port; local: this machine's cores."
        ),
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Analyse runs that are in Tiled, as an instrument's settings say: one after the other, or on a Dask cluster.

    A result that is complete with these parameters stays as it is: after an interruption, the same command goes on.
    With other parameters (another --config, or the environment) a run gets another result beside the one it has.
    Nothing is suggested; at the end the results of these parameters get their regimes, in a new atlas.
    """
    from rich.console import Console

    from ainerd.agent import build_technique
    from ainerd.config import Settings
    from ainerd.documents import DetectorKeys
    from ainerd.results import ResultStore, digest
    from ainerd.server import open_catalog
    from ainerd.technique import Series

    if config is None:
        raise ValueError("how are the runs to be analysed? give --config with an instrument's .toml")
    settings = Settings.load(config)
    with opened(tiled, config) as client:
        raw, ainerd = open_catalog(client)
        store = ResultStore(ainerd)
        technique = build_technique(settings, store)
        if dask is not None and isinstance(technique.unit, Series):
            raise ValueError(f"a result of technique {technique.name!r} is of several runs: leave --dask out")
        waiting = _waiting(raw, store, technique, DetectorKeys(**settings.detector.model_dump()), uids, again=all)
        with bars(disable=json or not waiting) as progress:
            if dask is None:
                outcomes = _analysed(waiting, technique, store, settings, raw, progress)
            else:
                on = _dask()
                workplace = on.Workplace.of(
                    settings, client, technique, embedded=tiled is None and not settings.storage.uri
                )
                with on.cluster(dask) as workers:
                    outcomes = on.analysed(workers, waiting, workplace, store, progress)
        _label(ResultStore(ainerd, agent=settings.name, digest=digest(technique.parameters)), technique)
    complete = {_name(outcome): outcome.key for outcome in outcomes if outcome.status != "failed"}
    failed = {_name(outcome): outcome.reason for outcome in outcomes if outcome.status == "failed"}
    console = Console()
    if json:
        console.print_json(data={"complete": complete, "failed": failed}, indent=None)
        return
    for name, reason in failed.items():
        console.print(f"run {name} failed: {reason}", markup=False, highlight=False)
    console.print(f"{len(outcomes)} analysed: {len(complete)} complete, {len(failed)} failed")


def _name(outcome: "Outcome") -> str:
    """What it is of: a run by its uid, an event of one as ``uid/1``."""
    from ainerd.results import event_identity

    return outcome.raw_uid if outcome.event is None else event_identity(outcome.raw_uid, outcome.event)


def _waiting(
    raw: "Container",
    store: "ResultStore",
    technique: "Technique",
    keys: "DetectorKeys",
    uids: list[str] | None,
    *,
    again: bool,
) -> list[str]:
    """Uids of finished runs that lack a result of these parameters, the oldest first."""
    from tiled.queries import KeyPresent

    from ainerd.results import digest
    from ainerd.runs import is_analysed

    if uids:
        runs = [_run(raw, uid) for uid in uids]
    else:
        runs = raw.search(KeyPresent("stop.uid")).sort(("start.time", 1)).values().page_size(300)
    done = store.analysed(digest(technique.parameters), again=again or bool(uids))
    named = ((run.metadata["start"]["uid"], run) for run in runs)
    return [uid for uid, run in named if not is_analysed(technique, keys, run, done.get(uid, 0))]


def _run(raw: "Container", uid: str) -> "Container":
    try:
        run = raw[uid]
    except KeyError:
        raise ValueError(f"there is no run {uid} in {raw.uri}") from None
    if "stop" not in run.metadata:
        raise ValueError(f"run {uid} is not finished")
    return run


def _analysed(
    uids: list[str],
    technique: "Technique",
    store: "ResultStore",
    settings: "Settings",
    raw: "Container",
    progress: "Progress",
) -> list["Outcome"]:
    """What became of the runs."""
    from ainerd.cli._reanalysis import Reanalysis

    done, frames = progress.add_task("runs", total=len(uids)), progress.add_task("frames", total=None)
    unwritten = settings.storage.directory / "unwritten" / "results"
    outcomes: list[Outcome] = []
    with closing(Reanalysis(technique, store, settings, raw, unwritten)) as reanalysis:
        for uid in uids:
            outcomes += reanalysis(uid, lambda n, of: progress.update(frames, completed=n, total=of))
            progress.advance(done)
    return outcomes


def _dask() -> Any:
    try:
        from ainerd.cli import _replay_dask
    except ModuleNotFoundError as error:
        raise ValueError(f"--dask needs more than the agent: pip install 'ainerd[dask]' ({error})") from None
    return _replay_dask


def _label(store: "ResultStore", technique: "Technique") -> None:
    """Give the results of the agent's own store their regimes, if one has none; other results keep theirs."""
    from ainerd.results import AtlasRecord

    points = store.embeddings()
    known = store.table()["regime"].reindex(points.index)
    if not known.isna().any():
        return
    regimes = technique.regimes(points.to_numpy(), known.fillna(-1).to_numpy(int))
    labels = dict(zip(points.index, regimes.labels.tolist(), strict=True))
    store.add_atlas(AtlasRecord(n_regimes=regimes.n_regimes, supported_range=regimes.supported_range, labels=labels))
