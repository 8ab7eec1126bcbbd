import numpy as np
import pytest
from pydantic import ValidationError

from ainerd.knobs import Knob, lengths, order_of_change

X = Knob(range=(0, 10), unit="mm", length=1.0)
T = Knob(range=(300, 400), unit="K", length=20.0, speed=0.5, settle_s=60, direction="up")


def test_the_time_of_a_change_is_its_way_over_the_speed_and_the_time_to_settle():
    assert T.seconds(310.0, np.array([310.0, 330.0, 300.0])).tolist() == [0, 100, 80]
    assert X.seconds(1.0, np.array([9.0])).tolist() == [0] and not X.costs


def test_the_noise_of_a_reading_is_no_change():
    assert T.seconds(310.0, np.array([309.91, 310.09, 310.2])) == pytest.approx([0, 0, 60.4])
    assert T.objection(310.09, 310.0) is None and T.objection(310.2, 310.0) is not None


@pytest.mark.parametrize(
    ("now", "then", "words"),
    [
        (310.0, 320.0, None),
        (310.0, 310.0 - 5e-5, None),  # the readback of the same temperature
        (310.0, 305.0, "lies behind 310, and it only goes up"),
        (310.0, 401.0, "lies outside its range, 300 to 400"),
    ],
)
def test_a_knob_objects_to_a_place_beyond_its_range_or_behind_it(now, then, words):
    assert T.objection(now, then) == words


def test_a_knob_takes_only_its_values():
    holder = Knob(values=(1, 2, 4), apart=True)
    assert holder.range == (1, 4) and holder.objection(1.0, 2.0) is None
    assert holder.objection(1.0, 3.0) == "is not one of its values, 1, 2, 4"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"range": (5, 1)}, "the lower one first"),
        ({"values": (3, 1)}, "values must increase"),
        ({"range": (0, 2), "values": (1, 3)}, "must lie in the range"),
        ({"range": (0, 1), "apart": True}, "apart needs values"),
        ({"range": (0, 1), "lenght": 1}, "not permitted"),
    ],
)
def test_a_wrong_knob_is_refused_with_the_reason(given, message):
    with pytest.raises(ValidationError, match=message):
        Knob(**given)


def test_knobs_of_different_units_need_lengths():
    assert lengths({"x": X, "temperature": T}) == {"x": 1.0, "temperature": 20.0}
    assert lengths({"x": Knob(range=(0, 1), unit="mm"), "holder": Knob(values=(1, 2), apart=True)})["x"] == 1.0
    with pytest.raises(ValueError, match=r"x needs a length.*x \(mm\), temperature \(K\)"):
        lengths({"x": Knob(range=(0, 1), unit="mm"), "temperature": Knob(range=(0, 1), unit="K")})
    with pytest.raises(ValueError, match="y needs a length"):
        lengths({"x": X, "y": Knob(range=(0, 1), unit="mm")})


def test_the_slowest_knob_changes_first():
    fast = Knob(range=(0, 10), speed=1)
    assert order_of_change({"x": X, "fast": fast, "temperature": T}) == ["temperature", "fast"]
