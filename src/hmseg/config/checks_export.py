"""What types can't say about an export: formats, versions, what must be installed, where it is written."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from hmseg.config.values import number
from hmseg.errors import ConfigError, unknown

FORMATS = {"onnx": ".onnx", "torchscript": ".pt", "torch_export": ".pt2"}
"""With the ending of their files."""

PARTS = ("whole", "split")
PIECES = ("encoder", "segmenter")
"""Of ``part=split``, as they stand in the names of the files."""

OPSETS = range(18, 24)
"""18 is the first with Resize as the networks need it, 23 the last that PyTorch's exporter knows well."""

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_LEAST_SIDE = 64


def check_export(cfg: DictConfig) -> None:
    """Refuse an export that can't be made or must not be written.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
    """
    for key, options in (("format", tuple(FORMATS)), ("part", PARTS)):
        if cfg[key] not in options:
            raise ConfigError(unknown(key, cfg[key], options))
    if cfg.opset not in OPSETS:
        raise ConfigError(f"opset: expected {OPSETS[0]} to {OPSETS[-1]}, got {cfg.opset}")
    side = number(cfg, "image_size")
    if side is None or side < _LEAST_SIDE:
        raise ConfigError(f"image_size: expected at least {_LEAST_SIDE}, got {side}")
    if cfg.any_size and cfg.format == "torch_export":
        raise ConfigError(
            "any_size=true: torch.export settles sizes of images while it reasons about them; give "
            "format=onnx or format=torchscript, or export once for each size"
        )
    if cfg.format == "onnx" and (missing := [name for name in _PACKAGES if find_spec(name) is None]):
        raise ConfigError(
            f"format=onnx needs {', '.join(missing)}: pip install 'hmseg[onnx]', or give another format"
        )
    check_targets(targets(cfg.out, cfg.format, cfg.part), cfg.overwrite)


def targets(out: str, format_: str, part: str) -> list[Path]:
    """The files that an export writes.

    Example:
        >>> [str(path) for path in targets("cat", "onnx", "split")]
        ['cat-encoder.onnx', 'cat-segmenter.onnx']
        >>> [str(path) for path in targets("cat.onnx", "onnx", "whole")]
        ['cat.onnx']
    """
    path, ending = Path(out).expanduser(), FORMATS[format_]
    stem = path.name.removesuffix(ending)
    names = [stem] if part == "whole" else [f"{stem}-{piece}" for piece in PIECES]
    return [path.with_name(f"{name}{ending}") for name in names]


def check_targets(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse to write over a folder, or without ``overwrite`` over anything.

    Raises:
        ConfigError: one of these.
    """
    for path in paths:
        if path.is_dir():
            raise ConfigError(f"out: {path} is a folder; give the name of a file")
        if path.exists() and not overwrite:
            raise ConfigError(f"out: {path} is there already; give another, or overwrite=true")
