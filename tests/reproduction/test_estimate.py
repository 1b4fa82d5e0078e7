"""Durations from measured throughput."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hmseg.claims import find_claim, published
from hmseg.reproduction import measure
from hmseg.reproduction.estimate import EPOCHS_TO_BEST, estimate, speed_from
from hmseg.reproduction.plan import Request, Step
from made_records import made_record

CLAIM = find_claim("coco/5shot/hsnet/hybrid/resnet50", published())
HARDWARE = {"cpu": "AMD EPYC", "cores": 2, "threads": 2, "gpu": None}
STEPS = [Step("train", 0, "train", (), "run"), Step("evaluate", 0, "evaluate", (), "run")]


def speed(*records: dict[str, Any], **hardware: Any) -> Any:
    return speed_from(CLAIM, Request(published(), CLAIM).training, records, HARDWARE | hardware)


def test_records_of_the_same_network_on_the_same_hardware_tell() -> None:
    one = made_record(CLAIM, 0, training__seconds=4000.0, training__step=100, seconds=500.0)
    two = made_record(CLAIM, 1, training__seconds=8000.0, training__step=100, seconds=1500.0)
    last = two | {"checkpoint": {**two["checkpoint"], "which": "last"}}  # of the same run
    found = speed(one, two, last)
    assert found.train == pytest.approx((1.0 + 2.0) / 2)  # batches of 40
    assert found.test == pytest.approx(0.3)  # 1000 episodes of 5 supports: 0.1, 0.3, 0.3
    assert found.validated and found.source == "records of 2 trainings and 3 tests on this hardware"


def test_other_hardware_networks_and_sizes_tell_nothing() -> None:
    record = made_record(CLAIM, 0)
    assert speed(record, threads=4).test is None
    assert speed(record, gpu="NVIDIA H100").train is None
    assert speed(made_record(CLAIM, 0, hardware__gpu="NVIDIA H100"), gpu="NVIDIA H100", threads=9).test
    other = find_claim("coco/5shot/hsnet/feature/resnet50", published())
    assert speed(made_record(other, 0)).test is None
    small = made_record(CLAIM, 0, config__dataset__image_size=160, training__config__dataset__image_size=160)
    assert (speed(small).train, speed(small).test) == (None, None)
    assert speed(made_record(CLAIM, 0, training__seconds=None)).train is None


def test_durations_are_epochs_times_episodes_times_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmseg.environment.hardware", lambda: HARDWARE)
    record = made_record(CLAIM, 0, training__seconds=4000.0, training__step=100, seconds=500.0)
    found = estimate(Request(published(), CLAIM), STEPS, [record])
    training, test = found.steps
    assert training is not None and test is not None
    assert training.most == pytest.approx(2000 * 62040) and training.likely == pytest.approx(35 * 62040)
    assert test.most == pytest.approx(500.0) and found.epochs == (2000, 35)
    short = Request(published(), CLAIM, train=("trainer.max_epochs=10", "loader.train_episodes=100"))
    training = estimate(short, STEPS, [record]).steps[0]
    assert training is not None and training == (1000.0, 1000.0)
    limited = Request(published(), CLAIM, train=("trainer.max_time=00:01:00:00",))
    training = estimate(limited, STEPS, [record]).steps[0]
    assert training is not None and training.most == 3600.0


def test_without_records_this_machine_is_measured_if_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = estimate(Request(published(), CLAIM, measure=False), STEPS, [])
    assert [each and each.most for each in unknown.steps] == [math.inf, math.inf]
    assert unknown.source == "no record tells, and measure=false"
    monkeypatch.setattr(measure, "measure", lambda settings: measure.Measured(2.0, 0.5, "cpu"))
    found = estimate(Request(published(), CLAIM), STEPS, [])
    training, test = found.steps
    assert training is not None and test is not None
    assert training.most == pytest.approx(2000 * (62040 * 2.0 + 1000 * 0.5))
    assert test.most == pytest.approx(1000 * 5 * 0.5) and found.source.startswith("measured now on cpu")


def test_nothing_is_measured_for_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "measure", lambda settings: pytest.fail("measured"))
    done = [Step("train", 0, "train", (), "skip"), Step("evaluate", 0, "evaluate", (), "skip")]
    assert list(estimate(Request(published(), CLAIM), done, []).steps) == [None, None]


def test_a_network_is_measured_as_it_is_trained() -> None:
    settings = ("experiment=shapes_quick", "dataset.image_size=64")
    found = measure.measure(settings, budget=0.0)
    assert found.step > 0 and found.forward > 0 and found.device in ("cpu", "cuda")


def test_published_epochs_are_those_of_the_reference() -> None:
    """306 -> 102, 242 -> 35, 174 -> 68, 297 -> 27: hybrid masking was always faster."""
    assert all(hybrid < feature for feature, hybrid in EPOCHS_TO_BEST.values())
