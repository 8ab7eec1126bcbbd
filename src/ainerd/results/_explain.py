"""What was found in a run, and why it was called novel or was not: from what is stored of it alone."""

from ainerd.results._records import ResultRecord
from ainerd.technique import panels


def explain(record: ResultRecord) -> str:
    """The verdict on a run and what it rests on, and what its technique says of its numbers."""
    say = getattr(panels(record.technique), "sentences", None)
    said = [_verdict(record), *(say(record.summary) if say and record.embedding is not None else ())]
    return ". ".join(said)


def _verdict(record: ResultRecord) -> str:
    said, bank = record.summary, record.calibration
    if record.embedding is None:
        return f"there is no verdict: the analysis is {record.status}" + (f", {record.reason}" if record.reason else "")
    if record.novelty_p is None:
        return f"there is no claim of novelty: {said.get('no_claim') or 'the calibration made none'}"
    verdict = "novel" if record.novel else "not novel"
    text = (
        f"{verdict} at alpha = {bank['alpha']:g}: p = {record.novelty_p:.2g} against bank {bank['id']} of {bank['n']}"
    )
    if "nearest_known" in said:
        text += f"; most like {said['nearest_known']}"
    strangeness = {
        name.removeprefix("strangeness_"): x
        for name, x in said.items()
        if name.startswith("strangeness_") and isinstance(x, int | float)
    }
    if strangeness:
        terms = ", ".join(f"{x:.1f} in {name}" for name, x in sorted(strangeness.items(), key=lambda item: -item[1]))
        text += f", less likely than the median of that kind by {terms} (1 is its 90th percentile)"
    return text
