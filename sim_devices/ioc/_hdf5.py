"""The HDF5 plugin: the process variables of areaDetector's NDFileHDF5, and its file."""

import re
import threading
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from sim_devices._frames import DATASET, NUMBERS, FrameFile, frames_dataset
from sim_devices.ioc._records import DISABLE_ENABLE, NO_YES, OFF_ON, Records

DETECTOR_DATA = "entry/instrument/detector/data"
TIMES = "entry/instrument/NDAttributes/NDArrayTimeStamp"
STREAM = 2  # of the modes
FOREVER = 2**31 - 1
INTEGERS = """NumRowChunks NumColChunks BoundaryAlign BoundaryThreshold DataBitsOffset NumDataBits NumExtraDims
ExtraDimSizeX ExtraDimSizeY ExtraDimSizeN SZipNumPixels ZLevel NDArrayAddress ArrayCounter DroppedArrays FileNumber
CreateDirectory NumCapture""".split()


class PluginFile(FrameFile):
    """An HDF5 file in areaDetector's layout, which others can read while it is open only if `swmr`.

    The frames are ``entry/instrument/detector/data`` and, as a hard link, ``entry/data/data``.

    Parameters
    ----------
    path : Path
    shape : (int, int)
        Of a frame.
    swmr : bool
    """

    def __init__(self, path: Path, shape: tuple[int, int], *, swmr: bool) -> None:
        self.path, self._file = path, h5py.File(path, "w", libver="latest")
        self._data = self._file[DATASET] = frames_dataset(self._file, shape, DETECTOR_DATA)
        self._time, self._id = (
            self._file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(1024,))
            for name, dtype in ((TIMES, "<f8"), (NUMBERS, "<i4"))
        )
        if swmr:
            self._file.swmr_mode = True


def full_name(template: str, path: str, name: str, number: int) -> str:
    """Return the name of a file by a template of C, such as ``%s%s_%6.6d.h5``, which may use fewer of the parts.

    Raises
    ------
    ValueError
        If the template uses anything else.
    """
    n = len(re.findall(r"%[^%]", template.replace("%%", "")))
    try:
        return template % (path, name, number)[:n]
    except TypeError as error:
        raise ValueError(f"file template {template!r}: {error}") from None


