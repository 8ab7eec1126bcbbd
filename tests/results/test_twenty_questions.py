"""Both columns of the questions about results give the right answer."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiled.client.container import Container

HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to/query-results.md"
PAGE = HOW_TO.read_text().split("## Questions, ready to copy")[1]
QUESTIONS = re.findall(r"^\| (….*?) \| `(.*)` \| `(.*)` \|$", PAGE, re.MULTILINE)
WHICH = {  # numbers of the runs in the answer to a question
    "novel last night": [3], "stricter": [3], "no p-value": [7], "relax within": [4], "in regime 1": [1, 3, 4],
    "another regime": [2, 4, 7], "shutter": [5], "analysed again": [0], "look most like": [0, 1, 3],
    "of this sample": [9, 10, 11, 12], "second event": [10], "taken again": [12], "noted a bubble": [4, 10],
}  # fmt: skip
WHAT = {  # short answers to other questions
    "people rejected suggestions": ["a bubble"],
    "who took a suggestion back": ["ainerd", "newer results"],
    "number of regimes": [1, 3],
    "notes on scan 4": ["a bubble"],
    "user and proposal": ["bob", 271],
    "reason why this place": "nobody was there",
}


@pytest.fixture(scope="module")
def names(night):
    client, store, keys = night
    names = {"client": client, "key": keys[2], "taken_back": "withdrawn"}
    code = re.search(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
    exec(re.sub(r"^(key|taken_back) = .*\n", "", code, flags=re.MULTILINE), names)
    return names


def plain(answer):
    if isinstance(answer, Container):
        return set(answer)
    if isinstance(answer, pd.DataFrame):
        return set(answer.index)
    return answer


def test_each_question_has_an_answer():
    questions = [question for question, _, _ in QUESTIONS]
    assert len(set(questions)) == len(questions) == 23
    known = {*WHICH, *WHAT}
    assert all(sum(part in question for question in questions) == 1 for part in known)


@pytest.mark.parametrize("question, tiled, store", QUESTIONS, ids=[re.sub(r"\W+", "-", q[0]) for q in QUESTIONS])
def test_both_ways_give_the_same(question, tiled, store, names, night):
    with_tiled, with_store = plain(eval(tiled, names)), plain(eval(store, names))
    assert len(with_tiled) > 0
    if isinstance(with_store, set):
        assert set(with_tiled) == with_store
        (expected,) = (numbers for part, numbers in WHICH.items() if part in question)
        assert with_store == {night[2][i] for i in expected}
    elif isinstance(with_store, list | str | dict):
        assert with_tiled == with_store
        assert all(answer == with_store for part, answer in WHAT.items() if part in question)
    else:
        np.testing.assert_array_equal(with_tiled, with_store)
        assert np.isfinite(with_store).all()
