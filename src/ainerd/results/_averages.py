"""Averages of results, as their technique makes them: here, or in a process of its own.

A server has neither SciPy nor a core to spare: ``python -m ainerd.results._averages`` reads results from its standard
input, and writes what a page shows of their average to its standard output.
"""

import io
import sys
from collections.abc import Sequence

import msgpack

from ainerd.results._files import LoadedResult, unpacked
from ainerd.results._tables import scan_text
from ainerd.technique import Average, load


def average(results: Sequence[LoadedResult], dose: Sequence[float] | None = None, dose_name: str = "") -> Average:
    """Average results of one technique; ValueError if they are of several, or cannot be averaged."""
    names = [f"scan {scan_text(each.metadata.get('scan_id'), each.metadata.get('event'))}" for each in results]
    return load(technique_of(results)).average(results, names, dose, dose_name or "order of the results")


def technique_of(results: Sequence[LoadedResult]) -> str:
    """Return the name of the technique of results; ValueError if there are several, or no result."""
    names = sorted({str(each.metadata["technique"]) for each in results})
    if len(names) != 1:
        raise ValueError(f"give results of one technique, not of {', '.join(names) or 'none'}")
    return names[0]


def main() -> None:
    """Average packed results; write msgpack with ``sentences`` and a ``picture`` (PNG), or with ``refused``."""
    results = [unpacked(key, *packed) for key, *packed in msgpack.unpackb(sys.stdin.buffer.read())]
    try:
        done, picture = average(results), io.BytesIO()
        done.plot().savefig(picture, format="png", dpi=110)
        answer = {"sentences": done.sentences(), "picture": picture.getvalue()}
    except ValueError as error:
        answer = {"refused": " ".join(str(error).split())[:1000]}
    sys.stdout.buffer.write(msgpack.packb(answer))


if __name__ == "__main__":
    main()
