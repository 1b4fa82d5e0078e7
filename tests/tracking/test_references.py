"""Names at W&B, and what is none."""

from __future__ import annotations

import re

import pytest

from hmseg.config import compose
from hmseg.errors import CheckpointError, ConfigError
from hmseg.tracking.references import Reference, parse_reference


def test_a_name_with_and_without_alias() -> None:
    assert parse_reference("ckpt", "wandb:a-b/c.d/e_f:v12") == Reference("a-b", "c.d", "e_f", "v12")
    assert parse_reference("ckpt", "wandb:a/b/c").alias == "best"


@pytest.mark.parametrize(
    "text",
    [
        "wandb:",
        "wandb:checkpoint",
        "wandb:hmseg/checkpoint:best",
        "wandb:a/b/c/d",
        "wandb:a/b/c:",
        "wandb:a/b/c:best:v1",
        "wandb:../b/c",
        "wandb:a/../c:v0",
        "wandb:a/b/..",
        "wandb:a/b/c:../../x",
        "wandb:a/b/c:.",
        "wandb:/etc/passwd",
        "wandb:a/b/c\\d",
        "wandb:a/b c/d",
        "wandb:a/b/c:best\n",
        "wandb:a/b/ä",
    ],
)
def test_anything_else_is_refused_in_one_line_and_so_is_what_climbs_out_of_a_folder(text: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(f"ckpt={text}: expected wandb:ENTITY/PROJECT/")):
        parse_reference("ckpt", text)


def test_evaluate_export_and_resume_say_what_is_wrong_before_anything_is_fetched() -> None:
    with pytest.raises(CheckpointError, match="ckpt=wandb:team/checkpoint: expected wandb:ENTITY/PROJECT/"):
        compose("ckpt=wandb:team/checkpoint", config_name="evaluate")
    words = ("export=true", "source=wandb:x:y", "out=x.pt")
    with pytest.raises(CheckpointError, match="source=wandb:x:y: expected wandb:ENTITY/PROJECT/"):
        compose(*words, config_name="convert")
    with pytest.raises(ConfigError, match="resume: a run goes on in its own folder"):
        compose("resume=wandb:team/hmseg/checkpoint-1:last")
