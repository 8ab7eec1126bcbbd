"""Motor records.

EPICS Base has no motor record, and no record with a field such as ``.DMOV``. So a record type ``motor`` is made from
Base's ``calc``: its inputs A to U, which are not linked to anything, and its limits of alarms get the names of the
motor record's fields, and its result VAL stays as it was put. This needs no compiler.
"""

import asyncio
import ctypes
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import epicscorelibs.path
from epicscorelibs.ioc import dbCore
from ophyd.utils import LimitError, UnknownStatusFailure
from softioc import builder, imports, softioc

from sim_devices.ioc._records import Busy, finished

DBD = Path(epicscorelibs.path.base_path) / "dbd"
DOUBLES = "RBV OFF VELO ACCL HLM LLM DLLM DHLM VMAX DVAL".split()
SHORTS = "MOVN DMOV HLS LLS TDIR STOP HOMF HOMR".split()
MENUS = {"DIR": ("Pos", "Neg"), "FOFF": ("Variable", "Frozen"), "SET": ("Use", "Set")}
ALARMS = {"HIHI": "MRES", "LOLO": "UREV", "HIGH": "ERES", "LOW": "RDBD", "HYST": "SREV"}  # without severities: not used
PROCESS = ("VELO", "STOP")  # a put to these, or to VAL, makes the motor act
STEPS, RESOLUTION = 200, 5e-4  # of a turn of the motor; mm
TYPES = imports.get_DBF_values()


def motor_dbd(calc: str) -> str:
    """Return the definition of the record type ``motor``, from that of ``calc``."""
    text = calc.replace("recordtype(calc)", "recordtype(motor)").replace('initial("0")', 'initial("VAL")', 1)
    text = text.replace("field(VAL,DBF_DOUBLE) {", "field(VAL,DBF_DOUBLE) {\n\t\tpp(TRUE)")
    kinds = dict.fromkeys(DOUBLES, "DOUBLE") | dict.fromkeys(SHORTS, "SHORT") | dict.fromkeys(MENUS, "MENU")
    slots = dict(zip("ABCDEFGHIJKLMNOPQRSTU", kinds, strict=True)) | ALARMS | {"INPU": "OUT"}
    kinds |= dict.fromkeys(ALARMS.values(), "DOUBLE") | {"SREV": "LONG", "OUT": "INLINK"}
    for slot, name in slots.items():
        more = f"menu(motor{name})" if name in MENUS else "pp(TRUE)" if name in PROCESS else ""
        field = f'field({name},DBF_{kinds[name]}) {{ prompt("{name}") {more} }}'
        text, n = re.subn(rf"field\({slot},DBF_(DOUBLE|INLINK)\) {{[^}}]*}}", field, text)
        if n != 1:
            raise RuntimeError(f"calcRecord.dbd of this EPICS Base has no field {slot} as expected")
    choices = {
        name: " ".join(f'choice(motor{name}_{choice},"{choice}")' for choice in of_name)
        for name, of_name in MENUS.items()
    }
    return "".join(f"menu(motor{name}) {{ {of_name} }}\n" for name, of_name in choices.items()) + text


def load_motor_type() -> None:
    """Make the record type known to the IOC: it has the record support of ``calc``."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "motorRecord.dbd").write_text(motor_dbd((DBD / "calcRecord.dbd").read_text()))
        softioc.dbLoadDatabase(f"{folder}/motorRecord.dbd", str(DBD))
    dbCore.registryRecordTypeFind.restype = ctypes.c_void_p
    support = ctypes.c_void_p(dbCore.registryRecordTypeFind(b"calc"))
    base = ctypes.c_void_p.in_dll(dbCore, "pdbbase")
    dbCore.registerRecordTypes(base, 1, (ctypes.c_char_p * 1)(b"motor"), support)


class Motor:
    """A motor record around an axis of the simulated stage.

    Parameters
    ----------
    name : str
        Of the record.
    axis : sim_devices._basics.Mover
    """

    def __init__(self, name: str, axis: Any) -> None:
        self.name, self._axis, self._velocity = name, axis, axis.velocity.get()
        prefix, _, last = name.rpartition(":")
        # STOP as it is at the put, and 0 from then on: a put that follows at once is none.
        stop = f"{name}.STOP"
        self._move = Busy(f"{prefix}:", f"{last}Move", self._act, DOL=stop, OMSL="closed_loop")
        clear = builder.records.bo(f"{last}Clear", OUT=stop, VAL=0)
        self._links = builder.records.fanout(f"{last}Links", LNK1=self._move.name, LNK2=clear)
        self._task: asyncio.Task[None] | None = None

    def database(self) -> str:
        """Return the record as the text of a database."""
        low, high = self._axis.limits
        now = self._axis.position
        fields = {
            "VAL": now, "RBV": now, "DVAL": now, "EGU": self._axis.egu, "PREC": 4, "DMOV": 1, "TDIR": 1,
            "VELO": self._velocity, "VMAX": 100.0, "ACCL": 0.0, "LLM": low, "HLM": high, "DLLM": low, "DHLM": high,
            "LOPR": low, "HOPR": high, "MRES": RESOLUTION, "ERES": RESOLUTION, "UREV": STEPS * RESOLUTION,
            "SREV": STEPS, "FLNK": self._links.name,
        }  # fmt: skip
        text = " ".join(f'field({name}, "{value}")' for name, value in fields.items())
        return f'record(motor, "{self.name}") {{ {text} }}\n'

    def show_moves(self) -> None:
        """Show where the axis is from now on."""
        self._axis.subscribe(lambda value, **_: self._put(RBV=value, DVAL=value), event_type=self._axis.SUB_READBACK)

    async def _act(self, stop: int) -> None:
        """Execute a put: stop, change the velocity, or move."""
        if stop:
            self._axis.stop()
        elif (velocity := self._get("VELO")) != self._velocity:
            self._velocity = velocity
            self._axis.velocity.put(velocity)
        else:
            self._go(self._get("VAL"))

    def _go(self, target: float) -> None:
        self._move.begin()
        if self._task is not None:
            self._task.cancel()
        self._put(TDIR=int(target >= self._axis.position), DMOV=0, MOVN=1, HLS=0, LLS=0)
        try:
            move = self._axis.set(target)
        except LimitError:
            low, high = self._axis.limits
            self._put(HLS=int(target > high), LLS=int(target < low))
            self._end()
        else:
            self._task = asyncio.create_task(self._arrive(move))

    async def _arrive(self, move: Any) -> None:
        with suppress(UnknownStatusFailure):  # stopped
            await finished(move)
        self._end()

    def _end(self) -> None:
        self._put(DMOV=1, MOVN=0, RBV=self._axis.position)
        self._move.end()

    def _get(self, field: str) -> float:
        value = ctypes.c_double()
        imports.db_get_field(f"{self.name}.{field}", TYPES["DBF_DOUBLE"], ctypes.addressof(value), 1)
        return value.value

    def _put(self, **fields: float) -> None:
        for field, number in fields.items():
            value = ctypes.c_double(number)
            name = f"{self.name}.{field}"
            imports.db_put_field_process(name, TYPES["DBF_DOUBLE"], ctypes.addressof(value), 1, False)
