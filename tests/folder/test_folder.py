"""Acquisitions in files become runs: the same each time, once complete, and only from allowed folders."""

import logging
import os
from dataclasses import replace
from datetime import datetime

import h5py
import numpy as np
import pytest
from event_model import DocumentNames, schema_validators

from ainerd import config
from ainerd.documents import FrameError, Run
from ainerd.server import open_catalog
from ainerd.sources import Intake
from ainerd_folder import AcquisitionFiles, Folder, folder_documents
from sim_devices import write_metadata, write_rigaku, write_rigaku_3m
from tests.waiting import until

DETECTOR = config.Detector(image="lambda_image", n_frames="num_images", frame_time_s="frame_time")
TIME = "2026-08-03T10:00:00+00:00"
BEGAN = datetime.fromisoformat(TIME).timestamp()
FRAMES = np.random.default_rng(0).poisson(2.0, (20, 6, 8)).astype("<u2")
RECORD = "time_s,stress_Pa\n" + "".join(f"{500 + i},{80 + i}\n" for i in range(40))
N_IMAGES, FRAME_TIME = "instrument/bluesky/num_images", "instrument/detector_1/frame_time"
METADATA = {
    "start_time": TIME,
    "sample/position_x": (2500.0, "um"),
    "sample/position_y": (7.25, "mm"),
    "sample/name": "clay",
    "monitor": np.array([1.0, 3.0]),
    "rheometer/clock": (510.0, "s"),
    "instrument/detector_1/frame_time": (500.0, "ms"),
    "instrument/detector_1/qmap_file": "qmap.hdf",
    "instrument/bluesky/num_images": 20,
}


def keys(**more):
    given = {
        "readings": {
            "sample_x": "/entry/sample/position_x", "sample_y": "/entry/sample/position_y", "i0": "/entry/monitor"
        },
        "start": {"sample": "/entry/sample/name", "qmap_file": "/entry/instrument/detector_1/qmap_file"},
        "record": "*_rheo.csv", "record_zero": "/entry/rheometer/clock", "columns": {"stress": "stress_Pa"},
    }  # fmt: skip
    return config.Acquisition(**given | more)


def write(root, name="A001", *, frames=FRAMES, metadata=METADATA, record=RECORD):
    """Write an acquisition and return its folder."""
    folder = root / name
    folder.mkdir(parents=True)
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file.create_dataset("entry/data/data", data=frames, chunks=(1, *frames.shape[1:]))
    write_metadata(folder / f"{name}_metadata.hdf", metadata)
    if record:
        (folder / f"{name}_rheo.csv").write_bytes(record if isinstance(record, bytes) else record.encode())
    return folder


def acquisition(folder, root, **more):
    return AcquisitionFiles(folder, keys(**more), DETECTOR, (root.resolve(),), {"sample_x": "mm", "sample_y": "mm"})


def read(documents, root):
    run = Run(DETECTOR, [root])
    for name, doc in documents:
        schema_validators[DocumentNames[name]].validate(doc)
        run(name, doc)
    return run


def nothing(position):
    return None


def intake(raw, stop):
    """The parts of an agent that a folder uses, of which all runs have their results."""
    return Intake(stop, raw, None, lambda: lambda run: True, nothing)


def test_the_documents_have_the_contents_of_the_files(tmp_path):
    files = acquisition(write(tmp_path), tmp_path)
    documents = list(files.documents(lambda position: f"at {position['sample_x']:g}"))
    run = read(documents, tmp_path)
    assert {"acquisition": "A001", "sample": "clay", "qmap_file": "qmap.hdf", "suggestion_id": "at 2.5"}.items() <= (
        run.start_doc.items()
    )
    assert run.start_doc["time"] == BEGAN and run.stop_doc["exit_status"] == "success"
    assert run.described.flies and run.n_frames == 20 and run.described.frame_time_s == 0.5
    assert [run.reading(name) for name in ("sample_x", "sample_y", "i0")] == [2.5, 7.25, 2.0]
    frames = np.concatenate([block.frames for block in run.blocks(np.arange(48))])
    run.close()
    assert np.array_equal(frames, FRAMES.reshape(20, 48))
    # the clock of the record shows 510 s at the first frame, and the exposure lasts 10 s
    times, stress = run.series("stress")
    assert np.array_equal(stress, 90.0 + np.arange(11)) and np.allclose(times - BEGAN, np.arange(11))
    assert list(files.documents(nothing))[1:] == documents[1:]
    assert acquisition(files.folder, tmp_path).uid == run.uid


