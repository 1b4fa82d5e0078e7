"""Settings out of a file: plain data that builds what is shipped and looks nothing up."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hmseg.errors import CheckpointError
from hmseg.untrusted.settings import check, node_of, settings_of, value_of

KNOWN = {"hmseg.Head"}


def checkpoint(config: Any) -> dict[str, Any]:
    return {"hmseg": {"config": config}}


def test_plain_settings_come_through() -> None:
    config = {"model": {"_target_": "hmseg.Head", "sizes": [1, 2.5, None, True, "a"]}, "fold": 1}
    assert settings_of(checkpoint(config)) == config
    assert node_of(config, "model", KNOWN, "") == config["model"]
    assert value_of(config, "fold", int) == 1 and value_of(config, "shot", int) is None


def nest(depth: int) -> Any:
    node: Any = 1
    for _ in range(depth):
        node = [node]
    return node


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no hmseg configuration"),
        ({"hmseg": 3}, "holds no hmseg configuration"),
        (checkpoint(["model"]), "holds no hmseg configuration"),
        (checkpoint({"a": torch.zeros(1)}), "holds a Tensor, plain data was expected"),
        (checkpoint({"a": {3: 1}}), "has the key '3', a text was expected"),
        (checkpoint({"a": nest(100)}), "nested more than 50 deep"),
    ],
)
def test_other_settings_are_refused(content: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        settings_of(content)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "os.system"}, "builds 'os.system', which is not part of hmseg: do that"),
        ({"_target_": ["hmseg.Head"]}, "builds .*, which is not part of hmseg"),
        ({"_target_": None}, "builds 'None', which is not part"),
        ({"_target_": "hmseg.Head", "a": [{"b": {"_target_": "joblib.load"}}]}, "builds 'joblib.load'"),
        ({"_target_": "hmseg.Head", "a": "${oc.env:HOME}"}, "holds the unresolved value .*oc.env:HOME"),
        ({"_target_": "hmseg.Head", "${a}": 1}, "holds the unresolved value"),
        ({"_target_": "${a}"}, "builds .*which is not part of hmseg"),
        ({"_target_": "hmseg.Head", "a": [["x${b}"]]}, "holds the unresolved value"),
    ],
)
def test_what_settings_may_not_ask_for(node: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        check("its model", node, KNOWN, "do that")


@pytest.mark.parametrize("value", ["1", True, 1.0, [1], "${oc.env:HOME}", {"a": 1}])
def test_single_settings_have_their_type(value: Any) -> None:
    with pytest.raises(CheckpointError, match=r"its fold is .*, int was expected; give fold=…"):
        value_of({"fold": value}, "fold", int)
    with pytest.raises(CheckpointError):
        value_of({"aggregation": "${oc.env:HOME}"}, "aggregation", str)
