"""W&B online, against a stand-in of its server on this machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from hmseg.files import sha256
from wandb_runs import TINY, run_all
from wandb_server import Server, serving

KEY = "k" * 40


class Session(NamedTuple):
    """What was run, and what arrived."""

    done: subprocess.CompletedProcess[str]
    server: Server
    folder: Path

    @property
    def run(self) -> str:
        """Id of the training."""
        run: str = json.loads((self.folder / "run/wandb.json").read_text())["run"]
        return run


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A training, an evaluation of its artifact and one of the file, mistakes, and the dashboard."""
    folder = tmp_path_factory.mktemp("online")
    online = ("logger=wandb", "loader.test_episodes=6")
    with serving() as server:
        done = run_all(
            [
                ("train", *TINY, "logger=wandb", "trainer.max_epochs=1", "test=false"),
                ("evaluate", "ckpt=wandb:team/hmseg/checkpoint-RUN:best", *online),
                ("evaluate", "ckpt=run/checkpoints/last.ckpt", *online),
                ("evaluate", "ckpt=wandb:team/hmseg/checkpoint-RUN:v7"),
                ("dashboard", "group=shapes_quick"),
            ],
            folder,
            WANDB_BASE_URL=server.url,
            WANDB_API_KEY=KEY,
        )
    return Session(done, server, folder)


def test_the_server_was_asked_nothing_that_it_does_not_know(session: Session) -> None:
    assert session.server.unknown == []
    assert "Traceback" not in session.done.stderr, session.done.stderr


def test_the_training_arrived_with_its_group_its_metrics_and_its_end(session: Session) -> None:
    run = session.server.runs[session.run]
    assert (run["groupName"], run["jobType"], run["project"]) == ("shapes_quick", "fold0", "hmseg")
    assert "masking=hybrid" in run["tags"] and run["displayName"] == "hybrid fold 0 seed 0"
    config = json.loads(run["config"])
    assert config["labels"]["value"]["masking"] == "hybrid" and config["shot"]["value"] == 1
    history = session.server.history[session.run]
    assert [row["trainer/global_step"] for row in history if "train/loss" in row] == [0, 1]
    assert any("val/miou" in row for row in history)
    assert session.server.exits[session.run] == 0


def test_both_checkpoints_arrived_whole(session: Session) -> None:
    sent = {
        key: each for key, each in session.server.artifacts.items() if each["artifactTypeName"] == "model"
    }
    for (key, artifact), name in zip(sent.items(), ("best", "last"), strict=True):
        assert artifact["artifactCollectionName"] == f"checkpoint-{session.run}"
        assert name in {each["alias"] for each in artifact["aliases"]}
        whole = (session.folder / "run/checkpoints" / f"{name}.ckpt").read_bytes()
        assert session.server.files[f"/storage/{key}/{name}.ckpt"] == whole


def test_the_artifact_is_found_by_its_name_and_evaluated(session: Session) -> None:
    folder = session.folder / f"outputs/wandb/team/hmseg/checkpoint-{session.run}/v0"
    assert sha256(folder / "best.ckpt") == sha256(session.folder / "run/checkpoints/best.ckpt")
    (record,) = folder.glob("best.shapes-fold0-1shot-hsnet-6.json")
    assert json.loads(record.read_text())["checkpoint"]["which"] == "best"


def test_both_evaluations_are_linked_to_the_training(session: Session) -> None:
    server = session.server
    evaluated = [name for name in server.runs if name != session.run]
    models = [key for key, each in server.artifacts.items() if each["artifactTypeName"] == "model"]
    assert [(each["runName"], each["artifactID"]) for each in server.used] == list(
        zip(evaluated, models, strict=True)
    )
    for name, alias in zip(evaluated, ("v0", "last"), strict=True):
        run = server.runs[name]
        assert run["groupName"] == "shapes_quick" and "evaluate" in run["tags"]
        about = json.loads(run["config"])["checkpoint"]["value"]
        assert (about["artifact"], about["run"]) == (
            f"team/hmseg/checkpoint-{session.run}:{alias}",
            session.run,
        )


def test_an_artifact_that_is_not_there_is_one_line(session: Session) -> None:
    lines = [line for line in session.done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith(
        f"error: ckpt=wandb:team/hmseg/checkpoint-{session.run}:v7: W&B doesn't give it ("
    )
    assert "evaluate ended with 2" in session.done.stderr


def test_the_dashboard_is_published(session: Session) -> None:
    (view,) = session.server.views
    assert (view["entityName"], view["projectName"]) == ("team", "hmseg")
    assert view["displayName"] == "Maskings over folds" and "shapes_quick" in view["spec"]
    assert f"{session.server.url}/team/hmseg?nw=" in session.done.stdout
