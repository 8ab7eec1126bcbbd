import json
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
from pydantic import ValidationError

from ainerd.dose import DoseBook, DoseError
from ainerd.knobs import Exposure, ExposureOptions, Knob, Mode

MODES = [{"frame_time_s": (1e-3, 1.0), "frames": (100, 10000)}]
BEAM = {"x": 0.1, "y": 0.1}
SECOND = Exposure(1e-3, 1000, 1.0)


def options(**given):
    return ExposureOptions(**{"modes": MODES, "transmissions": (1.0, 0.1), "flux": 2.0, "limit": 5.0} | given)


def test_doses_of_overlapping_spots_add_up_and_the_limit_is_not_passed():
    book = DoseBook(options(), BEAM)
    assert book.enter("a", {"x": 1.0, "y": 1.0}, SECOND) == 2.0
    book.enter("b", {"x": 1.09, "y": 1.0}, SECOND)
    with pytest.raises(DoseError, match="the spot at x = 1.05, y = 1 has 4 photons/um2, and 1000 frames"):
        book.enter("c", {"x": 1.05, "y": 1.0}, SECOND)
    book.enter("c", {"x": 1.2, "y": 1.0}, SECOND)
    book.enter("d", {"x": 1.05, "y": 1.0}, Exposure(1e-3, 1000, 0.5))  # exactly the limit
    assert book.left({"x": 1.05, "y": 1.0}) == 0 and book.seconds == 4 and len(book) == 4


def test_spots_that_are_a_beam_apart_do_not_overlap():
    """The differences of their positions are not exactly a beam."""
    book = DoseBook(options(limit=2.0), BEAM)
    for i in range(40):
        book.enter(str(i), {"x": round(0.1 * i, 10), "y": 1.0}, SECOND)


def test_a_sample_has_a_limit_of_its_own_and_each_place_of_a_holder_is_a_sample():
    holder = Knob(values=(1, 2), apart=True)
    book = DoseBook(options(limit_of_sample=3.0), {**BEAM, "holder": 0.1}, {"holder": holder})
    book.enter("a", {"x": 1.0, "y": 1.0, "holder": 1}, SECOND)
    with pytest.raises(DoseError, match="the sample at"):
        book.enter("b", {"x": 5.0, "y": 1.0, "holder": 1}, SECOND)
    book.enter("b", {"x": 1.0, "y": 1.0, "holder": 2}, SECOND)


def test_a_knob_that_does_not_move_the_beam_makes_no_new_spot():
    book = DoseBook(options(spot=("x", "y")), {**BEAM, "temperature": 1.0})
    book.enter("a", {"x": 1.0, "y": 1.0, "temperature": 300.0}, SECOND)
    assert book.dose_at({"x": 1.0, "y": 1.0, "temperature": 400.0}) == (2.0, 2.0)
    with pytest.raises(ValueError, match="exposure.spot: there is no knob z"):
        DoseBook(options(spot=("z",)), BEAM)


def test_a_shutter_that_closed_late_raises_the_dose_and_an_early_one_does_not_lower_it():
    book, here = DoseBook(options(), BEAM), {"x": 1.0, "y": 1.0}
    book.enter("a", here, SECOND)
    book.took("a", 1.0)
    assert book.dose_at(here)[0] == 2
    book.took("a", 6.0)
    assert book.dose_at(here)[0] == 6 and book.left(here) == 0


def test_an_exposure_whose_process_was_killed_counts_until_the_shutter_is_closed(tmp_path, monkeypatch):
    now, here = [1000.0], {"x": 1.0, "y": 1.0}
    monkeypatch.setattr("ainerd.dose._book.time.time", lambda: now[0])
    killed = DoseBook(options(limit=100.0), BEAM, path=tmp_path / "dose.jsonl")
    killed.enter("a", here, SECOND)
    killed.opened("a", 0.5)
    book = DoseBook(options(limit=100.0), BEAM, path=tmp_path / "dose.jsonl")
    assert book.dose_at(here) == (2.0, 2.0)  # as planned
    now[0] += 40
    assert book.dose_at(here) == killed.dose_at(here) == (20.0, 20.0) and book.total == 20
    book.settle()
    now[0] += 40
    assert book.dose_at(here) == killed.dose_at(here) == (20.0, 20.0)
    killed.took("a", 24.0)  # it was not killed after all
    assert book.dose_at(here)[0] == 24
    book.opened("unknown", 1.0)  # of another sample
    assert book.dose_at(here)[0] == 24


def test_a_shutter_may_close_while_the_doses_are_summed(monkeypatch):
    book, closing = DoseBook(options(), {"x": 0.1}), []
    for id, x in (("1", 0.0), ("2", 1.0)):
        book.enter(id, {"x": x}, SECOND)
        book.opened(id, 1.0)
    now = time.time

    def late():
        if not closing:
            closing.append(threading.Thread(target=book.took, args=("1", 1.0)))
            closing[0].start()
            closing[0].join(0.2)
        return now()

    monkeypatch.setattr("ainerd.dose._book.time.time", late)
    assert book.total >= 4.0
    closing[0].join()


