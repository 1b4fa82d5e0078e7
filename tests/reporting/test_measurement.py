"""A record as typed data; every damage is one line that names file, record and key."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hmseg.errors import DataError
from hmseg.reporting.configurations import configurations
from hmseg.reporting.gathering import from_records
from hmseg.reporting.measurement import Measurement, measurement
from hmseg.reporting.sections.baselines import baselines
from hmseg.reporting.sections.origin import origin
from hmseg.reporting.sections.results import missing
from made_evaluations import record, write_records


def read(**changes: Any) -> Measurement:
    found, _ = record()
    return measurement({**found, **changes}, Path("a.jsonl"), None)


def test_what_a_record_says() -> None:
    one = read()
    setting = one.setting
    assert (setting.model, setting.masking, setting.backbone) == ("hsnet", "hybrid", "resnet50_caffe")
    assert (one.fold, one.folds, one.seed, setting.shot, setting.episodes) == (1, 4, 0, 1, 60)
    assert (setting.aggregation, setting.checkpoint, setting.selection) == ("", "best", "published")
    assert len(one.history) == 14 and one.history[0].epoch == 1
    assert [score.name for score in one.classes] == ["bus", "car", "cat", "chair", "cow"]


def test_several_supports_have_an_aggregation() -> None:
    found, _ = record(shot=5, aggregation="mean_logits")
    assert measurement(found, Path("a"), None).setting.aggregation == "mean_logits"


def test_an_imported_checkpoint_has_neither_run_nor_history() -> None:
    found, _ = record()
    checkpoint = {**found["checkpoint"], "origin": "imported", "which": "other"}
    training = {"epoch": None, "seconds": None, "complete": None, "selection": "published", "history": []}
    one = read(checkpoint=checkpoint, run=None, training=training)
    assert (one.setting.origin, one.setting.selection, one.run, one.history) == ("imported", "", "", ())


def test_settings_of_the_training_come_from_its_own_configuration() -> None:
    found, _ = record()
    trained = {"seed": 0, "optimizer": {"lr": 0.001}, "trainer": {"max_epochs": 20}, "loader": {}}
    one = read(training={**found["training"], "config": trained}, config={**found["config"], "seed": 3})
    assert one.setting.training == "optimizer.lr=0.001, trainer.max_epochs=20"
    assert one.seed == 0
    assert read(config={**found["config"], "seed": 3}).seed == 3


DAMAGE = {
    "id: 16 hex digits": {"id": "../../etc/passwd"},
    "miou: expected a number, got 'high'": {"miou": "high"},
    "miou: expected a number, got nan": {"miou": float("nan")},
    "episodes: expected a whole number of at least 0, got -1": {"episodes": -1},
    "test: expected an object, got 3": {"test": 3},
    "test.dataset: expected a value, got None": {"test": {"shot": 1}},
    "per_class: expected a list of objects, got 'none'": {"per_class": "none"},
    r"per_class\[0\].name: expected a text, got 5": {
        "per_class": [{"class_id": 1, "name": 5, "iou": 1.0, "episodes": 1}]
    },
    "config.backbone: expected a value": {"config": {"model": {}}},
    r"training.history\[0\].epoch: expected a whole": {"training": {"history": [{"epoch": 1.5, "miou": 3}]}},
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damage_is_named(message: str) -> None:
    with pytest.raises(DataError, match=f"a.jsonl, record .*{message}") as raised:
        read(**DAMAGE[message])
    assert "\n" not in str(raised.value)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in nested data, of lists the first one's."""
    inside = node.items() if isinstance(node, dict) else enumerate(node[:1]) if isinstance(node, list) else ()
    for key, child in inside:
        yield (*path, key)
        yield from places(child, (*path, key))


@pytest.mark.parametrize("value", ["x", None, [], -1, 1.5, {}, [1, "a"], {"a": "b"}, True], ids=str)
def test_whatever_a_record_holds_it_is_read_or_refused(value: Any) -> None:
    whole, _ = record(baselines={"everything foreground": {"miou": 9.0, "fb_iou": 20.0}})
    refused = 0
    for path in places(whole):
        found = copy.deepcopy(whole)
        node: Any = found
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
        try:
            one = measurement(found, Path("a.jsonl"), None)
        except DataError as error:
            assert "\n" not in str(error)
            refused += 1
            continue
        every = configurations([one])
        origin(every, "", {})
        baselines(every)
        missing(every, ())
    assert refused > 10


def test_reduced_precision_is_part_of_the_setting(tmp_path: Path) -> None:
    made = {}
    for name, config in {
        "": {},
        "bf16-mixed": {"trainer": {"precision": "bf16-mixed"}},
        "float16 maps": {"features": {"precision": "float16"}, "trainer": {"precision": "32-true"}},
    }.items():
        found, _ = record()
        made[name] = measurement({**found, "config": {**found["config"], **config}}, Path("a.jsonl"), None)
        assert made[name].setting.precision == name
    every = configurations(made.values())
    assert len(every) == 3 and sum("bf16-mixed" in one.remarks for one in every) == 1


def test_control_characters_never_get_through() -> None:
    found, _ = record()
    one = read(run="a\x1b[31mb\n", per_class=[{**found["per_class"][0], "name": "b\x00us" + 900 * "s"}])
    assert one.run == "a [31mb " and one.classes[0].name.startswith("b us")
    assert len(one.classes[0].name) == 500


def test_a_table_of_another_evaluation_is_refused(tmp_path: Path) -> None:
    found, rows = record()
    path = write_records(tmp_path / "a.jsonl", [(found, rows[:-1])])
    (one,) = from_records(path).measurements
    with pytest.raises(DataError, match="59 episodes, the record has 60"):
        _ = one.table
    rows[0, 1] = 19
    path = write_records(tmp_path / "b.jsonl", [(found, rows)])
    (one,) = from_records(path).measurements
    with pytest.raises(DataError, match=r"classes \[19\] are not the record's"):
        _ = one.table