def test_rows_of_a_record_may_end_with_a_comma_and_a_header_may_come_again(tmp_path):
    head, *rows = RECORD.splitlines()
    record = "\n".join([head, *(f"{row}," for row in rows[:15]), head, *(f"{row}," for row in rows[15:])])
    run = read(acquisition(write(tmp_path, record=record), tmp_path).documents(nothing), tmp_path)
    times, stress = run.series("stress")
    assert np.array_equal(stress, 90.0 + np.arange(11)) and np.allclose(times - BEGAN, np.arange(11))


def test_a_name_may_hold_signs_of_an_address(tmp_path):
    run = read(acquisition(write(tmp_path, "50%41#3 é?"), tmp_path).documents(nothing), tmp_path)
    frames = np.concatenate([block.frames for block in run.blocks(np.arange(48))])
    run.close()
    assert np.array_equal(frames, FRAMES.reshape(20, 48))


def test_a_record_with_dates(tmp_path):
    dates = "time_s,stress_Pa\n2026-08-03T12:00:01+02:00,5\n2026-08-03T12:01:00+02:00,6\n"
    other = write(tmp_path, "A002", record=dates)
    run = read(acquisition(other, tmp_path, record_zero="").documents(nothing), tmp_path)
    assert run.series("stress").tolist() == [[BEGAN + 1], [5.0]]
    without = write(tmp_path, "A003", record=dates.replace("+02:00", ""))
    with pytest.raises(FrameError, match="one of them has a time zone and the other has none"):
        list(acquisition(without, tmp_path, record_zero="").documents(nothing))


@pytest.mark.parametrize(("began", "expected"), [(TIME, BEGAN), (1.7e9, 1.7e9), (None, 5e8 - 20 * 0.5)])
def test_the_beginning_is_a_date_a_number_or_follows_from_the_time_of_the_file(tmp_path, began, expected):
    folder = write(tmp_path, metadata={k: v for k, v in METADATA.items() if k != "start_time"}, record="")
    if began is not None:
        write_metadata(folder / "A001_metadata.hdf", METADATA | {"start_time": began})
    os.utime(folder / "A001_metadata.hdf", (5e8, 5e8))
    os.utime(folder / "A001.h5", (5e8, 5e8))
    assert next(acquisition(folder, tmp_path).documents(nothing))[1]["time"] == expected


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (lambda t: t + 2082844800, "goes from .* give dates if it counts from 1904"),
        (lambda t: t - BEGAN, "goes from 0 to 9 s, .*: set acquisition.record_zero"),
        (lambda t: t - 1e7, None),  # of another time
    ],
)
def test_clocks_that_do_not_count_from_1970_are_named(tmp_path, caplog, count, message):
    rows = "".join(f"{count(BEGAN + i)!r},{i}\n" for i in range(10))
    documents = acquisition(write(tmp_path, record=f"time_s,stress_Pa\n{rows}"), tmp_path, record_zero="").documents(
        nothing
    )
    if message:
        with pytest.raises(FrameError, match=message):
            list(documents)
    else:
        assert [doc["name"] for name, doc in documents if name == "descriptor"] == ["baseline", "primary"]
        assert "has no row during the exposure: 'time_s' goes from" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": METADATA | {"sample/position_x": (1.0, "deg")}}, "'deg' cannot be converted to 'mm'"),
        ({"metadata": METADATA | {"start_time": "yesterday"}}, "start_time is not a time: 'yesterday'"),
        ({"frames": FRAMES[0]}, "expected \\(frames, rows, columns\\)"),
        ({"record": "t,stress_Pa\n1,2\n"}, "has no column 'time_s'"),
        ({"record": "time_s,stress_Pa\nnoon,2\n"}, "line 2, column 'time_s': 'noon' is no date"),
        ({"record": "Temp_°C\n1\n".encode("latin-1")}, "line 1 has 'Temp_.C', which is not UTF-8"),
        ({"record": RECORD + "540,1,100.5\n"}, "line 42: '540,1,100.5' has 3 fields"),
        ({"record": RECORD.replace("time_s", "stress_Pa,time_s")}, "has 2 columns 'stress_Pa'"),
        ({"record": RECORD.replace("\n", "\n\ns,Pa\n", 1)}, "line 3, column 'time_s': 's' .*: a second header"),
        ({"record": RECORD + "End of data,\n"}, "line 42, column 'time_s': 'End of data' is no number .*: a footer"),
        ({"record": RECORD.replace(",95", ",OVER")}, "line 17, column 'stress_Pa': 'OVER' .*: text among the values"),
        (
            {"record": "time_s,stress_Pa\n2026-08-03T12:00:01+02:00,5\n2026-08-03T12:00:02,6\n"},
            "some dates of 'time_s' have a time zone and others have none",
        ),
        ({"record": RECORD + "0,900\n"}, "line 42: the times go back by 539 s, so another interval begins"),
        ({"metadata": {k: x for k, x in METADATA.items() if k != "rheometer/clock"}}, "has no /entry/rheometer/clock"),
        ({"metadata": METADATA | {N_IMAGES: "20"}}, "num_images is '20', expected a whole number"),
        ({"metadata": METADATA | {FRAME_TIME: np.nan}}, "frame_time is nan, expected a positive time"),
    ],
)
def test_impossible_files_are_named(tmp_path, change, message):
    folder = write(tmp_path, **change)
    with pytest.raises(FrameError, match=message):
        list(acquisition(folder, tmp_path).documents(nothing))