def test_the_spots_between_two_readbacks_of_an_exposure_all_get_its_dose(tmp_path):
    book = DoseBook(options(), BEAM, path=tmp_path / "dose.jsonl")
    book.enter("a", {"x": 1.0, "y": 1.0}, SECOND)
    book.moved("a", {"x": 2.0, "y": 1.0005})
    for each in (book, DoseBook(options(), BEAM, path=tmp_path / "dose.jsonl")):
        assert [each.dose_at({"x": x, "y": 1.0})[0] for x in (0.85, 0.95, 1.5, 2.05, 2.15)] == [0, 2, 2, 2, 0]


def test_a_place_of_a_holder_is_the_one_nearest_to_its_readback():
    book = DoseBook(options(limit=100.0), {**BEAM, "holder": 0.1}, {"holder": Knob(values=(1, 2), apart=True)})
    for i, readback in enumerate((1.0, 1.003, 1.999)):
        book.enter(str(i), {"x": 1.0, "y": 1.0, "holder": readback}, SECOND)
    assert [book.dose_at({"x": 1.0, "y": 1.0, "holder": place}) for place in (1, 2)] == [(4.0, 4.0), (2.0, 2.0)]


def test_a_position_that_is_not_known_is_refused():
    with pytest.raises(DoseError, match="the dose at x = nan, y = 1 is not known"):
        DoseBook(options(), BEAM).enter("a", {"y": 1.0}, SECOND)


def test_entries_survive_on_disk_with_torn_lines_between_them(tmp_path):
    path, here = tmp_path / "dose.jsonl", {"x": 1.0, "y": 1.0}
    DoseBook(options(), BEAM, path=path).enter("a", here, SECOND)
    with open(path, "ab") as file:
        file.write(b'{"id": "torn", "pos')
    DoseBook(options(), BEAM, path=path).enter("b", here, SECOND)
    book = DoseBook(options(), BEAM, path=path)
    assert book.dose_at(here) == (4.0, 4.0) and len(book) == 2
    assert DoseBook(options(sample="another"), BEAM, path=path).dose_at(here) == (0, 0)
    wider = DoseBook(options(), {**BEAM, "z": 0.1}, path=path)  # entries without z count at each z
    assert wider.dose_at({**here, "z": 3.0}) == (4.0, 4.0)
    lines = [json.loads(line) for line in path.read_bytes().splitlines() if b"torn" not in line]
    assert [line["dose"] for line in lines] == [2.0, 2.0]


def entering(path, name):
    book = DoseBook(options(limit=41.0), BEAM, path=path)
    for i in range(15):
        try:
            book.enter(f"{name}{i}", {"x": 1.0, "y": 1.0}, SECOND)
        except DoseError:
            return
        if name == "killed" and i == 3:
            os.kill(os.getpid(), signal.SIGKILL)


def test_processes_share_a_limit_even_if_one_is_killed(tmp_path):
    path = tmp_path / "dose.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=entering, args=(path, name)) for name in ("a", "killed", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert DoseBook(options(limit=41.0), BEAM, path=path).dose_at({"x": 1.0, "y": 1.0})[0] == 40


def test_gray_are_energy_per_mass():
    gray = options(unit="Gy", energy_keV=10.0, absorption_cm2_g=5.0, flux=1e3)
    # 1e15 photons/m2 in a second of 1.602e-15 J each, and 0.5 m2/kg
    assert gray.dose(SECOND) == pytest.approx(1e15 * 1.602176634e-15 * 0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"unit": "Gy"}, "Gy needs energy_keV and absorption_cm2_g"),
        ({"energy_keV": 10.0}, "leave them out"),
        ({"transmissions": (0.1, 1.0)}, "transmissions must decrease"),
        ({"transmissions": (2.0,)}, "less than or equal to 1"),
        ({"longest_s": 0.01}, "shorter than the shortest exposure"),
        ({"modes": []}, "at least 1 item"),
        ({"limit": 0}, "greater than 0"),
    ],
)
def test_wrong_options_are_refused_with_the_reason(given, message):
    with pytest.raises(ValidationError, match=message):
        options(**given)
    with pytest.raises(ValidationError, match="lower limit first"):
        Mode(frame_time_s=(1.0, 0.1), frames=(1, 2))


def test_an_exposure_that_no_mode_has_is_refused():
    assert options().objection(SECOND) is None
    assert "no mode of the detector has 50 frames" in options().objection(Exposure(1e-3, 50, 1.0))
    assert "transmission" in options().objection(Exposure(1e-3, 1000, 1.2))
    assert "longest_s" in options(longest_s=100.0).objection(Exposure(0.5, 1000, 1.0))


def test_no_point_of_a_sample_passes_its_limit_in_random_campaigns():
    rng = np.random.default_rng(5)
    for _ in range(40):
        limit, beam = rng.uniform(1, 10), rng.uniform(0.05, 0.4, 2)
        book = DoseBook(options(limit=limit), dict(zip("xy", beam, strict=True)))
        given = []
        for i in range(25):
            place = rng.random(2)
            exposure = Exposure(1e-3, int(rng.integers(100, 3000)), float(rng.choice([1.0, 0.1])))
            try:
                dose = book.enter(str(i), dict(zip("xy", place, strict=True)), exposure)
            except DoseError:
                continue
            given.append((*place, dose))
        points = rng.random((4000, 2))
        inside = [(np.abs(points - place) < beam / 2).all(1) * dose for *place, dose in given]
        assert len(given) > 3 and np.sum(inside, 0).max() <= limit * (1 + 1e-9)
