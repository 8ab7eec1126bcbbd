"""What an agent says of itself in Tiled, for the pages there and for plans elsewhere, and what it hears from them."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import numpy as np
from bluesky_adaptive.protocols import ID_KEY
from tiled.client.utils import ClientError

from ainerd.campaign import Campaign
from ainerd.results import AgentNode, ResultStore, digest, read_agent
from ainerd.server import warn_of_another, whereabouts
from ainerd.technique import Technique
from ainerd.views import principal_axes

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two looks at the run in progress
LISTEN_S = 1.0  # between two looks at the commands that wait
EVERY_S = 5.0  # an agent that was not heard of for three times as long is away
MOST_LANDMARKS = 400
GRID = 41  # points of the map along a side, at most
FEW = 5  # results, before which no axes are needed
FIRST = 30  # results after which axes without landmarks are drawn anew; then twice as many, and so on


class StateWriter:
    """Says every few seconds that an agent is there and what its worker does, and all of its state once it changed.

    Parameters
    ----------
    store : ResultStore
        The agent's own.
    technique : Technique
    campaign : Campaign
    about : mapping
        What does not change: units, and whether a person reviews suggestions.
    health : callable
        How the worker is, plain values.
    hear : callable
        Called in this thread when people ask for something that waits.
    show : callable
        Called in this thread every `LOOK_S`: takes a picture of the run in progress to pages, if they want one.
    """

    def __init__(
        self,
        store: ResultStore,
        technique: Technique,
        campaign: Campaign,
        *,
        about: Mapping[str, Any],
        health: Callable[[], Mapping[str, Any]],
        hear: Callable[[], None],
        show: Callable[[], None] = lambda: None,
    ) -> None:
        self.node = AgentNode(store.container, str(store.agent))
        self._store, self._technique, self._campaign, self._about = store, technique, campaign, dict(about)
        self._digest = digest(technique.parameters)
        self._health, self._hear, self._show = health, hear, show
        self._here = whereabouts()
        self._earlier: dict[str, Any] = {}  # what was said before us
        self._axes: dict[str, Any] | None = None
        self._next_axes = 0
        self._is_new, self._ends = True, False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ainerd-state", daemon=True)

    def start(self) -> None:
        """Say it from now on."""
        self._thread.start()

    def changed(self) -> None:
        """Have all of the state said soon."""
        self._is_new = True
        self._wake.set()

    def close(self) -> None:
        """Say that the agent has gone, if Tiled answers soon."""
        self._ends = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(EVERY_S)

    def state(self) -> dict[str, Any]:
        """Everything, as plain values."""
        campaign = self._campaign
        regimes = campaign.regimes
        ready = campaign.ready
        return {
            **self._about,
            "at": self._here,
            "technique": self._technique.name,
            "digest": self._digest,
            "alpha": self._technique.alpha,
            "bounds": {name: list(limits) for name, limits in campaign.bounds.items()},
            "excluded": [{name: list(limits) for name, limits in box.items()} for box in campaign.excluded],
            "belief": self._belief(),
            "latent": self._latent(),
            "regimes": {"n": regimes.n_regimes, "supported": list(regimes.supported_range)} if regimes else {},
            "names": {str(regime): name for regime, name in campaign.regime_names.items()},
            "novelty": {
                "bound": campaign.bound,
                "discoveries": {str(regime): p for regime, p in campaign.discoveries.items()},
            },
            "held": campaign.held,
            "next": None if ready is None else ready[ID_KEY],
            "taken": campaign.taken,
            "explored": campaign.should_stop()[1],
            "health": self._how_it_is(),
        }

    def _work(self) -> None:
        self._look()
        said = listened = -EVERY_S
        while not self._ends:
            self._wake.clear()
            if self._is_new or time.monotonic() - said >= EVERY_S:
                said = time.monotonic()
                self._say(self.state if self._is_new else None)
            if not self._store.seems_away:
                self._show()
                if time.monotonic() - listened >= LISTEN_S:
                    listened = time.monotonic()
                    self._hear()
            self._wake.wait(LOOK_S)
        self._show()
        self._say(None, closed=True)

    def _look(self) -> None:
        """Read what was said before; another agent of this name may be saying it from another machine."""
        try:
            self._earlier = read_agent(self._store.container, str(self._store.agent))
            health = self._earlier.get("health", {})
            if isinstance(at := self._earlier.get("at"), dict):
                warn_of_another(str(self._store.agent), at, health["heard"], health["closed"])
        except (ClientError, httpx.HTTPError, RuntimeError, KeyError, TypeError) as error:
            logger.debug("what agents said before is not known: %s: %s", type(error).__name__, error)

    def _say(self, state: Callable[[], dict[str, Any]] | None, closed: bool = False) -> None:
        if self._store.seems_away:
            return
        try:
            if state is not None:
                self._is_new = False
                self.node.say(state())
            else:
                self.node.say_more({"health": {**self._how_it_is(), "closed": closed}})
        except (ClientError, httpx.HTTPError, RuntimeError, KeyError) as error:  # a closed client is a RuntimeError
            self._is_new = True
            logger.debug("the agent's state is not written: %s: %s", type(error).__name__, error)
        except Exception:  # a page without it is no reason to stop
            logger.exception("the agent's state is not written")

    def _how_it_is(self) -> dict[str, Any]:
        drift = self._campaign.drift
        numbers = ("capital", "largest", "level", "n", "verdict")
        about = {name: getattr(drift, name) for name in numbers if hasattr(drift, name)} if drift else None
        return {"every_s": EVERY_S, "heard": time.time(), "closed": False, "drift": about, **self._health()}

    def _belief(self) -> dict[str, Any] | None:
        """Which regime is believed to be where, on a grid that is no finer than a page needs; of two motors at most."""
        try:
            found = self._campaign.map()
        except ValueError:
            return None
        if found is None or found.regime.ndim > 2:
            return None
        steps = tuple(slice(None, None, max(1, -(-n // GRID))) for n in found.regime.shape)
        axes = [np.round(values[step], 6) for values, step in zip(found.axes.values(), reversed(steps), strict=True)]
        regime, confidence, unexplored = (
            np.atleast_2d(a[steps]) for a in (found.regime, found.confidence, found.unexplored)
        )
        return {
            "version": time.time_ns(),
            "x": axes[0].tolist(),
            "y": axes[1].tolist() if len(axes) > 1 else [0.0],
            "regime": regime.tolist(),
            "confidence": np.round(confidence, 2).tolist(),
            "unexplored": np.round(unexplored, 2).tolist(),
        }

    def _latent(self) -> dict[str, Any] | None:
        """Axes in which points of the latent space are drawn: they stay, so that a picture does not turn.

        Landmarks may take seconds to make, so that they wait until there is something to draw among them.
        """
        if self._axes is None:
            earlier = self._earlier.pop("latent", None)
            if isinstance(earlier, dict) and (earlier.get("of"), earlier.get("digest")) == ("landmarks", self._digest):
                self._axes, self._next_axes = earlier, -1
        if self._axes is None and self._campaign.n_results < FEW:
            return None
        if self._axes is None and (landmarks := self._technique.landmarks()) is not None:
            known = np.asarray(landmarks.embeddings, float)
            if len(known) > 1:
                middle, directions, share = principal_axes(known)
                some = slice(None, None, max(1, -(-len(known) // MOST_LANDMARKS)))
                placed = np.round((known[some] - middle) @ directions.T, 4)
                named = {"u": placed[:, 0].tolist(), "v": placed[:, 1].tolist(), "name": list(landmarks.names)[some]}
                self._axes = _axes(middle, directions, share, "landmarks", self._digest, named)
                self._next_axes = -1
        if 0 <= self._next_axes < self._campaign.n_results:
            points = self._store.embeddings().to_numpy(float)
            if len(points) > 1:
                middle, directions, share = principal_axes(points)
                self._axes = _axes(middle, directions, share, "results", self._digest, None)
                self._next_axes = max(2 * len(points), FIRST)
        return self._axes


def _axes(middle: Any, directions: Any, share: Any, of: str, digest: str | None, landmarks: Any) -> dict[str, Any]:
    return {
        "version": f"{of}-{time.time_ns()}", "of": of, "digest": digest, "middle": np.round(middle, 6).tolist(),
        "directions": np.round(directions, 6).tolist(), "share": np.round(share, 4).tolist(), "landmarks": landmarks,
    }  # fmt: skip
