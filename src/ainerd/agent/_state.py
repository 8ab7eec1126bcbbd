"""The state of an agent, for pages and other processes."""

import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.agent._analysis import AnalysisThread
from ainerd.agent._commands import CommandReader
from ainerd.campaign import READS, Campaign, sentences
from ainerd.config import Settings
from ainerd.jobs import Jobs, activity
from ainerd.processes import whereabouts
from ainerd.results import AgentNode, Metadata, ResultStore, TiledError, digest, where_it_steers
from ainerd.technique import Technique
from ainerd.views import kinds_of, principal_axes
from ainerd.words import scan_text

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two pictures sent
EVERY_S = 5.0  # between two signs of life
SOON_S = 1.0  # between two looks at commands, while a person may wait
IDLE_S = 0.5  # longest wait for a thread that is to give the whole state
MOST_LANDMARKS = 400
GRID = 41  # most points of the map along a side
FEW = 5  # with fewer results, axes are not needed
FIRST = 30  # number of results at which axes without landmarks are computed again; then at twice as many, and so on


class StateWriter:
    """Writes the state of an agent to Tiled, in a thread.

    It writes a sign of life every few seconds, and the whole state after a change, once the campaign has nothing to do.
    A session that does not steer writes nothing, and reads what the one that steers does.

    Parameters
    ----------
    store : ResultStore
        Store of the agent.
    technique : Technique
    campaign : Campaign
    analysis : AnalysisThread
    settings : Settings

    Attributes
    ----------
    commands : CommandReader
    waits : str or None
        Reason why a plan waits.
    """

    def __init__(
        self, store: ResultStore, technique: Technique, campaign: Campaign, analysis: AnalysisThread, settings: Settings
    ) -> None:
        self._node = AgentNode(store.container, str(store.agent))
        self.commands = CommandReader(store, self._node, campaign, self.changed)
        self.waits: str | None = None
        self._store, self._technique, self._campaign, self._analysis = store, technique, campaign, analysis
        review = settings.steering.review
        self._fixed = {"units": settings.units, "review": review, "alpha": technique.alpha}
        self._at = {**whereabouts(), "session": campaign.rules.session}
        self._digest = digest(analysis.writer.parameters)
        self._axes: dict[str, object] | None = None
        self._next_axes: float = FEW
        self._known_kinds: tuple[object, dict[str, str]] = None, {}  # for which regimes, and kinds
        self._is_new, self._ends = True, False
        self._steered = False  # whether this session has steered until now
        self._shown: object = None  # state of the campaign that is written
        self._counters: dict[str, int] = {}  # as they are written; with the number of whole states
        self._n_states = 0
        self._belief: tuple[dict[str, object], NDArray[np.float32]] | None = None  # axes and values of the map in Tiled
        self._written = self._asked = -math.inf  # when the last sign of life was written, and commands were asked for
        self._jobs = Jobs("ainerd-state", LOOK_S)

    def start(self) -> None:
        """Start the threads."""
        self.commands.start()
        self._jobs.when_idle(self._look)
        self._jobs.submit(self._look)
        self._jobs.start()

    def changed(self, *_: object) -> None:
        """Request that the whole state is written soon, because of a result, a command or a plan that waits."""
        self._is_new = True
        self._jobs.submit(self._look)
        self.commands.wake()

    def begin(self) -> None:
        """Steer, unless another session does. Called once, before `start`."""
        try:
            self.take_over()
        except RuntimeError as error:
            logger.warning("%s: %s", error, READS)

    def take_over(self) -> None:
        """Steer from now on; see `Campaign.take_over`. Raises RuntimeError while another session steers."""
        if (other := where_it_steers(self._read() or {})) is not None:
            raise RuntimeError(self.steered_by(other))
        self._node.open()
        self._campaign.take_over()
        self._steered = True
        self._write()  # so that the next session knows; the whole state follows
        self._campaign.tiled.write(self.commands.look, first=True)

    def steered_by(self, other: str | None = None) -> str:
        """Return who steers and since when, in a sentence."""
        other = other or where_it_steers(self._read() or {})
        return f"{self._store.agent} is steered by {'nobody' if other is None else f'another session{other}'}"

    def close(self) -> None:
        """Write the state, if it is new, and that the agent has ended, if Tiled answers soon."""
        self._ends = True
        self._jobs.when_idle(None)
        self._jobs.submit(lambda: self._write(everything=self._is_new, closed=True))
        self.commands.close()
        self._jobs.close(EVERY_S)

    def state(self) -> Metadata:
        """Return the whole state as plain values."""
        state, drawn = self._campaign.own.ask(lambda: (self._of_campaign(), self._map()))
        shown = {"belief": self._write_map(drawn), "latent": self._latent(), "health": self._health()}
        return {**state, **shown, "kinds": self._kinds(state)}

    def _kinds(self, state: Metadata) -> dict[str, str]:
        """Return what the exposures of each regime do, computed anew if regimes change or results double."""
        groups, new = state["regimes"].get("components", []), [*map(int, state["novelty"]["discoveries"])]
        version = groups, new, self._n_results.bit_length()
        if (self._axes or {}).get("landmarks") and self._known_kinds[0] != version:
            kinds = kinds_of(self._store, new, groups)
            self._known_kinds = version, {str(regime): kind for regime, kind in kinds.items()}
        return self._known_kinds[1]

    def _of_campaign(self) -> dict[str, object]:
        campaign = self._campaign
        state, claims, window = campaign.state, campaign.claims, campaign.state.window
        return {
            **self._fixed,
            "at": self._at,
            "technique": self._technique.name,
            "digest": self._digest,
            "bounds": {name: list(limits) for name, limits in window.bounds.items()},
            "excluded": [{name: list(limits) for name, limits in box.items()} for box in window.excluded],
            "regimes": self._regimes(),
            "names": {str(regime): name for regime, name in state.names.items()},
            "novelty": {
                "bound": claims.bound,
                "discoveries": {str(k): p for k, p in claims.discoveries.items()},
                "alarm": claims.alarm,
                "own_level": campaign.exposures.own_level,
            },
            "held": self._hold(),
            "undo": state.decisions[-1].model_dump(include={"id", "text"}) if state.decisions else None,
            "queue": [each.id for each in state.waiting],
            "measuring": state.measuring,
            "taken": state.taken(review=campaign.rules.review),
            "explored": campaign.should_stop()[1],
        }

    def _regimes(self) -> dict[str, Any]:
        """Return the number of regimes, the groups without a gap between them, and sentences about them."""
        atlas = self._campaign.atlas
        if atlas.regimes is None:
            return {}
        return {
            "n": atlas.regimes.n_regimes,
            "supported": list(atlas.regimes.supported_range),
            "components": [list(group) for group in atlas.components.groups],
            "sentences": sentences(atlas.components, self._campaign.state.names),
        }

    def _look(self) -> None:
        """Write the state if it is new or a sign of life is due, and send the picture of the run in progress."""
        if self._ends:
            return
        now = time.monotonic()
        is_due = now - self._written >= EVERY_S
        if is_due:
            self._look_at_others()
        if is_due or (now - self._asked >= SOON_S and self.commands.must_look(self.waits is not None)):
            self._asked = now
            self._campaign.tiled.write(self.commands.look, first=True)
        if not self._campaign.steers:
            self._written = now if is_due else self._written
            return
        if self._shown is not self._campaign.state:
            self._shown, self._is_new = self._campaign.state, True
        is_new = self._is_new or self._counters != self._counted()
        if is_due or (is_new and not (self._campaign.own.backlog or self._campaign.tiled.backlog)):
            self._written = now
            is_idle = self._campaign.own.drain(IDLE_S) and self._campaign.tiled.drain(IDLE_S)
            self._write(everything=self._is_new and is_idle)  # a busy agent gives a sign of life
            self._campaign.tiled.submit(self._campaign.look_elsewhere)
        if not self._store.seems_away:
            self._analysis.live.send()

    def _look_at_others(self) -> None:
        """Notice that another session has taken over, or read what it does."""
        try:
            if not self._store.seems_away:
                self._campaign.look()
        except TiledError as error:
            logger.debug("other sessions are not read: %s: %s", type(error).__name__, error)
        if self._steered and not self._campaign.steers:
            self._steered = False
            logger.warning("%s: %s", self.steered_by(), READS)

    def _read(self) -> Metadata | None:
        """Read the state in Tiled; None if Tiled does not answer."""
        try:
            return self._node.state()
        except TiledError as error:
            logger.debug("the state of earlier sessions is unknown: %s: %s", type(error).__name__, error)
            return None

    def _write(self, *, everything: bool = False, closed: bool = False) -> None:
        if self._store.seems_away or not self._campaign.steers:
            return
        try:
            counters = self._counters = self._counted(new=everything)
            if everything:
                self._is_new = False
                state = {**self.state(), "counters": counters}
                health = {**state["health"], "closed": closed}
                # one thread writes all values of the state, because a hold may have come meanwhile
                self._campaign.tiled.ask(
                    lambda: self._node.write_state({**state, "health": health, "held": self._hold()})
                )
            else:
                health = {**self._health(), "closed": closed}
                self._node.update_state({"at": self._at, "counters": counters, "health": health})
        except TiledError as error:
            self._is_new = True
            logger.debug("the agent's state is not written: %s: %s", type(error).__name__, error)

    def _hold(self) -> dict[str, object] | None:
        held = self._campaign.state.held
        return None if held is None else held.model_dump()

    @property
    def _n_results(self) -> int:
        return self._campaign.own.ask(lambda: int(self._campaign.exposures.used.sum()))

    def _health(self) -> dict[str, object]:
        """Return the sign of life: the worker and the run in progress."""
        worker, current = self._analysis.worker.health(), self._analysis.worker.current
        in_progress = None
        if current is not None and (progress := current.progress) is not None:
            start = current.run.start_doc
            scan = scan_text(start)
            uid, live = str(start["uid"]), self._analysis.live
            in_progress = {
                "uid": uid, "scan": scan, "read": progress[0], "of": progress[1],
                "frame_time_s": current.run.described.frame_time_s, "picture": live.shown == uid,
            }  # fmt: skip
        return {
            "every_s": EVERY_S,
            "heard": time.time(),
            "closed": False,
            "worker": worker["worker"],
            "backlog": worker["backlog"],
            "lag_s": worker["lag_s"],
            "run": in_progress,
            "waits": self.waits,
            "busy": activity(),
        }

    def _counted(self, *, new: bool = False) -> dict[str, int]:
        """Return integers that grow when something is written, so that a page reads only what has changed.

        ``state`` is the number of whole states, of which this may be a `new` one. A state follows each command.
        """
        self._n_states += new
        return {**self._store.counters, "state": self._n_states}

    def _map(self) -> tuple[dict[str, object], NDArray[np.float32]] | None:
        """Return the map of regimes with at most `GRID` points along a side; None for more than two actuators.

        It is an array (regime, confidence and unexplored; y; x), and its axes.
        """
        try:
            belief = self._campaign.map()
        except ValueError:
            return None
        if belief is None or belief.regime.ndim > 2:
            return None
        steps = tuple(slice(None, None, max(1, -(-n // GRID))) for n in belief.regime.shape)
        axes = [np.round(values[step], 6) for values, step in zip(belief.axes.values(), reversed(steps), strict=True)]
        parts = [np.atleast_2d(a[steps]) for a in (belief.regime, belief.confidence, belief.unexplored)]
        y = axes[1].tolist() if len(axes) > 1 else [0.0]
        return {"x": axes[0].tolist(), "y": y}, np.array(parts, np.float32)

    def _write_map(self, drawn: tuple[dict[str, object], NDArray[np.float32]] | None) -> dict[str, object] | None:
        """Write the map, if it has changed, and return its axes and its version."""
        if drawn is None:
            return None
        axes, values = drawn
        if self._belief is None or not np.array_equal(self._belief[1], values):
            self._node.write_array("belief", values)
            self._belief = {**axes, "version": time.time_ns()}, values
        return self._belief[0]

    def _latent(self) -> dict[str, object] | None:
        """Return the axes for drawing the latent space. They change rarely, so that the picture does not turn.

        Landmarks may take seconds to compute. So they are computed only after the first results.
        """
        n = self._n_results
        if n < self._next_axes:
            return self._axes
        try:
            landmarks = self._technique.landmarks()
        except Exception:  # a technique may be anybody's code
            logger.exception("the landmarks of technique %r are not shown", self._technique.name)
            landmarks = None
        if landmarks is not None and len(landmarks.embeddings) > 1:
            self._axes, self._next_axes = self._axes_of("landmarks", landmarks.embeddings, landmarks.names), math.inf
        elif len(points := self._store.embeddings().to_numpy(float)) > 1:
            self._axes, self._next_axes = self._axes_of("results", points), max(2 * len(points), FIRST)
        return self._axes

    def _axes_of(self, of: str, points: NDArray[Any], names: Sequence[str] | None = None) -> dict[str, object]:
        """Return the principal axes of points, (n, d), and the places of `MOST_LANDMARKS` named ones on them."""
        middle, directions, share = principal_axes(points := np.asarray(points, float))
        landmarks = None
        if names is not None:
            some = slice(None, None, max(1, -(-len(points) // MOST_LANDMARKS)))
            placed = np.round((points[some] - middle) @ directions.T, 4)
            landmarks = {"u": placed[:, 0].tolist(), "v": placed[:, 1].tolist(), "name": list(names)[some]}
        return {
            "version": f"{of}-{time.time_ns()}", "of": of, "digest": self._digest,
            "middle": np.round(middle, 6).tolist(), "directions": np.round(directions, 6).tolist(),
            "share": np.round(share, 4).tolist(), "landmarks": landmarks,
        }  # fmt: skip
