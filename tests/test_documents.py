"""README and docs: every command composes, the reference is up to date, the examples of extending run."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

import hmseg
from hmseg import cli
from hmseg.config import Composer, compose

ROOT = Path(__file__).resolve().parents[1]
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.is_file()]
GENERATED = "configuration.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (own[\w/]*\.(?:py|yaml))\n")
"""First line of a block that is a file."""

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="an installed copy has no docs")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """The fenced blocks of a page in one of these languages."""
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language in languages:
            yield text


def commands() -> list[tuple[str, str]]:
    """Every command line of the pages that starts Python, with the page's name, each once."""
    found = {}
    for page in PAGES:
        if page.name == GENERATED:  # its commands are the examples of --help
            continue
        for text in blocks(page, "sh", "bash", "console"):
            for line in text.replace("\\\n", " ").splitlines():
                line = re.sub(r"\s+#.*", "", line).strip()
                if match := re.match(r"(?:\w+=\S+ )*(python .*)", line):
                    found.setdefault(match[1], page.name)
    return [(page, line) for line, page in found.items()]


COMMANDS = commands()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a checkpoint that holds a configuration and no weights, which is all that is read."""
    folder = tmp_path_factory.mktemp("documents") / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text("[]\n")
    config = OmegaConf.to_container(compose("dataset=pascal", "backbone=resnet50"), resolve=True)
    for name in ("best", "last"):
        torch.save({"hmseg": {"config": config}}, folder / "checkpoints" / f"{name}.ckpt")
    for fold in range(4):
        (folder / f"fold{fold}.pt").touch()
    write_examples(folder)
    return folder


def write_examples(folder: Path) -> None:
    """The files that `docs/extending.md` shows."""
    for text in blocks(ROOT / "docs" / "extending.md", "python", "yaml"):
        if name := FILE.match(text):
            (folder / name[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / name[1]).write_text(text)


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 20
    assert {"README.md", "data.md", "reproduction.md", "export.md"} <= {page for page, _ in COMMANDS}


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[line for _, line in COMMANDS])
def test_every_command_composes(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: str, line: str
) -> None:
    words = shlex.split(line)
    if words[1] != "-m":
        assert (ROOT / words[1]).is_file(), page
        return
    monkeypatch.chdir(tmp_path)
    os.symlink(run / "own", tmp_path / "own")
    program = getattr(importlib.import_module(words[2]), "PROGRAM", None)
    if program is None:  # a tool with a parser of its own
        assert importlib.util.find_spec(words[2]) is not None
        return
    given = [with_files(word, run, tmp_path, words) for word in words[3:] if "…" not in word]
    cli._validated(program, given)  # composes and checks every job, and raises what would be printed


def with_files(word: str, run: Path, folder: Path, words: Sequence[str]) -> str:
    """A word whose file has to be there, with one that is."""
    key, _, value = word.partition("=")
    if key == "support":  # pictures and masks of two classes
        for name in ("one/images/a.jpg", "one/masks/a.png", "two/images/a.jpg", "two/masks/a.png"):
            (folder / "support" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "support" / name).touch()
        return f"{key}={folder}/support"
    if key == "support_images":
        return f"{key}={folder}/support"
    if key == "query":
        (folder / "photo.jpg").touch()
        return f"{key}={folder}/*.jpg"
    if (key in ("ckpt", "resume") and value != "true") or (key == "source" and "export=true" in words):
        return f"{key}={run}"
    if key == "checkpoints":
        return f"{key}={run}/fold{{fold}}.pt"
    if key in ("records", "episodes", "sweep") and value not in ("", "null"):
        place = folder / "there"
        place.mkdir() if key == "sweep" else place.touch()
        return f"{key}={place}"
    return word


def make_reference() -> ModuleType:
    """`docs/make_reference.py`, which is no module of the package."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_configuration_reference_is_up_to_date() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert make_reference().page() == page, "run: python docs/make_reference.py"


def test_the_reference_tells_of_every_program_and_option() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for program in make_reference().all_programs():
        assert f"\n## python -m hmseg.{program.config_name}\n" in page
    with Composer() as composer:
        for group in composer.groups():
            for option in composer.options(group):
                assert f"**`{group}={option}`**" in page


@pytest.fixture
def own(run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The modules of `docs/extending.md`, importable."""
    monkeypatch.syspath_prepend(str(run))
    yield run
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def test_the_examples_of_extending_work_together(own: Path) -> None:
    from hmseg.assembly import build_network

    with Composer(extra_dir=str(own / "own")) as composer:
        words = ["masking=mine", "backbone=strided", "model=mean_match", "optimizer=adam"]
        network = build_network(composer.compose("train", words))
    assert repr(network.masking) == "AverageMasking()"
    query, supports = torch.randn(1, 3, 64, 64), torch.randn(1, 2, 3, 64, 64)
    mask = torch.zeros(1, 2, 64, 64)
    mask[..., 16:40, 16:40] = 1
    logits = network(query, supports, mask)
    assert logits.shape == (1, 2, 2, 64, 64)
    logits.sum().backward()
    assert [name for name, each in network.named_parameters() if each.grad is not None] == ["head.scale"]


def test_python_without_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = (each for each in blocks(ROOT / "docs" / "extending.md", "python") if not FILE.match(each))
    exec(compile(text, "extending.md", "exec"), {})
    assert capsys.readouterr().out.strip() == "torch.Size([1, 96, 96])"


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*PAGES, ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_citation_names_this_version() -> None:
    citation: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hmseg.__version__
    assert citation["license"] == "MIT"
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert f"## {hmseg.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
