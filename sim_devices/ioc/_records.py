"""Records below one prefix: readbacks, setpoints with a readback, and setpoints alone."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from softioc import builder

# Kinds of records, and the prefix of softioc's functions that make them; "text" is longer than EPICS strings.
KINDS = {
    "number": "a",
    "integer": "long",
    "switch": "bool",
    "choice": "mbb",
    "string": "string",
    "text": "longString",
}
TEXT_BYTES = 256
NO_YES, OFF_ON, DISABLE_ENABLE = ("No", "Yes"), ("Off", "On"), ("Disable", "Enable")

Act = Callable[[Any], Any]


class Records:
    """The records of one device.

    A put with callback ends once `act` has ended and the readback is set. If `act` raises an exception, the readback
    stays, and `failed` gets the message.

    Parameters
    ----------
    prefix : str
        Beginning of the names, with the colon at its end.
    failed : callable
        Takes the message of an exception that a client caused.
    """

    def __init__(self, prefix: str, failed: Callable[[str], None] = lambda message: None) -> None:
        self.prefix, self.failed = prefix, failed
        self._readbacks: dict[str, Any] = {}
        self._setpoints: dict[str, Any] = {}

    def readback(self, kind: str, name: str, value: Any, *choices: Any, **fields: Any) -> None:
        """Add the record ``NAME_RBV``; `choices` are the names of the values, `fields` other fields of the record."""
        self._readbacks[name] = self._make(kind, "In", f"{name}_RBV", value, *choices, **fields)

    def setting(self, kind: str, name: str, value: Any, *choices: Any, act: Act | None = None, **fields: Any) -> None:
        """Add the records ``NAME`` and ``NAME_RBV``.

        A new value is given to ``act(value)``, which may be a coroutine; the readback shows its result, or the value
        itself if it returns None.
        """
        self.readback(kind, name, value, *choices, **fields)
        self.command(kind, name, value, *choices, act=act)

    def command(self, kind: str, name: str, value: Any, *choices: Any, act: Act | None = None) -> None:
        """Add the record ``NAME`` without a readback."""

        async def update(new: Any) -> None:
            try:
                shown = act(new) if act else None
                shown = await shown if inspect.isawaitable(shown) else shown
            except Exception as error:  # the client sees that the readback stays
                self.failed(str(error))
                return
            if name in self._readbacks:
                self._readbacks[name].set(new if shown is None else shown)

        self._setpoints[name] = self._make(
            kind, "Out", name, value, *choices, on_update=update, always_update=True, blocking=True
        )

    def _make(self, kind: str, way: str, name: str, value: Any, *choices: Any, **fields: Any) -> Any:
        if kind == "text":
            fields["length"] = TEXT_BYTES
        builder.SetDeviceName(self.prefix.removesuffix(":"))
        return getattr(builder, KINDS[kind] + way)(name, *choices, initial_value=value, **fields)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a readback, or of a setpoint without readback."""
        return (self._readbacks.get(name) or self._setpoints[name]).get()

    def show(self, **values: Any) -> None:
        """Set readbacks."""
        for name, value in values.items():
            self._readbacks[name].set(value)

    def put(self, **values: Any) -> None:
        """Set setpoints, without acting on them."""
        for name, value in values.items():
            self._setpoints[name].set(value, process=False)


class Busy:
    """A setpoint that starts something, and whose put with callback ends when that has ended.

    EPICS Base has no busy record, and a record that waits for an end ignores further puts, so that it cannot be
    stopped. So hidden records follow the setpoint: ``Puts`` counts its puts, and ``Wait``, a compress record, is done
    with N samples; ``Idle`` makes that one sample once all puts have been acted on and nothing is going on, and more
    than ever come until then. None of them is active while it waits, so that puts, and their callbacks, may overlap.

    Parameters
    ----------
    prefix, name : str
    act : callable
        Coroutine function that gets each value put to the record, and returns before the end.
    **fields
        Other fields of the record.

    Attributes
    ----------
    name : str
        Of the record.
    is_idle : bool
        Whether nothing is going on.
    """

    def __init__(self, prefix: str, name: str, act: Callable[[Any], Any], **fields: Any) -> None:
        builder.SetDeviceName(prefix.removesuffix(":"))
        self.name, self.is_idle, self._n_acted = f"{prefix}{name}", True, 0

        async def update(value: Any) -> None:
            try:
                await act(value)
            finally:
                self._n_acted += 1
                self._show()

        hidden = f"{self.name}Puts", f"{self.name}Acted", f"{self.name}Wait"
        wait = builder.records.compress(f"{name}Wait", INP=hidden[0], ALG="N to 1 Low Value", NSAM=1, N=1)
        idle = builder.records.calcout(
            f"{name}Idle", INPA=hidden[0], INPB=hidden[1], CALC="A=B?1:1000000000", OUT=f"{hidden[2]}.N", FLNK=wait
        )
        puts = builder.records.calc(f"{name}Puts", CALC="VAL+1", FLNK=idle)
        self._acted = builder.longOut(f"{name}Acted", initial_value=0, FLNK=idle)
        self._record = builder.boolOut(
            name, "Done", "Start", initial_value=0, on_update=update, always_update=True, FLNK=puts, **fields
        )

    def begin(self) -> None:
        """Make puts wait."""
        self.is_idle = False

    def end(self) -> None:
        """End puts that wait."""
        self.is_idle = True
        self._show()

    def show_done(self) -> None:
        """Set the record to 0, and act on that."""
        self._record.set(0)

    def _show(self) -> None:
        if self.is_idle:
            self._acted.set(self._n_acted)


async def finished(status: Any) -> None:
    """Wait for an ophyd status; raise its exception."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def tell(_: Any) -> None:
        loop.call_soon_threadsafe(lambda: done.done() or done.set_result(None))

    status.add_callback(tell)
    await done
    if error := status.exception():
        raise error
