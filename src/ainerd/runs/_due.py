"""Which runs in Tiled still want analysing."""

from tiled.client.container import Container

from ainerd.documents import DetectorKeys, FrameError, Run, RunReader
from ainerd.technique import Technique


def is_analysed(technique: Technique, keys: DetectorKeys, run: Container, n_results: int) -> bool:
    """Whether a run in Tiled has all its results, `n_results` of which are there.

    One whose unit is the event has as many as its detector took exposures: a scan that was aborted has fewer than its
    plan wanted, and one that goes on is not done.
    """
    if technique.unit != "event" or not n_results:
        return n_results > 0
    stop = run.metadata.get("stop")
    if not stop:
        return False
    n_read = (stop.get("num_events") or {}).get("primary", 0)
    return 0 < n_read <= n_results or _n_events(keys, run) <= n_results  # the first asks nothing of the server


def _n_events(keys: DetectorKeys, run: Container) -> int:
    """Exposures in a finished run."""
    found = Run(keys, ())
    for name, doc in RunReader().news(run):
        found(name, doc)
    found("stop", run.metadata["stop"])
    try:
        return found.n_events if found.has_frames else 0
    except FrameError:  # it has a failed result that says why
        return 1
