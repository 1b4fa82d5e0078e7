"""Every single deviation from a claim's protocol keeps a record from counting, with its reason."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hmseg.claims import Claim, about, find_claim, published, verdict, why_not
from made_records import made_record

CLAIM = find_claim("pascal/1shot/hsnet/hybrid/resnet50", published())

DEVIATIONS: list[tuple[dict[str, Any], str]] = [
    ({"config__model___target_": "hmseg.networks.vat.VATHead"}, "model VATHead instead of hsnet"),
    ({"config__masking___target_": "hmseg.masking.NoMasking"}, "masking NoMasking instead of hybrid"),
    ({"config__masking__remask": True}, "masking remask true instead of false"),
    ({"config__masking__levels": [4, 3]}, "masking levels [4, 3] instead of null"),
    ({"config__backbone__name": "resnet101"}, "backbone resnet101 instead of resnet50"),
    ({"backbone__weights": "random"}, "backbone weights random, not imagenet"),
    ({"backbone__weights": "checkpoint"}, "backbone weights checkpoint, not imagenet"),
    ({"test__dataset": "coco2pascal"}, "tested on coco2pascal instead of pascal"),
    ({"test__fold": 4}, "fold 4, which pascal has not"),
    ({"test__shot": 5}, "5 shots instead of 1"),
    ({"test__lists": "own"}, "lists own, not published"),
    ({"test__protocol": "strict"}, "episodes of protocol strict instead of hsnet"),
    ({"test__protocol": "manifest"}, "episodes of protocol manifest instead of hsnet"),
    ({"test__protocol_seed": 1}, "protocol seed 1 instead of 0"),
    ({"test__protocol_seed": [0, 1]}, r"protocol seed [0, 1] instead of 0"),
    ({"episodes": 300}, "300 episodes instead of 1000"),
    ({"test__digest": "ab" * 32}, "other episodes (SHA-256 abababababab) than the published ones (81a828b56da3)"),  # noqa: E501
    ({"test__size": [512, 512]}, "512 px instead of 400"),
    ({"test__size": [400, 300]}, "400x300 px instead of 400"),
    ({"test__original_size": True}, "tested at the original size instead of the network's"),
    ({"test__resize": "opencv"}, "resize opencv instead of pil"),
    ({"test__aggregation": "mean_logits"}, "aggregation mean_logits instead of vote"),
    ({"config__trainer__precision": "16-mixed"}, "precision 16-mixed instead of 32-true"),
    ({"config__features": {"precision": "float16"}}, "backbone maps rounded to float16"),
    ({"training__config__features": {"precision": "float16"}}, "trained on backbone maps rounded to float16"),
    ({"checkpoint__origin": "elsewhere"}, "a checkpoint of origin elsewhere, neither trained here nor published"),  # noqa: E501
    ({"checkpoint__which": "last"}, "checkpoint last instead of best"),
    ({"training__complete": False}, "training not complete"),
    ({"training__complete": None}, "training not known to be complete"),
    ({"training__selection": "clean"}, "best checkpoint chosen on clean classes instead of published"),
    ({"training__config": None}, "the configuration of the training is not in the record"),
    ({"training__config__dataset__name": "coco"}, "trained on coco instead of pascal"),
    ({"training__config__fold": 1}, "trained for fold 1, tested on fold 0"),
    ({"training__config__masking__threshold": 0.5}, "masking threshold 0.5 instead of 0.0 in training"),
    ({"training__config__optimizer___target_": "torch.optim.SGD"}, "optimiser SGD instead of Adam"),
    ({"training__config__optimizer__lr": 0.01}, "optimiser lr 0.01 instead of 0.001"),
    ({"training__config__optimizer__weight_decay": 0.1}, "optimiser weight_decay 0.1 instead of 0.0"),
    ({"training__config__loader__batch_size": 8}, "8 episodes of a step instead of 20"),
    ({"training__config__trainer__accumulate_grad_batches": 2}, "40 episodes of a step instead of 20"),
    ({"training__config__trainer__devices": 2}, "40 episodes of a step instead of 20"),
    ({"training__config__trainer__devices": -1}, "trainer.devices=-1 doesn't tell how many devices trained"),
    ({"training__config__dataset__image_size": 160}, "image size of the training 160 instead of 400"),
    ({"training__config__dataset__novel": "drop"}, "dataset.novel drop instead of keep"),
    ({"training__config__trainer__max_epochs": 3}, "epochs at most 3 instead of 2000"),
    ({"training__config__trainer__max_time": "00:01:00:00"}, "training time at most 00:01:00:00 instead of null"),  # noqa: E501
    ({"training__config__trainer__max_steps": 9}, "steps at most 9 instead of -1"),
    ({"training__config__loader__augmentation": "vat"}, "augmentation vat instead of none"),
    ({"training__config__loader__resize": "opencv"}, "resize of the training opencv instead of pil"),
    ({"training__config__loader__train_episodes": 600}, "episodes of an epoch 600 instead of null"),
    ({"training__config__loader__train_shot": 5}, "shots of the training 5 instead of 1"),
    ({"training__config__loader__val_episodes": 10}, "validation episodes 10 instead of 1000"),
    ({"training__config__void_in_loss": "ignore"}, "void pixels in the loss ignore instead of background"),
    ({"training__config__backbone__weights": "random"}, "trained on backbone weights random instead of imagenet"),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize("claim", published(), ids=lambda claim: claim.id)
def test_a_record_on_the_full_protocol_counts(claim: Claim) -> None:
    record = made_record(claim, claim.folds[-1])
    assert about(claim, record)
    assert why_not(claim, record) == []


@pytest.mark.parametrize(("changes", "reason"), DEVIATIONS, ids=[reason for _, reason in DEVIATIONS])
def test_a_single_deviation_has_its_reason_and_verifies_nothing(changes: dict[str, Any], reason: str) -> None:
    records = [made_record(CLAIM, fold) for fold in CLAIM.folds]
    assert verdict(CLAIM, records).status == "verified"
    records[0] = made_record(CLAIM, 0, **copy.deepcopy(changes))
    reasons = why_not(CLAIM, records[0])
    assert reason in reasons and all("\n" not in each for each in reasons)
    found = verdict(CLAIM, records)
    assert (found.status, found.miou, found.missing) == ("unverified", None, (0,))


def test_several_devices_share_the_published_batch() -> None:
    changes = {"training__config__loader__batch_size": 5, "training__config__trainer__devices": [0, 1, 2, 3]}
    assert why_not(CLAIM, made_record(CLAIM, 0, **changes)) == []


def published_record(claim: Claim, fold: int | None, **changes: Any) -> dict[str, Any]:
    """Of an imported checkpoint: it brings its backbone, and nobody knows how it was trained."""
    record = made_record(
        claim, fold, checkpoint__origin="published", backbone__weights="checkpoint", **changes
    )
    record["checkpoint"]["which"] = "other"
    stored = record["training"]["config"]
    kept = {key: stored[key] for key in ("fold", "model", "masking", "backbone", "dataset")}
    record["training"] = {"complete": None, "selection": "published", "history": [], "config": kept}
    return record | {"run": None}


def test_a_published_checkpoint_counts_whatever_it_was_trained_with() -> None:
    assert why_not(CLAIM, published_record(CLAIM, 2)) == []
    assert why_not(CLAIM, published_record(CLAIM, 2, test__lists="own")) == ["lists own, not published"]
    wrong = published_record(CLAIM, 2, training__config__fold=0)
    assert why_not(CLAIM, wrong) == ["trained for fold 0, tested on fold 2"]


def test_coco_to_pascal_counts_a_training_on_either_name_of_coco() -> None:
    claim = find_claim("coco2pascal/5shot/vat/hybrid/resnet50", published())
    for trained_on in ("coco", "coco2pascal"):
        assert why_not(claim, made_record(claim, 1, training__config__dataset__name=trained_on)) == []
    other = made_record(claim, 1, training__config__model__affinity="pascal")
    assert why_not(claim, other) == ["model affinity pascal instead of coco in training"]


def test_asnet_is_tested_on_its_own_episodes() -> None:
    claim = find_claim("pascal/1shot/asnet/none/resnet50", published())
    hsnets = made_record(CLAIM, 0)["test"]["digest"]
    reasons = why_not(claim, made_record(claim, 0, test__protocol="hsnet", test__digest=hsnets))
    assert len(reasons) == 2 and reasons[0] == "episodes of protocol hsnet instead of ifsl"


@pytest.mark.parametrize("broken", [{}, {"test": {}}, {"test": None, "config": {}}, {"miou": "44.3"}])
def test_what_is_no_record_is_about_nothing(broken: dict[str, Any]) -> None:
    assert not about(CLAIM, broken)
    assert verdict(CLAIM, [broken, made_record(CLAIM, 0) | {"miou": "high"}]).by_fold == {}
