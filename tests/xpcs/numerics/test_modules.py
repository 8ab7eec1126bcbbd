"""Six modules in several processes give what one process gives; a process that ends or fails is named."""

import multiprocessing
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest

from ainerd_xpcs.numerics import (
    Do,
    EventFileError,
    EventScreen,
    ModulesReader,
    MultiTau,
    Partition,
    RigakuReader,
    TwoTimeReducer,
    rigaku_gaps,
)
from sim_devices import rigaku_words, sparse_speckle, write_words

CANVAS, N_FRAMES = (1676, 2100), 2200


@pytest.fixture(scope="module")
def sectors():
    """Six sectors of a ring across all modules, in two static rings; the gap between columns is not masked."""
    y, x = np.indices(CANVAS) - np.array([838, 1050])[:, None, None] + 0.5
    r, sector = np.hypot(x, y), ((np.arctan2(y, x) / np.pi + 1) * 3 // 1).astype(int)
    gaps = rigaku_gaps(CANVAS)
    gaps[:, 1024:1076] = False
    used = (r > 560) & (r < 580) & ~gaps
    return Partition.from_roi_map(np.where(used, sector + 1, 0), static_map=np.where(r < 570, 1, 2))


@pytest.fixture(scope="module")
def files(tmp_path_factory, sectors):
    """Files of six modules: one sees little, a pixel of another is hot, and some frames are dark."""
    folder = tmp_path_factory.mktemp("modules")
    rows, columns = np.divmod(sectors.pixels, CANVAS[1])
    hot = np.flatnonzero((rows >= 1164) & (columns < 1024))[500]  # of the place of file 3
    hot = (rows[hot] - 1164) * 1024 + columns[hot]
    for module in range(6):
        words = np.concatenate(list(sparse_speckle(N_FRAMES, 0.001 if module else 1e-4, tau=60.0, seed=module)))
        frame = words >> np.uint64(40)
        words = words[(frame < 900) | (frame >= 1100) | (np.arange(len(words)) % 40 == 0)]
        if module == 3:
            ticks = np.arange(0, N_FRAMES, 3)
            words = np.concatenate([words, rigaku_words(ticks, np.full(len(ticks), hot), np.full(len(ticks), 3))])
            words = words[np.argsort(words >> np.uint64(40), kind="stable")]
        write_words(folder / f"a.bin.{module:03d}", [words])
    return folder / "a.bin.000"


class Viewer:
    every = 700

    def __init__(self):
        self.frames = {}

    def whole(self, frame, number):
        self.frames[number] = frame


def analysed(reader, partition, options, steps):
    """What the analysis of an exposure does with its files, whose frames are announced in steps."""
    n_frames, viewer, number = steps[-1] - steps[0], Viewer(), 0
    screen = EventScreen(partition, n_frames)
    reducer, correlator = TwoTimeReducer(partition, n_frames, **options), MultiTau(partition)
    for start, stop in pairwise(steps):
        for events in reader.blocks(start, stop, viewer, steps[0]):
            events.team.order(Do.PUSH, number, n_frames, number == 0)
            for screened in screen.push(events.moved(number)):
                screened.to(reducer, correlator)
            number += events.stop
    events.team.order(Do.FINISH)
    for screened in screen.flush():
        screened.to(reducer, correlator)
    reducer.collect()
    correlator.collect()
    return screen.left_out, reducer, correlator, viewer.frames


def compare(found, wanted):
    (left_out, reducer, correlator, frames), (wanted_out, one, wanted_g2, wanted_frames) = found, wanted
    for name in ("pixels", "frames"):
        of_reason = getattr(wanted_out, name)
        for reason, numbers in getattr(left_out, name).items():
            np.testing.assert_array_equal(numbers, of_reason[reason])
    np.testing.assert_array_equal(reducer.maps(), one.maps())
    np.testing.assert_array_equal(reducer.photons(), one.photons())
    np.testing.assert_array_equal(reducer.means(500), one.means(500))
    g2, wanted = correlator.result(), wanted_g2.result()
    np.testing.assert_allclose(g2.value, wanted.value, rtol=2e-7)
    np.testing.assert_allclose(g2.error, wanted.error, rtol=1e-5)
    np.testing.assert_allclose(g2.contrast0, wanted.contrast0, rtol=1e-9)
    np.testing.assert_allclose(correlator.by_age().value, wanted_g2.by_age().value, rtol=1e-6)
    assert list(frames) == list(wanted_frames)
    for number, frame in wanted_frames.items():
        np.testing.assert_array_equal(frames[number], frame)


@pytest.mark.parametrize(
    ("processes", "options"),
    [(2, {}), (3, {"diagonal": "neighbour", "dtype": "float64", "size": 2048, "normalization": "paper"})],
)
def test_maps_g2_and_errors_are_those_of_one_process(files, sectors, processes, options):
    with closing(RigakuReader(files, sectors, order="rows")) as reader:
        wanted = analysed(reader, sectors, options, (0, N_FRAMES))
        assert reader.reaches(N_FRAMES - 50) and not reader.reaches(N_FRAMES + 1)
    assert wanted[0].n_pixels > 0 and wanted[0].n_frames > 0
    with closing(ModulesReader(files, sectors, order="rows", processes=processes, reduction=options)) as team:
        assert team.reaches(N_FRAMES - 50) and not team.reaches(N_FRAMES + 1)
        compare(analysed(team, sectors, options, (0, 1000, 1001, N_FRAMES)), wanted)
        team.check_ends(N_FRAMES)


def test_two_exposures_in_the_same_files(files, sectors):
    with (
        closing(RigakuReader(files, sectors, order="rows")) as reader,
        closing(ModulesReader(files, sectors, order="rows", processes=2, reduction={})) as team,
    ):
        for steps in (0, 1100), (1100, N_FRAMES):
            compare(analysed(team, sectors, {}, steps), analysed(reader, sectors, {}, steps))


def test_a_process_that_is_killed_is_named(files, sectors):
    before = set(multiprocessing.active_children())
    with closing(ModulesReader(files, sectors, order="rows", processes=2, reduction={})) as team:
        blocks = team.blocks(0, N_FRAMES)
        next(blocks)
        (other,) = set(multiprocessing.active_children()) - before
        other.kill()
        with pytest.raises(ValueError, match=r"process 2 of 2, which reads a\.bin\.00.*, ended with exit code -9"):
            list(blocks)


def test_a_file_that_another_process_cannot_read_is_named(files, sectors, tmp_path):
    for module in range(6):
        name = files.with_suffix(f".{module:03d}").name
        (tmp_path / name).symlink_to(files.with_name(name))
    (tmp_path / "a.bin.004").unlink()
    write_words(tmp_path / "a.bin.004", [rigaku_words([0, 5, 2], [1, 2, 3], [1, 1, 1])])
    with (
        closing(ModulesReader(tmp_path / "a.bin.000", sectors, order="rows", processes=2, reduction={})) as team,
        pytest.raises(ValueError, match=r"a\.bin\.004, word 2: frame 2 after frame 5"),
    ):
        list(team.blocks(0, N_FRAMES))
    (tmp_path / "a.bin.004").unlink()
    with pytest.raises(EventFileError, match=r"missing: .*a\.bin\.004"):
        ModulesReader(tmp_path / "a.bin.000", sectors, order="rows", processes=2, reduction={})
