"""The values of administration: kept in sets, copied, pickled."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from llmmw import BatchInfo, Checkpoint, FileInfo, FineTuneEvent, FineTuneInfo, ModelInfo, Transfer

VALUES: list[Any] = [
    BatchInfo(id="b", provider="p", status="s", ended=True, metadata={"a": "b"}, raw={"x": []}),
    Checkpoint(id="c", metrics={"loss": 0.5}, raw={"x": []}),
    FileInfo(id="f", provider="p", raw={"x": []}),
    FineTuneEvent(message="m", raw={"x": []}),
    FineTuneInfo(id="f", provider="p", status="s", ended=True, hyperparameters={"n": [1]}),
    ModelInfo(id="m", provider="p", raw={"x": []}),
    Transfer(done=1),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_go_into_sets_and_pickles(value: Any) -> None:
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert other == value
        assert {value, other} == {value}
        assert getattr(other, "raw", None) == getattr(value, "raw", None)
