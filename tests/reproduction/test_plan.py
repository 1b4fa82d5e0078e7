"""Which steps a claim needs, and which are done already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hmseg.claims import Claim, find_claim, published
from hmseg.config.runs import RUN_FILE
from hmseg.errors import ConfigError
from hmseg.files import sha256
from hmseg.reproduction.plan import Request, evaluate_step, first_step
from made_records import made_record

CLAIM = find_claim("coco/1shot/hsnet/hybrid/resnet50", published())
ON_PASCAL = find_claim("coco2pascal/5shot/hsnet/hybrid/resnet50", published())


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def asked(claim: Claim = CLAIM, **options: object) -> Request:
    return Request(published(), claim, **options)  # type: ignore[arg-type]


def folder(fold: int = 0, experiment: str = "hsnet_hm_coco_resnet50") -> Path:
    path = Path("outputs/claims") / experiment / f"fold{fold}"
    (path / "checkpoints").mkdir(parents=True, exist_ok=True)
    return path


def test_a_training_is_run_resumed_or_skipped() -> None:
    step = first_step(asked(train=("trainer=gpu",)), 0)
    assert (step.state, step.program) == ("run", "train")
    assert step.words == (
        "experiment=hsnet_hm_coco_resnet50",
        "fold=0",
        "hydra.run.dir=outputs/claims/hsnet_hm_coco_resnet50/fold0",
        "trainer=gpu",
    )
    (folder() / "checkpoints/last.ckpt").touch()
    step = first_step(asked(train=("trainer=gpu",)), 0)
    assert step.state == "resume"
    assert step.words == ("resume=outputs/claims/hsnet_hm_coco_resnet50/fold0", "trainer=gpu")
    (folder() / RUN_FILE).write_text(json.dumps({"run": "0" * 32, "epochs": 35}))
    step = first_step(asked(), 0)
    assert step.state == "skip" and "35 epochs" in step.why


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": null}'])
def test_a_damaged_word_of_the_end_counts_for_nothing(text: str) -> None:
    (folder() / RUN_FILE).write_text(text)
    assert first_step(asked(), 0).state == "run"


def test_claims_that_share_a_training_train_once() -> None:
    (folder(2) / RUN_FILE).write_text(json.dumps({"run": "0" * 32, "epochs": 35}))
    five = find_claim("coco/5shot/hsnet/hybrid/resnet50", published())
    for claim in (CLAIM, five, ON_PASCAL):
        assert first_step(asked(claim), 2).state == "skip"
    other = find_claim("coco/1shot/hsnet/feature/resnet50", published())
    assert first_step(asked(other), 2).state == "run"


def test_coco_to_pascal_is_tested_on_pascal() -> None:
    step = evaluate_step(asked(ON_PASCAL), 1, [], [])
    assert step.words == (
        "ckpt=outputs/claims/hsnet_hm_coco_resnet50/fold1",
        "shot=5",
        "dataset=coco2pascal",
        "dataset.image_size=400",
    )


def test_an_evaluation_is_skipped_when_that_very_file_was_recorded() -> None:
    checkpoint = folder() / "checkpoints/best.ckpt"
    assert evaluate_step(asked(), 0, [], []).state == "run"
    checkpoint.write_bytes(b"weights")
    record = made_record(CLAIM, 0, 41.0, checkpoint__sha256=sha256(checkpoint))
    step = evaluate_step(asked(), 0, [record], [])
    assert (step.state, step.why) == ("skip", "recorded: mIoU 41.00")
    partial = made_record(CLAIM, 0, 41.0, checkpoint__sha256=sha256(checkpoint), test__lists="own")
    for records in ([], [partial], [made_record(CLAIM, 0)], [record | {"test": partial["test"]}]):
        assert evaluate_step(asked(), 0, records, []).state == "run"
    five = find_claim("coco/5shot/hsnet/hybrid/resnet50", published())
    assert evaluate_step(asked(five), 0, [record], []).state == "run"
    checkpoint.write_bytes(b"other weights")
    assert evaluate_step(asked(), 0, [record], []).state == "run"


def test_the_same_command_on_the_same_file_is_not_repeated_though_its_record_does_not_count() -> None:
    checkpoint = folder() / "checkpoints/best.ckpt"
    checkpoint.write_bytes(b"weights")
    words = list(evaluate_step(asked(evaluate=("loader.num_workers=2",)), 0, [], []).words)
    event = {"claim": CLAIM.id, "event": "finished", "checkpoint": sha256(checkpoint), "settings": words}
    assert evaluate_step(asked(evaluate=("loader.num_workers=2",)), 0, [], [event]).state == "skip"
    assert evaluate_step(asked(), 0, [], [event]).state == "run"
    checkpoint.write_bytes(b"other weights")
    assert evaluate_step(asked(evaluate=("loader.num_workers=2",)), 0, [], [event]).state == "run"


def test_published_checkpoints_are_imported_once_each(tmp_path: Path) -> None:
    files = {fold: tmp_path / f"{fold}.pt" for fold in range(4)}
    for fold, file in files.items():
        file.write_text(f"weights {fold}")
    request = asked(ON_PASCAL, checkpoints=files)
    step = first_step(request, 3)
    assert (step.kind, step.program, step.state) == ("import", "convert", "run")
    out = f"outputs/claims/hsnet_hm_coco_resnet50/published/fold3-{sha256(files[3])[:12]}.ckpt"
    assert step.words == (
        f"source={files[3]}", f"out={out}", "model=hsnet", "masking=hybrid", "backbone=resnet50",
        "dataset=coco", "fold=3",
    )  # fmt: skip
    assert evaluate_step(request, 3, [], []).words[0] == f"ckpt={out}"
    Path(out).parent.mkdir(parents=True)
    Path(out).touch()
    assert first_step(request, 3).state == "skip"
    files[3].write_text("other weights")
    assert first_step(request, 3).state == "run"


def test_another_folder_of_results_is_told_to_the_steps() -> None:
    request = asked(results="elsewhere")
    assert first_step(request, 0).words[-1] == "paths.records=elsewhere/records.jsonl"
    assert evaluate_step(request, 0, [], []).words[-1] == "paths.records=elsewhere/records.jsonl"


def test_wrong_settings_of_a_training_are_found_early() -> None:
    assert asked(train=("trainer.max_epochs=3",)).training["trainer"]["max_epochs"] == 3
    with pytest.raises(ConfigError, match="did you mean 'trainer.max_epochs'"):
        _ = asked(train=("trainer.max_epoch=3",)).training
