"""Exposures and beam time that the agent's policy and others need to see every regime, and what each term of it saves.

Hidden samples come from nine generators of the kinds that the explorer's prior holds, and from six of other kinds, at
three levels of noise, a third of them drifting; the rarest regime covers 1 to 10 % of the area, and on every second
sample the bank does not hold it. Every strategy starts at the same position, and meets the same noise and the same luck
of p-values. Regimes with less area than a disc of the radius `smallest_feature` do not count. One that is not seen
within 80 exposures counts as 100. Sobol's sequence is the mean of 16 scrambles. The policy was tuned on samples of
other seeds. Intervals are 95 %, from a bootstrap over samples, paired. An interrupted study continues where it stopped,
unless the policy or the study was changed.
"""

from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import chi2

import ainerd.knobs
import ainerd.steering
from ainerd.novelty import find_regimes
from studies import _ablation as terms
from studies import _hidden_maps as square
from studies import _rivals as peers
from studies import _stopping as ends
from studies._hidden_maps import OURS, HiddenMap
from studies._tools import Case, Row, Study, digest_of, report, resumed
from tests import random_campaigns
from tests.explorer import Explorer

TEST_SEED = 2026  # seeds below 100 are for tuning

study = Study(__doc__)


@study.part
def ablation(each: int = 500, seed: int = TEST_SEED, workers: int = 1) -> None:
    """Add each term of the policy to bare coverage, and leave it out of the whole, on `each` maps of every kind."""
    sources = Path(ainerd.steering.__file__).parent, Path(square.__file__), Path(terms.__file__)
    run = {"run": digest_of(*sources), "seed": seed}
    rows = resumed("ablation", run, terms.cases(each), partial(terms.on_map, seed), workers)
    report("discovery_ablation_by_kind", terms.by_kind(rows), each=each, seed=seed)
    report("discovery_ablation_agent", terms.as_agent(rows), least={"same": 0.8}, each=each, seed=seed)
    policies = list(terms.table(rows))
    report("discovery_ablation", policies, each=each, seed=seed)
    whole, bar = [row for row in policies if row["policy"] == "whole"], {"exposures": 0.9, "beam time": 0.7}
    report("discovery_ablation_whole", whole, most=bar, each=each, seed=seed)


@study.part
def rivals(maps: int = 60, others: int = 40, seed: int = TEST_SEED, workers: int = 1) -> None:
    """Score gpCAM and blop beside ours and Sobol's sequence; they need ``pip install 'ainerd[optimizers]'``."""
    sources = Path(ainerd.steering.__file__).parent, Path(square.__file__), Path(peers.__file__), *peers.SOURCES
    run = {"run": digest_of(*sources), "seed": seed}
    kinds = {"map": maps, "other": others}
    for name in peers.RIVALS:
        cases = [(kind, i) for kind, n in kinds.items() for i in range(n)]
        measure = partial(beside_rival, name, seed)
        rows = resumed(f"rivals_{name.partition(' ')[0]}", run, cases, measure, workers)
        bar = {"ours / its, beam time": 1.1}
        report(f"discovery_{name.partition(' ')[0]}", peers.compared(rows, name), most=bar, **kinds, seed=seed)


def beside_rival(name: str, seed: int, case: Case) -> Row:
    """Return the scores of ours, of Sobol's sequence and of a rival on one sample."""
    kind, i = case
    hidden = square.hidden_map(i, seed, others=kind == "other")
    ways = {OURS: peers.way_of(explorer_of(hidden), hidden), name: peers.way_of(peers.rival(name), hidden)}
    scores = {each: peers.score(hidden, way) for each, way in ways.items()}
    sobol = [peers.score(hidden, way) for way in square.sequences(hidden.start)]
    mean = {what: float(np.mean([each[what] for each in sobol])) for what in sobol[0]}
    return {"group": kind, "scores": scores | {"Sobol": mean}}


@study.part
def stopping(each: int = 6, seed: int = TEST_SEED, workers: int = 1) -> None:
    """Draw regions anywhere when the agent proposes to stop, and count those that it missed."""
    run = {"run": digest_of(Path(ainerd.steering.__file__).parent, Path(ends.__file__)), "seed": seed}
    rows = resumed("stopping", run, ends.cases(each), partial(ends.campaign, seed), workers)
    report("discovery_stopping", ends.honest(rows), most={"missed, mean": 0.05, "larger than is said": 0}, seed=seed)


@study.part
def moves(campaigns: int = 1000, workers: int = 1) -> None:
    """Run campaigns with random knobs, policies and wishes of a person, and count forbidden moves of their plans."""
    sources = [Path(random_campaigns.__file__), Path(ainerd.steering.__file__).parent, Path(ainerd.knobs.__file__)]
    cases = [("campaigns", i) for i in range(0, campaigns, 10)]
    rows = resumed("moves", {"run": digest_of(*sources)}, cases, ten_campaigns, workers)
    totals = {name: sum(row[name] for row in rows) for name in ("campaigns", "positions", "refused", "forbidden")}
    report("discovery_moves", [totals], most={"forbidden": 0})


def ten_campaigns(case: Case) -> Row:
    """Return the positions of ten campaigns, the refusals of their plans, and forbidden moves."""
    done = [random_campaigns.forbidden(case[1] + i) for i in range(10)]
    return {
        "campaigns": len(done),
        "positions": sum(measured for _, measured, _ in done),
        "refused": sum(refused for _, _, refused in done),
        "forbidden": sum(len(faults) for faults, _, _ in done),
        "faults": [fault for faults, _, _ in done for fault in faults],
    }


def explorer_of(hidden: HiddenMap) -> Explorer:
    """Return an explorer of a hidden map, without exposures."""
    width = float(np.sqrt(2 * chi2.ppf(0.99, square.DIMENSIONS)) * square.NOISE[hidden.noise])
    return square.explorer(lambda z: find_regimes(z, width=width).labels)


if __name__ == "__main__":
    study()
