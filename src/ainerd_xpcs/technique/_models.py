"""One model of g2 for a material: all rings of an exposure, and all exposures of a regime, decide together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.words import number_of
from ainerd_xpcs import numerics
from ainerd_xpcs.numerics import LEFT_OVER, Candidate, Relaxation, decide, together

Columns = Mapping[str, NDArray[Any]]
MODELS = "models"  # the table of a result
EVIDENCE = ("log_evidence", "log_likelihood", "share_sigmas", "n_free", "baseline")  # columns, as in `Candidate`
MOST_ODDS = 1000.0  # larger ones are not told apart


def of_all(rings: Sequence[Relaxation]) -> list[Relaxation]:
    """Return the fits of rings by the model that all of them together prefer; those without speckle stay."""
    seen = [ring.candidates for ring in rings if ring.candidates]
    decided = decide(together(seen), LEFT_OVER) if len(seen) > 1 else None
    return [ring if decided is None or not ring.candidates else _by_model(ring, *decided) for ring in rings]


def _by_model(ring: Relaxation, best: Candidate, rival: Candidate | None) -> Relaxation:
    assert ring.by_model is not None
    models = [each.model for each in ring.candidates]
    columns = {name: getattr(ring.by_model, name)[[models.index(best.model)]] for name in numerics.RELAXATION_COLUMNS}
    if rival is not None:
        other = models.index(rival.model)
        columns["either"] = np.array([rival.model])
        columns |= {f"tau_either{end}": getattr(ring.by_model, f"tau{end}")[[other]] for end in ("", "_err")}
    return replace(ring, **columns)


def table_of(rings: Sequence[Relaxation], names: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Return a row for each ring and each of its models: the evidence, and the numbers by their `names`."""
    rows = [(number, *each) for number, ring in enumerate(rings) for each in ring.candidates]
    ring, model, *evidence = (np.array(column) for column in zip(*rows, strict=True))
    fits = [ring.by_model for ring in rings if ring.by_model is not None]
    numbers = {name: np.concatenate([getattr(fit, field) for fit in fits]) for field, name in names.items()}
    about = {"ring": ring, "is_middle": ring == len(rings) // 2, "g2_model": model}
    return numbers | about | dict(zip(EVIDENCE, evidence, strict=True))


def agreed(
    tables: Sequence[Columns], summaries: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> tuple[str, list[dict[str, Any]]]:
    """Return the numbers of each exposure of a regime by the model that all of them prefer, and what changes.

    Parameters
    ----------
    tables : sequence of mapping
        ``models`` of each exposure.
    summaries : sequence of mapping
        Their numbers so far. An exposure that has them by this model already gets nothing.
    names : mapping
        Names of numbers in results, by field of `Relaxation`.
    """
    rows = [_candidates(table) for table in tables]
    candidates = together(each for of_rings in rows for each in of_rings.values())
    decided = decide(candidates, LEFT_OVER)
    if decided is None:
        return "", [{} for _ in tables]
    best, rival = decided
    others = [best.evidence - x.evidence for x in candidates if x.sigmas > 0 and x.model != best.model]
    log_odds = best.likelihood - rival.likelihood if rival else min(others, default=np.inf)
    about = {"g2_model_odds": float(np.exp(min(log_odds, np.log(MOST_ODDS)))), "g2_model_exposures": len(tables)}
    out, before = list[dict[str, Any]](), set[str]()
    for table, summary in zip(tables, summaries, strict=True):
        model, either = summary.get("g2_model"), summary.get("g2_model_or")
        if "g2_model_exposures" in summary and (model, either) == (best.model, rival and rival.model):
            out.append({})
            continue
        before |= {str(model)} - {best.model} if "g2_model_exposures" in summary else set()
        out.append(about | _numbers(table, best.model, rival and rival.model, names))
    now = f"{best.model}, or {rival.model}" if rival else best.model
    text = f"{number_of(len(tables), 'exposure')} of one regime have another model of g2 now: {now}"
    return f"{text}; before: {', '.join(sorted(before))}" if before else "", out


def _candidates(table: Columns) -> dict[int, list[Candidate]]:
    out: dict[int, list[Candidate]] = {}
    for ring, model, *values in zip(*(table[name] for name in ("ring", "g2_model", *EVIDENCE)), strict=True):
        evidence, likelihood, sigmas, n_free, baseline = map(float, values)
        out.setdefault(int(ring), []).append(Candidate(str(model), evidence, likelihood, sigmas, int(n_free), baseline))
    return out


def _numbers(table: Columns, model: str, either: str | None, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the numbers of the middle ring by a model, None where unknown, with the time of another one."""
    middle, models = np.asarray(table["is_middle"]).astype(bool), np.asarray(table["g2_model"]).astype(str)
    row = {name: _plain(np.asarray(table[name])[middle & (models == model)][0]) for name in names.values()}
    row |= {"g2_model_or": either, "tau_s_or": None, "tau_s_or_err": None}
    if either is not None:
        for name in ("tau_s", "tau_s_err"):
            value = _plain(np.asarray(table[name])[middle & (models == either)][0])
            row[name.replace("tau_s", "tau_s_or")] = value
    return row


def _plain(value: Any) -> float | str | None:
    if isinstance(value, str):
        return value or None
    return float(value) if np.isfinite(value) else None
