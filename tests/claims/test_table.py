"""The published claims: all there, each with an experiment; files of one's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hmseg.claims import find_claim, published, read_claims
from hmseg.config import conf_dir
from hmseg.errors import ConfigError, DataError

HEADER = "benchmark,shot,model,masking,backbone,metric,claimed,per_fold,fb_iou,source"


def test_all_claims_are_those_of_the_reference(shared: Path) -> None:
    packaged = Path(read_claims.__code__.co_filename).parents[1] / "assets/claims.csv"
    assert packaged.read_bytes() == (shared / "spec/claims.csv").read_bytes()


def test_there_are_64_and_half_of_them_are_of_hybrid_masking() -> None:
    claims = published()
    assert len({claim.id for claim in claims}) == 64
    assert Counter(claim.masking == "hybrid" for claim in claims) == {True: 32, False: 32}
    assert all(claim.source.startswith("HM") == (claim.masking == "hybrid") for claim in claims)


def test_per_fold_values_average_to_the_claim() -> None:
    """The published means are rounded, and some by more than rounding: within 0.3 of their folds."""
    for claim in published():
        if claim.per_fold:
            assert abs(sum(claim.per_fold) / 4 - claim.claimed) < 0.3, claim.id


def test_every_claim_has_its_experiment_and_training() -> None:
    for claim in published():
        for name in (claim.experiment, claim.training):
            assert (conf_dir() / "experiment" / f"{name}.yaml").is_file(), claim.id


def test_shots_share_a_training_and_so_does_pascal_with_coco() -> None:
    by_id = {claim.id: claim for claim in published()}
    names = [
        by_id[f"{benchmark}/{shot}shot/vat/hybrid/resnet50"].training
        for benchmark in ("coco", "coco2pascal")
        for shot in (1, 5)
    ]
    assert set(names) == {"vat_hm_coco_resnet50"}


def test_unknown_claim_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean .*coco/1shot/hsnet/hybrid/resnet50") as caught:
        find_claim("coco/1shot/hsnet/hybird/resnet50", published())
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="list=true shows all 64"):
        find_claim("nothing", published())


def test_own_claims_name_their_experiments(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        f"{HEADER},experiment,folds\nshapes,1,hsnet,hybrid,mobilenet_v2,miou,40,,,me,shapes_quick,2\n"
    )
    (claim,) = read_claims(file)
    assert (claim.id, claim.experiment, claim.training) == (
        "shapes/1shot/hsnet/hybrid/mobilenet_v2",
        "shapes_quick",
        "shapes_quick",
    )
    assert (claim.folds, claim.per_fold, claim.fb_iou) == ((0, 1), (), None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("shapes,1,hsnet,hybrid,mobilenet_v2,miou,40,,,me", "give its number of folds"),
        ("pascal,1,hsnet,hybrid,resnet50,miou,much,,,me", "line 2: could not convert"),
        ("pascal,1,hsnet,hybrid,resnet50,miou,40,1 2,,me", "per_fold has 2 values, pascal has 4 folds"),
        ("pascal,0,hsnet,hybrid,resnet50,miou,40,,,me", "shot: expected at least 1"),
        ("pascal,1,hs net;rm,hybrid,resnet50,miou,40,,,me", "model: expected a name of letters"),
        ("pascal,1", "line 2"),
    ],
)
def test_bad_rows_are_one_line(tmp_path: Path, row: str, message: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(f"{HEADER}\n{row}\n")
    with pytest.raises(DataError, match=message) as caught:
        read_claims(file)
    assert "\n" not in str(caught.value)


def test_bad_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_claims(tmp_path / "nowhere.csv")
    file = tmp_path / "mine.csv"
    file.write_text("benchmark,shot\n")
    with pytest.raises(DataError, match="the column model is missing"):
        read_claims(file)
    row = "pascal,1,hsnet,hybrid,resnet50,miou,40,,,me"
    file.write_text(f"{HEADER}\n{row}\n{row}\n")
    with pytest.raises(DataError, match="stands there twice"):
        read_claims(file)
