"""Records from a file and from a sweep's folder; jobs without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hmseg.errors import DataError
from hmseg.reporting.gathering import from_records, from_sweep
from made_evaluations import record, several, write_beside_checkpoint, write_records


def job(sweep: Path, name: str, *overrides: str) -> Path:
    folder = sweep / name
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/overrides.yaml").write_text("".join(f"- {each}\n" for each in overrides))
    return folder


def test_the_order_does_not_depend_on_the_file(tmp_path: Path) -> None:
    made = several()
    one = from_records(write_records(tmp_path / "a.jsonl", made))
    other = from_records(write_records(tmp_path / "b.jsonl", made[::-1]))
    assert [each.identity for each in one.measurements] == [each.identity for each in other.measurements]
    maskings = [each.setting.masking for each in one.measurements if each.setting.shot == 1]
    assert maskings[0] == "none" and maskings.index("feature") < maskings.index("hybrid")


def test_the_last_record_of_an_id_counts_and_other_lines_are_left_out(tmp_path: Path) -> None:
    found, rows = record()
    path = write_records(tmp_path / "a.jsonl", [(found, rows), ({**found, "miou": 1.5}, rows)])
    with path.open("a") as file:
        file.write('{"format": 1, "miou": 3}\n{"format": 2, "id": "cut\n')
    (one,) = from_records(path).measurements
    assert one.miou == 1.5


def test_no_record_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"format": 1}\n')
    with pytest.raises(DataError, match="no record of format 2"):
        from_records(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="can't be read"):
        from_records(tmp_path / "none.jsonl")


def test_an_id_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    found, _ = record()
    (tmp_path / "a.jsonl").write_text(json.dumps({**found, "id": "../../../secret0"}) + "\n")
    with pytest.raises(DataError, match="16 hex digits"):
        from_records(tmp_path / "a.jsonl")


def test_a_sweep_and_what_is_missing_of_it(tmp_path: Path) -> None:
    sweep = tmp_path / "multirun/now"
    for number, masking in enumerate(("Feature", "Hybrid")):
        folder = job(sweep, str(number), f"masking={masking.lower()}")
        write_beside_checkpoint(folder, *record(masking))
    job(sweep, "10", "masking=none", "fold=3")
    job(sweep, "2", "masking=input")
    (job(sweep, "3") / ".hydra/overrides.yaml").write_text("{")
    (sweep / "0/checkpoints/other.json").write_text("[1]")
    gathered = from_sweep(sweep)
    assert [one.setting.masking for one in gathered.measurements] == ["feature", "hybrid"]
    assert all(one.table is not None for one in gathered.measurements)
    assert [(one.job, one.overrides) for one in gathered.unfinished] == [
        ("2", ("masking=input",)),
        ("3", ("its overrides can't be read",)),
        ("10", ("masking=none", "fold=3")),
    ]


def test_a_sweep_without_records_says_how_many_jobs(tmp_path: Path) -> None:
    job(tmp_path / "sweep", "0", "fold=1")
    with pytest.raises(DataError, match=r"no record of format 2 .*\(1 jobs, none finished\)"):
        from_sweep(tmp_path / "sweep")
    with pytest.raises(DataError, match="there is no such folder"):
        from_sweep(tmp_path / "nowhere")


def test_trainings_are_told_apart_only_where_they_differ(tmp_path: Path) -> None:
    def trained(masking: str, epochs: int | None, which: str = "best") -> tuple[dict, object]:  # type: ignore[type-arg]
        found, rows = record(masking, which=which)
        config = {"optimizer": {"lr": 0.001}, "trainer": {"max_epochs": epochs}}
        training = found["training"] if epochs is None else {**found["training"], "config": config}
        return {**found, "training": training}, rows

    def texts(*made: tuple[dict, object]) -> list[str]:  # type: ignore[type-arg]
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        return [one.setting.training for one in from_records(write_records(path, list(made))).measurements]  # type: ignore[arg-type]

    assert texts(trained("Feature", 20), trained("Hybrid", 20), trained("Input", None)) == ["", "", ""]
    made = (trained("Feature", 20), trained("Hybrid", 50), trained("Hybrid", None, "last"))
    path = write_records(tmp_path / "apart.jsonl", list(made))  # type: ignore[arg-type]
    apart = [one.setting.masking for one in from_records(path).measurements]
    assert [each.rpartition("=")[2] for each in apart] == ["20)", "50)", "50)"]  # the last one's by its run


def test_maskings_trained_differently_stand_beside_each_other_by_name(tmp_path: Path) -> None:
    def maskings(**epochs: int) -> list[str]:
        made = []
        for masking, count in epochs.items():
            found, rows = record(masking)
            config = {"optimizer": {"lr": 0.001}, "trainer": {"max_epochs": count}}
            made.append(({**found, "training": {**found["training"], "config": config}}, rows))
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        measurements = from_records(write_records(path, made)).measurements
        assert {one.setting.training for one in measurements} == {""}
        return sorted(one.setting.masking for one in measurements)

    few, many = "trainer.max_epochs=20", "trainer.max_epochs=50"
    assert maskings(Feature=20, Hybrid=50) == [f"feature ({few})", f"hybrid ({many})"]
    assert maskings(No=20, Feature=50, Hybrid=50) == ["feature", "hybrid", f"none ({few})"]