@pytest.mark.fault("The metadata of an acquisition link to a file outside the allowed folders", "It is not read")
@pytest.mark.parametrize("how", ["link of HDF5", "link of the file system", "link to frames"])
def test_nothing_outside_the_roots_is_read(tmp_path, how):
    root, outside = tmp_path / "data", tmp_path / "secret.h5"
    folder = write(root)
    write_metadata(outside, METADATA)
    metadata = folder / "A001_metadata.hdf"
    if how == "link of HDF5":
        with h5py.File(metadata, "a") as file:
            del file["entry/sample"]
            file["entry/sample"] = h5py.ExternalLink(str(outside), "/entry/sample")
    elif how == "link to frames":
        frames = (folder / "A001.h5").rename(tmp_path / "frames.h5")
        (folder / "A001.h5").symlink_to(frames)
    else:
        metadata.unlink()
        metadata.symlink_to(outside)
    with pytest.raises(FrameError, match="outside the allowed roots"):
        list(acquisition(folder, root).documents(nothing))
    with pytest.raises(ValueError, match=r"outside storage\.frames"):
        Folder(tmp_path, acquisition(folder, root), 1.0)
    with pytest.raises(ValueError, match="no folder"):
        Folder(root / "nowhere", acquisition(folder, root), 1.0)


@pytest.fixture
def follow(place, tmp_path, gathered):
    """Follow a folder in a thread; the runs' documents are appended to the list that it returns."""
    raw, _ = open_catalog(place.client())

    def start(late_s=0.5, **more):
        folder = Folder(tmp_path, acquisition(tmp_path, tmp_path, **more), late_s)
        return gathered(lambda stop: folder_documents(folder, intake(raw, stop)))

    return start


def names(got):
    return [documents[0][1]["acquisition"] for documents in got]


@pytest.mark.fault("An acquisition's files are still being written", "It is read once they are closed")
def test_an_acquisition_is_found_once_it_is_complete(follow, tmp_path):
    got = follow(late_s=60.0)
    folder = tmp_path / "A001"
    folder.mkdir()
    with h5py.File(folder / "A001.h5", "w", libver="latest") as file:
        data = file.create_dataset("entry/data/data", data=FRAMES[:5], maxshape=(None, 6, 8), chunks=(1, 6, 8))
        file.swmr_mode = True
        write_metadata(folder / "A001_metadata.hdf", METADATA)
        (folder / "A001_rheo.csv").write_text(RECORD)
        write(tmp_path, "A002")
        until(lambda: names(got) == ["A002"])  # nothing changed for longer than files need to settle
        data.resize(20, axis=0)
        data[:] = FRAMES
    until(lambda: len(got) == 2)
    assert read(got[1], tmp_path).n_ready == 20
    write(tmp_path, "A003")
    until(lambda: len(got) > 2)
    assert names(got) == ["A002", "A001", "A003"]


def test_frames_or_a_record_that_never_come_are_not_waited_for(follow, tmp_path):
    got = follow(late_s=0.5)
    write(tmp_path, "A001", record="")
    write(tmp_path, "A002", frames=FRAMES[:9])
    until(lambda: len(got) == 2)
    assert sorted(names(got)) == ["A001", "A002"]
    assert {documents[-1][1]["exit_status"] for documents in got} == {"success", "abort"}