class Hdf5Plugin:
    """The plugin writes the frames of a camera, while it captures.

    Parameters
    ----------
    prefix : str
        Such as ``SIM:HDF1:``.
    shape : (int, int)
        Of a frame.
    root : Path
        Files are written only below this folder.

    Attributes
    ----------
    to_drop : int
        Number of frames to drop before the next one is written, as if the plugin's queue was full.
    """

    def __init__(self, prefix: str, shape: tuple[int, int], root: Path) -> None:
        self._shape, self._root, self.to_drop = shape, root.resolve(), 0
        self._file: PluginFile | None = None
        self._lock = threading.Lock()
        self.records = records = Records(prefix, self._show_failure)
        ny, nx = shape
        for name, text in (
            ("PortName", "HDF1"), ("PluginType", "NDFileHDF5"), ("DriverVersion", "0"), ("ADCoreVersion", "3.14.0"),
        ):  # fmt: skip
            records.readback("string", name, text)
        for name, size in {"0": nx, "1": ny, "2": 0, "X": nx, "Y": ny, "Z": 0}.items():
            records.readback("integer", f"ArraySize{name}", size)
        for name, size in {"0": nx, "1": ny, "2": 0}.items():
            records.command("integer", f"ArraySize{name}", size)
        for name in INTEGERS:
            records.setting("integer", name, 0, **({"HIGH": 1, "HSV": "MINOR"} if name == "DroppedArrays" else {}))
        for name in ("NumFramesChunks", "NumFramesFlush"):
            records.setting("integer", name, 1)
        records.setting("integer", "QueueSize", 20)
        records.command("integer", "QueueFree", 20)
        records.command("integer", "QueueUse", 0)
        for name in ("NDimensions", "UniqueId", "SWMRCbCounter", "NumCaptured"):
            records.readback("integer", name, 2 if name == "NDimensions" else 0)
        records.readback("number", "TimeStamp", 0.0)
        records.setting("number", "MinCallbackTime", 0.0)
        records.setting("string", "NDArrayPort", "LAMBDA")
        records.setting("switch", "EnableCallbacks", 0, *DISABLE_ENABLE)
        records.setting("switch", "ArrayCallbacks", 1, *DISABLE_ENABLE)
        for name, on in {"BlockingCallbacks": 0, "AutoIncrement": 1, "AutoSave": 0, "DeleteDriverFile": 0,
                         "LazyOpen": 0, "ChunkSizeAuto": 1, "StoreAttr": 1, "StorePerform": 0}.items():  # fmt: skip
            records.setting("switch", name, on, *NO_YES)
        records.setting("choice", "DataType", 3, *DATA_TYPES)
        records.setting("choice", "ColorMode", 0, *COLOR_MODES)
        records.setting("text", "FilePath", "", act=self._set_path)
        records.readback("switch", "FilePathExists", 0, *NO_YES)
        for name, text in {"FileName": "", "FileTemplate": "%s%s_%6.6d.h5", "XMLFileName": "",
                           "NDAttributesFile": ""}.items():  # fmt: skip
            records.setting("text", name, text)
        records.readback("text", "FullFileName", "")
        records.readback("text", "XMLErrorMsg", "")
        records.readback("switch", "XMLValid", 1, *NO_YES)
        records.setting("choice", "FileFormat", 0, "HDF5", "Invalid")
        records.setting("choice", "FileWriteMode", 0, "Single", "Capture", "Stream")
        records.setting("switch", "Capture", 0, "Done", "Capture", act=self._capture)
        records.setting("switch", "WriteFile", 0, "Done", "Write")
        records.setting("switch", "ReadFile", 0, "Done", "Read")
        records.command("choice", "WriteStatus", 0, "Write OK", "Write error")
        records.command("text", "WriteMessage", "")
        records.setting("switch", "SWMRMode", 0, *OFF_ON)
        records.readback("switch", "SWMRActive", 0, "Off", "Active")
        records.readback("switch", "SWMRSupported", 1, "Not Supported", "Supported")
        records.command("switch", "FlushNow", 0, *NO_YES)
        records.setting("switch", "PositionMode", 0, *OFF_ON)
        names = ("None", "N-bit", "szip", "zlib", "Blosc", "BSLZ4", "LZ4", "JPEG")
        records.setting("choice", "Compression", names.index("BSLZ4"), *names, act=lambda _: names.index("BSLZ4"))

    def _show_failure(self, message: str) -> None:
        self.records.put(WriteStatus=1, WriteMessage=message)

    def _set_path(self, path: str) -> str:
        """Make the folder if CreateDirectory is below 0, and tell whether it exists below the root."""
        folder = Path(path).resolve()
        inside = path.startswith("/") and folder.is_relative_to(self._root)
        if inside and self.records["CreateDirectory"] < 0:
            folder.mkdir(parents=True, exist_ok=True)
        self.records.show(FilePathExists=int(inside and folder.is_dir()))
        return path if not path or path.endswith("/") else f"{path}/"

    def _capture(self, on: int) -> int:
        """Open the file, or close it."""
        with self._lock:
            if not on:
                self._close()
            elif self._file is None:
                self._open()
        return on

    def _open(self) -> None:
        records = self.records
        if records["FileWriteMode"] != STREAM:
            raise ValueError("only FileWriteMode Stream is simulated")
        name = full_name(records["FileTemplate"], records["FilePath"], records["FileName"], records["FileNumber"])
        if not Path(name).resolve().is_relative_to(self._root):
            raise ValueError(f"{name} is outside of {self._root}, the folder that this IOC writes to")
        self._file = PluginFile(Path(name), self._shape, swmr=bool(records["SWMRMode"]))
        records.show(FullFileName=name, NumCaptured=0, SWMRActive=records["SWMRMode"])
        if records["AutoIncrement"]:
            records.show(FileNumber=records["FileNumber"] + 1)
            records.put(FileNumber=records["FileNumber"])
        records.put(WriteStatus=0, WriteMessage="")

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self.records.show(SWMRActive=0)

    def take(self, chunks: Sequence[bytes], time_s: NDArray[np.float64], ids: NDArray[np.int64]) -> None:
        """Write frames, their times and unique ids, if the plugin is enabled and captures."""
        records = self.records
        if not records["EnableCallbacks"]:
            return
        n_dropped = min(self.to_drop, len(chunks))
        self.to_drop -= n_dropped
        records.show(
            DroppedArrays=records["DroppedArrays"] + n_dropped,
            ArrayCounter=records["ArrayCounter"] + len(chunks) - n_dropped,
            UniqueId=int(ids[-1]),
            TimeStamp=float(time_s[-1]),
        )
        with self._lock:
            if self._file is None:
                return
            captured, limit = records["NumCaptured"], records["NumCapture"] or FOREVER
            kept = slice(n_dropped, n_dropped + limit - captured)
            if some := chunks[kept]:
                self._file.append(some, time_s[kept], ids[kept])
                captured += len(some)
                records.show(NumCaptured=captured)
            if captured >= limit:
                self._close()
                records.show(Capture=0)
                records.put(Capture=0)


DATA_TYPES = "Int8 UInt8 Int16 UInt16 Int32 UInt32 Int64 UInt64 Float32 Float64".split()
COLOR_MODES = "Mono Bayer RGB1 RGB2 RGB3 YUV444 YUV422 YUV421".split()
