"""Files in the formats of the published code: read without running anything that they hold, and written.

REFERENCE section 12: HSNet's file is a state dict, VAT's holds one under ``state_dict`` beside its optimiser,
both with ``module.`` before each name; ASNet's is a Lightning checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hmseg.checkpoints import export_published, load_published
from hmseg.errors import CheckpointError, first_line
from hmseg.networks import HEADS, FewShotNetwork, build_network
from hmseg.untrusted import reason
from hmseg.untrusted.torch_files import load

WRAPPED = "module."
"""What ``DataParallel`` put before each name."""

_WRAPPED = ("hsnet", "vat")
_NESTED = ("asnet", "vat")


class Published(NamedTuple):
    """What a published file holds.

    Attributes:
        state: the state dict, names without ``module.``.
        epoch: the epoch that the file gives, if any.
        ignored: classes of the published code whose objects the file holds beside the weights; not loaded.
    """

    state: dict[str, Tensor]
    epoch: int | None = None
    ignored: tuple[str, ...] = ()


def import_published(
    source: str | Path, model: str, masking: str, backbone: str, **options: Any
) -> FewShotNetwork:
    """The network of a published file, ready to predict. ``hmseg.convert`` makes a checkpoint of such a file.

    Args:
        source: the file, in any of the three formats.
        model: ``hsnet``, ``asnet`` or ``vat``.
        masking: the one that it was trained with, which the file doesn't say.
        backbone: ``vgg16``, ``resnet50`` or ``resnet101``; its weights come from the file.
        options: further arguments of :func:`hmseg.build_network`, for VAT ``affinity``.

    Raises:
        CheckpointError: the file is missing, damaged or of another network.
        ConfigError: an unknown name or option.

    Example:
        >>> network = import_published("vat_fold0.pt", "vat", "hybrid", "resnet50", affinity="pascal")
        Traceback (most recent call last):
        hmseg.errors.CheckpointError: no file at 'vat_fold0.pt': give the path of a published checkpoint
    """
    published = read_published(source)
    network = build_network(model, masking, backbone, "checkpoint", **options)
    load_published(network, published.state)
    return network


def read_published(source: str | Path) -> Published:
    """Reads a published file in any of the three formats onto the CPU; nothing in the file is run.

    Raises:
        CheckpointError: missing, truncated, no state dict inside, or code that can't be passed over.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(f"no file at '{path}': give the path of a published checkpoint")
    content, ignored = _load(path)
    if isinstance(content, Mapping) and "hmseg" in content:
        raise CheckpointError(
            f"'{path}' is a checkpoint of hmseg already: give it to hmseg.evaluate, or to hmseg.convert with "
            "export=true to write the published format"
        )
    nested = content.get("state_dict") if isinstance(content, Mapping) else None
    state = content if nested is None else nested
    if not isinstance(state, Mapping) or not state or not all(map(_is_entry, state.items())):
        raise CheckpointError(
            f"'{path}' holds no state dict (tensors by name), neither by itself nor under 'state_dict': "
            "give a checkpoint of HSNet, ASNet or VAT"
        )
    wrapped = all(name.startswith(WRAPPED) for name in state)
    epoch = content.get("epoch") if nested is not None else None
    return Published(
        {name.removeprefix(WRAPPED) if wrapped else name: value for name, value in state.items()},
        epoch if type(epoch) is int else None,
        ignored,
    )


def published_content(
    network: FewShotNetwork, classifier: Mapping[str, Tensor] | None = None, epoch: int | None = None
) -> dict[str, Any]:
    """What a file in the published format of the network's model holds, for ``torch.save``.

    Args:
        network: not changed.
        classifier: entries of the backbone's classifier, torchvision's names. The published code has one and
            loads strictly, so that it refuses a file without.
        epoch: for the formats that have one.

    Raises:
        CheckpointError: there is no published format for the head.
    """
    model = next((name for name, kind in HEADS.items() if isinstance(network.head, kind)), None)
    if model not in {*_WRAPPED, *_NESTED}:
        known = ", ".join(sorted({*_WRAPPED, *_NESTED}))
        raise CheckpointError(
            f"there is no published format for a {type(network.head).__name__}: only for {known}"
        )
    if getattr(network.head, "prior", None) is not None:
        raise CheckpointError(
            "there is no published format for a head with model.prior=true: the published code lacks it"
        )
    names = export_published(network)
    names |= {f"backbone.{name}": value for name, value in (classifier or {}).items()}
    prefix = WRAPPED if model in _WRAPPED else ""
    state = {f"{prefix}{name}": value.detach().cpu() for name, value in names.items()}
    if model not in _NESTED:
        return state
    content: dict[str, Any] = {"epoch": epoch or 0, "state_dict": state}
    if model == "asnet":  # Lightning asks for both
        content |= {"global_step": 0, "pytorch-lightning_version": version("pytorch-lightning")}
    return content


def save(content: object, path: Path) -> None:
    """Writes with ``torch.save`` to a temporary name beside ``path`` and moves it there: never half a file.

    Raises:
        CheckpointError: the place can't be written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # the latter is how torch reports a full disk
        raise CheckpointError(f"'{path}' can't be written ({first_line(error)})") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _is_entry(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _load(path: Path) -> tuple[Any, tuple[str, ...]]:
    """The content, and the names of the classes in it that were passed over.

    Beside the weights, ASNet's files hold a class of the published code (Lightning 1.3 files the state of a
    callback under its class) and may hold NumPy scalars or a Namespace. ``weights_only`` refuses them all.
    They are let in as empty stand-ins of the same names, so that nothing is imported or called for them.
    """
    try:
        try:
            return load(path), ()
        except pickle.UnpicklingError:
            if not (foreign := _foreign_names(path)):
                raise
            stand_ins = [_stand_in(name) for name in foreign]
            with torch.serialization.safe_globals(stand_ins):  # type: ignore[arg-type]
                return load(path), tuple(foreign)
    except Exception as error:  # noqa: BLE001 - a damaged pickle can raise anything
        raise CheckpointError(
            f"'{path}' cannot be read as a checkpoint ({reason(error)}): it may be truncated, or hold code "
            "beside its weights; then save its state dict alone where you trust it: "
            "torch.save(torch.load(PATH, weights_only=False)['state_dict'], NEW_PATH)"
        ) from error


def _foreign_names(path: Path) -> list[str]:
    """Full names of the classes and functions in a file that ``weights_only`` doesn't know."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except ValueError:  # files of PyTorch before 1.6, which can't be looked through
        return []


class _StandIn:
    """Takes the place of an object of an unknown class, and keeps nothing of it."""

    def __new__(cls, *args: object, **kwargs: object) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _stand_in(full_name: str) -> type:
    """A class that the file's class of this name is read as."""
    module, _, name = full_name.rpartition(".")
    return type(name, (_StandIn,), {"__module__": module, "__qualname__": name})