@pytest.mark.fault(
    "A file of an acquisition is damaged", "It is named in the log, and read once it has changed; others are read"
)
def test_a_damaged_acquisition_is_left_out_until_it_changes(follow, tmp_path, caplog):
    got = follow(late_s=0.1)
    with caplog.at_level(logging.WARNING):
        folder = write(tmp_path, "A001")
        whole = (folder / "A001.h5").read_bytes()
        (folder / "A001.h5").write_bytes(whole[: len(whole) // 2])
        write(tmp_path, "A002")
        until(lambda: names(got) == ["A002"] and "A001 is left out until it changes" in caplog.text)
        (folder / "A001.h5").write_bytes(whole)
        until(lambda: names(got) == ["A002", "A001"])
    assert caplog.text.count("A001 is left out") == 1


@pytest.mark.fault(
    "The metadata of an acquisition hold impossible numbers, or raise any error",
    "It is named in the log; those behind it are read, also after a restart",
)
def test_a_poisoned_acquisition_does_not_stop_the_others(follow, tmp_path, caplog):
    for name, number in {"A001": np.nan, "A002": np.inf, "A003": -7}.items():
        write(tmp_path, name, metadata=METADATA | {N_IMAGES: number})
    for behind in ("A005", "A006"):  # each is found by a follower that has just started
        write(tmp_path, behind)
        with caplog.at_level(logging.WARNING):
            got = follow(late_s=0.1)
            until(lambda got=got, behind=behind: behind in names(got))
    for name, why in {"A001": "num_images is nan", "A003": "num_images is -7"}.items():
        assert f"{name} is left out until it changes: " in caplog.text and why in caplog.text


def with_events(root, name, n, metadata=METADATA, module=write_rigaku):
    """Write an acquisition of `n` frames whose last one is empty."""
    shape = (512, 1024) if module is write_rigaku else (1676, 2100)
    folder, frames = write(root, name, metadata=metadata), np.zeros((n, *shape), np.uint16)
    (folder / f"{name}.h5").unlink()
    frames[: n - 1, 100, ::200] = 1
    module(folder / f"{name}.bin", frames)
    return folder


def test_files_of_events_are_acquisitions_of_a_rigaku(follow, tmp_path):
    got = follow(late_s=1.0)
    unannounced = {name: x for name, x in METADATA.items() if not name.endswith("num_images")}
    with_events(tmp_path, "A001", 20)
    with_events(tmp_path, "A002", 12)  # of 20 that are announced
    with_events(tmp_path, "A003", 6, unannounced, write_rigaku_3m)
    (with_events(tmp_path, "A004", 6, module=write_rigaku_3m) / "A004.bin.003").unlink()
    until(lambda: len(got) == 3)
    runs = {run.start_doc["acquisition"]: run for run in (read(documents, tmp_path) for documents in got)}
    assert {name: run.n_ready for name, run in runs.items()} == {"A001": 20, "A002": 11, "A003": 5}
    assert [runs[name].start_doc["file"] for name in runs] == ["A001.bin", "A002.bin", "A003.bin.000"]
    assert runs["A001"].frame_shape == (512, 1024) and runs["A003"].frame_shape == (1676, 2100)
    resource = next(doc for name, doc in got[0] if name == "stream_resource")
    assert resource["mimetype"] == "application/x-rigaku" and resource["uri"].endswith("A001/A001.bin")


def test_acquisitions_come_by_time_and_those_with_results_are_skipped(follow, place, tmp_path):
    folders = [write(tmp_path, name) for name in ("A003", "A001", "A002")]
    for i, folder in enumerate(folders):
        for file in folder.iterdir():
            os.utime(file, (BEGAN + i, BEGAN + i))
    raw = open_catalog(place.client())[0]
    done = acquisition(folders[1], tmp_path)
    raw.create_container(done.uid, metadata={"start": {"uid": done.uid}, "stop": {"exit_status": "success"}})
    running = acquisition(folders[2], tmp_path)
    raw.create_container(running.uid, metadata={"start": {"uid": running.uid}})
    got = follow()
    until(lambda: len(got) == 2)
    assert names(got) == ["A003", "A002"]


def test_a_file_that_is_never_closed_is_read_at_last(tmp_path):
    path = write(tmp_path) / "A001.h5"
    with h5py.File(tmp_path / "open.h5", "w", libver="latest") as file:
        file.create_dataset("entry/data/data", data=FRAMES[:9], maxshape=(None, 6, 8), chunks=(1, 6, 8))
        file.swmr_mode = True
        path.write_bytes((tmp_path / "open.h5").read_bytes())  # as its writer leaves it when it is killed
    left = replace(acquisition(path.parent, tmp_path), growing=True)  # as `Folder` takes it after ten minutes
    run = read(left.documents(nothing), tmp_path)
    assert run.n_ready == 9 and run.stop_doc["reason"] == "9 of 20 frames; its writer did not close the file"
    assert len(np.concatenate([block.frames for block in run.blocks(np.arange(4))])) == 9
    run.close()
