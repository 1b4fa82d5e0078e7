"""What a prediction writes, and whether it may; without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hmseg.annotations.writing import common_file, image_file
from hmseg.errors import ConfigError
from hmseg.predicting.layout import Query


@dataclass(frozen=True)
class Targets:
    """Files below the output folder.

    Attributes:
        out: the folder.
        overlays: whether overlays are written.
        form: of the masks, one of ``hmseg.annotations.writing.FORMATS``.
    """

    out: Path
    overlays: bool = True
    form: str = "png"

    @property
    def summary(self) -> Path:
        """Settings, run lengths and scores of all images, as COCO's JSON."""
        return self.out / "summary.json"

    @property
    def supports(self) -> Path:
        """The first supports with their masks, in one picture; written with the overlays."""
        return self.out / "supports.jpg"

    @property
    def journal(self) -> Path:
        """The images done so far, while some are missing: the run was stopped, or some could not be used."""
        return self.out / "summary.unfinished"

    @property
    def common(self) -> Path | None:
        """What is written once for all masks: the classes' names, or the annotations themselves."""
        return common_file(self.out, self.form)

    def mask(self, name: str) -> Path | None:
        """The mask of a query; None where all are in one file."""
        return image_file(self.out, self.form, name)

    def overlay(self, name: str) -> Path:
        """The overlay of a query."""
        return self.out / "overlays" / f"{name}.jpg"

    def of(self, queries: Iterable[Query]) -> Iterator[Path]:
        """All files that are written."""
        yield self.summary
        if self.overlays:
            yield self.supports
        if self.common is not None:
            yield self.common
        for query in queries:
            yield from self.of_image(query.name)

    def of_image(self, name: str) -> Iterator[Path]:
        """The files of a query."""
        if (mask := self.mask(name)) is not None:
            yield mask
        if self.overlays:
            yield self.overlay(name)

    def check(self, queries: Iterable[Query], inputs: Iterable[Path], overwrite: bool, resume: bool) -> None:
        """Refuse to write over inputs, or without being told over anything.

        Args:
            queries: whose results are to be written.
            inputs: files that are never written over: images and masks.
            overwrite: replace what is there.
            resume: go on with what an earlier run has left there.

        Raises:
            ConfigError: one of these, or ``out`` is a file.
        """
        if self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"out={self.out}: this is a file; give a folder")
        targets = list(self.of(queries))
        protected = {each.resolve() for each in inputs}
        if lost := [each for each in targets if each.resolve() in protected]:
            raise ConfigError(f"out={self.out}: {lost[0]} is one of the inputs; give another folder")
        if overwrite or (resume and self.journal.exists()):
            return
        if self.journal.exists():
            raise ConfigError(
                f"out={self.out}: a prediction there is not finished; resume=true goes on, overwrite=true "
                "starts anew"
            )
        if existing := [each for each in targets if each.exists()]:
            raise ConfigError(
                f"out={self.out}: {existing[0]} is there already; give another folder, or overwrite=true"
            )
