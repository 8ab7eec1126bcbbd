"""A summary in sentences of how the results of a campaign compare with the hidden sample."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from ainerd.agent import Agent
from sim_devices import SimulatedInstrument


def summary(agent: Agent, table: pd.DataFrame, instrument: SimulatedInstrument) -> str:
    """Return which regimes exist, which were measured, separated, or missed, and which exposures were falsely novel.

    Parameters
    ----------
    agent : Agent
    table : DataFrame
        Its results, a row an exposure.
    instrument : SimulatedInstrument
        It knows the truth.
    """
    sample, number = instrument.sample, pd.Series(range(1, len(table) + 1), table.index)
    found = table[table["status"] == "complete"]
    truth = pd.Series(
        [instrument.truth(x, y) for x, y in zip(found["sample_x"], found["sample_y"], strict=True)], found.index, object
    )
    met = [name for name in sample.regions if truth.eq(name).any()]
    missing = [name for name in sample.regions if name not in met]
    status = agent.status()
    low, high = status["supported_range"]
    agreement = adjusted_rand_score(truth, found["regime"])
    before = (
        f"Nobody has seen {listed(sorted(sample.unknown))} before." if sample.unknown else "All are of known kinds."
    )
    lines = [
        f"There were {len(sample.regions)} regimes: {listed(sample.regions)}. {before}",
        f"{len(found)} of {len(table)} exposures have a complete result. They met {len(met)} of the regimes"
        + (f", and not {listed(missing)}." if missing else "."),
        f"The agent tells {status['regimes']} regimes apart ({low} to {high} supported); agreement with the truth it "
        f"could not see: adjusted Rand index {agreement:.2f}.",
        *apart(truth, found["regime"]),
        *novelty(truth, number[found.index], found, sample.unknown, agent.technique.alpha),
    ]
    crossed = pd.crosstab(found["regime"].rename("regime"), truth.rename("truth"))
    return "\n".join(lines) + f"\n\n{crossed.to_string()}"


def apart(truth: pd.Series, regime: pd.Series) -> list[str]:
    """Return which regimes were taken for one, and which were split."""
    lines = []
    for _, members in truth.groupby(regime.where(regime >= 0)):
        if members.nunique() > 1:
            lines.append(f"Taken for one: {listed(sorted(members.unique()))}.")
    split = [name for name, given in regime[regime >= 0].groupby(truth) if given.nunique() > 1]
    return [*lines, *([f"Split into several: {listed(split)}."] if split else [])]


def novelty(
    truth: pd.Series, number: pd.Series, found: pd.DataFrame, unknown: Iterable[str], alpha: float
) -> list[str]:
    """Return which exposures were called novel, of unknown and of known regimes.

    Parameters
    ----------
    truth : Series of str
        Regimes of the complete exposures in `found`.
    number : Series of int
        Their numbers on the path.
    found : DataFrame
    unknown : iterable of str
        Names of regimes.
    alpha : float
        Level at which exposures are called novel.
    """
    called, judged = found["novel"].eq(True), found["novelty_p"].notna()
    lines = []
    for name in sorted(unknown):
        mine = truth.eq(name)
        right = number[mine & called]
        if not mine.any():
            lines.append(f"{name} was never hit.")
        elif right.empty:
            lines.append(f"{name} was hit {times(mine.sum())}, and missed: no exposure of it was called novel.")
        else:
            first = right.iloc[0]
            lines.append(
                f"{name} was hit {times(mine.sum())}, and called novel {times(right.size)}, first in exposure {first}."
            )
    known = ~truth.isin(set(unknown))
    wrong, n = number[known & called], int((known & judged).sum())
    which = f" ({', '.join(f'{i}, {truth[row]}' for row, i in wrong.items())})" if wrong.size else ""
    lines.append(
        f"Of {n} exposures of known kinds with a p-value, {wrong.size} called novel{which}; "
        f"{alpha * n:.1f} expected by chance at {alpha:g}."
    )
    if silent := int((~judged).sum()):
        lines.append(f"{silent} without a p-value.")
    return lines


def listed(names: Iterable[str]) -> str:
    """Return names joined with commas and an "and"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def times(n: int) -> str:
    """Return a number of times in words."""
    return {1: "once", 2: "twice"}.get(int(n), f"{n} times")


def truth_map(instrument: SimulatedInstrument, n: int = 200) -> np.ndarray:
    """Return the index of the true regime over the sample, (n, n)."""
    return np.unique(instrument.sample.regime_map(n), return_inverse=True)[1].reshape(n, n)
