"""The formats: how a part is written, and how its file is read and run again."""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hmseg.deployment.parts import Part, Tensors

Metadata = Mapping[str, str]
Runner = Callable[[Tensors], Tensors]

METADATA_FILE = "hmseg.json"
"""Name of the metadata inside TorchScript and torch.export files."""


class Format(ABC):
    """One format of files."""

    @abstractmethod
    def write(self, part: Part, example: Tensors, path: Path, metadata: Metadata) -> None:
        """Write a part, traced with example inputs of at least two queries and two shots."""

    @abstractmethod
    def read(self, path: Path) -> Runner:
        """What a file computes. Only for files that were just written: reading may run code."""


class TorchScript(Format):
    """``torch.jit``: traced and frozen, batch norms folded into their convolutions."""

    def write(self, part: Part, example: Tensors, path: Path, metadata: Metadata) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is kept, but no longer worked on
            traced = torch.jit.trace(part.module, example, check_trace=False)  # type: ignore[no-untyped-call]
            frozen = torch.jit.freeze(traced)
            torch.jit.save(frozen, str(path), _extra_files={METADATA_FILE: json.dumps(dict(metadata))})

    def read(self, path: Path) -> Runner:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
        return _runner(module)


class TorchExport(Format):
    """``torch.export``: a program of PyTorch's core operators."""

    def write(self, part: Part, example: Tensors, path: Path, metadata: Metadata) -> None:
        program = torch_program(part, example)
        torch.export.save(program, path, extra_files={METADATA_FILE: json.dumps(dict(metadata))})

    def read(self, path: Path) -> Runner:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given buffer is not writable")  # nor is it written to
            program = torch.export.load(path)
        # Its guards, where this PyTorch has them, would refuse one shot: it was traced with two. It holds for
        # one all the same, which the check that follows shows.
        known = signature(program.module).parameters
        return _runner(program.module(**({"check_guards": False} if "check_guards" in known else {})))


class Onnx(Format):
    """ONNX, run by ONNX Runtime on the CPU.

    Args:
        opset: version of the operators.
        any_size: PyTorch's new exporter reasons about every open size, and settles some of them; where sizes
            of images stay open the older one is taken, which traces.
    """

    def __init__(self, opset: int, any_size: bool) -> None:
        self.opset, self.any_size = opset, any_size

    def write(self, part: Part, example: Tensors, path: Path, metadata: Metadata) -> None:
        import onnx

        if self.any_size:
            self._trace(part, example, path)
        else:
            self._translate(part, example, path)
        model = onnx.load(path)
        name_dimensions(model, part)
        onnx.helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        onnx.save(model, path)

    def _translate(self, part: Part, example: Tensors, path: Path) -> None:
        program = torch.onnx.export(
            torch_program(part, example),
            dynamo=True,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            opset_version=self.opset,
            verbose=False,
        )
        assert program is not None
        program.save(path, external_data=False)

    def _trace(self, part: Part, example: Tensors, path: Path) -> None:
        dynamic = {name: dict(dimensions) for name, dimensions in part.inputs.items()}
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(
                part.module,
                example,
                str(path),
                dynamo=False,
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                opset_version=self.opset,
                dynamic_axes=dynamic,
            )

    def read(self, path: Path) -> Runner:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]

        def run(inputs: Tensors) -> Tensors:
            fed = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
            return tuple(torch.from_numpy(each) for each in session.run(None, fed))

        return run


def name_dimensions(model: Any, part: Part) -> None:
    """Give the open dimensions of an ONNX model, changed in place, the names that the part has for them."""
    given = {each.name: each.type.tensor_type.shape.dim for each in model.graph.input}
    symbols = {
        given[name][index].dim_param: ours
        for name, dimensions in part.inputs.items()
        for index, ours in dimensions.items()
    }
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in symbols:
                dimension.dim_param = symbols[dimension.dim_param]


def find_format(name: str, opset: int, any_size: bool) -> Format:
    """By its name in the configuration."""
    return {"onnx": Onnx(opset, any_size), "torchscript": TorchScript(), "torch_export": TorchExport()}[name]


def torch_program(part: Part, example: Tensors) -> torch.export.ExportedProgram:
    """The part as a program with the open dimensions of its inputs."""
    known = {name: torch.export.Dim(name) for each in part.inputs.values() for name in each.values()}
    dynamic: list[Any] = [{i: known[name] for i, name in each.items()} for each in part.inputs.values()]
    shapes = dynamic if part.name != "segmenter" else [dynamic[0], tuple(dynamic[1:])]
    with torch.no_grad():
        return torch.export.export(part.module, example, dynamic_shapes=tuple(shapes), strict=False)


def _runner(module: Any) -> Runner:
    def run(inputs: Tensors) -> Tensors:
        with torch.no_grad():
            result: Tensor | Tensors = module(*inputs)
        return (result,) if isinstance(result, Tensor) else tuple(result)

    return run
