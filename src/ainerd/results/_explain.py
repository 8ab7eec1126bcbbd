"""The verdict on a result in words, and the reasons for it."""

from collections.abc import Iterator

from ainerd.results._records import ResultRecord
from ainerd.technique import panels


def explain(record: ResultRecord, *, details: bool = False) -> str:
    """Explain the verdict on a run and the reasons for it, with the technique's sentences on its numbers.

    With `details`, add the statistics behind the verdict and the numbers.
    """
    parts = [_verdict(record), *(_statistics_of(record) if details else []), *sentences_on(record, details=details)]
    sentences = [parts[0], *(part[:1].upper() + part[1:] for part in parts[1:])]
    return " ".join(each if each.endswith(("?", "!", ".")) else f"{each}." for each in sentences)


def sentences_on(record: ResultRecord, *, details: bool = False) -> list[str]:
    """Return the technique's sentences on the numbers of a result; with `details` also those with statistics."""
    technique, names = panels(record.technique), ("sentences", "details") if details else ("sentences",)
    functions = [getattr(technique, name, None) for name in names if record.embedding is not None]
    return [sentence for function in functions if function is not None for sentence in function(record.summary)]


def _verdict(record: ResultRecord) -> str:
    if record.embedding is None:
        why = f": {record.reason}" if record.reason else ""
        return (
            f"there is no verdict, the analysis failed{why}" if record.status == "failed" else "there is no verdict yet"
        )
    if record.novelty_p is None:
        return f"there is no p-value: {record.summary.get('no_claim') or 'nothing to compare it with'}"
    verdict = "novel" if record.novel else "not novel"
    text = f"{verdict}: {_odds(record.novelty_p)} of known behaviour would look as strange"
    if "nearest_known" in record.summary:
        text += f"; {'the nearest known kind is' if record.novel else 'most like'} {record.summary['nearest_known']}"
    if record.own_p is not None and record.own_regimes:
        numbers = f"regime{'s' * (len(record.own_regimes) > 1)} {' and '.join(map(str, record.own_regimes))}"
        far = f"{_odds(record.own_p)} of that kind would lie as far from them"
        text += f". Compared with earlier exposures of this session, of {numbers}: {far}"
    return text


def _odds(p: float) -> str:
    return f"{100 * p:.0f} in 100 exposures" if p >= 0.1 else f"1 in {1 / max(p, 1e-9):.0f} exposures"


def _statistics_of(record: ResultRecord) -> Iterator[str]:
    """Yield the statistics behind a verdict."""
    if record.novelty_p is None:
        return
    bank, own = record.calibration, f", {record.own_p:.2g} against the session" if record.own_p is not None else ""
    against = f"{record.novelty_p:.2g} against bank {bank['id']} of {bank['n']}{own}"
    yield f"its p-value is {against}; it is novel up to alpha = {bank['alpha']:g}"
    terms = {
        name.removeprefix("strangeness_"): x
        for name, x in record.summary.items()
        if name.startswith("strangeness_") and isinstance(x, int | float)
    }
    if terms:
        each = ", ".join(f"{x:.1f} in {name}" for name, x in sorted(terms.items(), key=lambda item: -item[1]))
        yield f"stranger than the median of the nearest kind by {each} (1 is its 90th percentile)"
