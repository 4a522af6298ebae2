"""Makes the zip archives of torch safe to load: removes or refuses everything that could run code.

torch executes several parts of an archive: pickles of weights, constants and sample inputs, compiled code
(AOTInductor), operators looked up by any dotted name, symbolic expressions and guards as Python text, and enumerations
that import a module. All of these are left out of the repacked archive, or refused. torch reads a TorchScript archive
with its own unpickler in C++, which creates tensors and script objects only. Its program could still read or write
files and talk to other processes, so programs that name such an operation are refused.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
import zlib
from typing import Any, Iterator, NamedTuple

import numpy as np

from .base import ModelLoadError

_PLAIN = re.compile(r"[A-Za-z0-9_.+\-]*\Z")
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed)\.(?P<name>_?[A-Za-z0-9]\w*|__i?(and|or|xor|lshift|rshift)__)"
    r"(\.[A-Za-z0-9]\w*)?\Z"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast)\Z"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_)\Z",
    re.ASCII,
)
_TOUCHES_FILES = ("from_file", "save")
_FREE_TEXT = ("as_string", "as_strings")  # arguments such as "tanh"; torch quotes them
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict")
_WEIGHT = re.compile(r"(weight|tensor)_\d{1,9}\Z")
_SCRIPT_MEMBER = re.compile(r"(data|constants)(/\d+|\.pkl)\Z|code/.+\.py\Z|version\Z|byteorder\Z|\.data/[a-z_]+\Z")
# Words that a harmless program contains neither as operations nor, by convention, as its own names.
_SCRIPT_FORBIDDEN = re.compile(
    r"\b(save|from_file|PythonOp|IgnoredPythonOp|rpc_async|rpc_sync|rpc_remote)\b"
    r"|\bops\b(?!\.(prim|aten|quantized|mkldnn_prepacked)\.)"
    r"|\bclasses\b(?!\.quantized\.)"
    r'|\bgetattr\b(?!\(\w+, "[^"\\]*"\))'
)
_SCRIPT_CLASSES = re.compile(rb"torch\.classes[.\n](?!quantized[.\n])")
_ROOT = "model"


class ExampleInput(NamedTuple):
    """Shape and dtype of one input."""

    shape: tuple[int, ...]
    dtype: np.dtype  # type: ignore[type-arg]


class Archive:
    """The members of an archive by their names below its one root folder, decompressed."""

    def __init__(self, content: bytes) -> None:
        """Raises: `ModelLoadError` for anything but a complete zip archive."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
                self.members = {entry.filename.partition("/")[2]: archive.read(entry) for entry in entries}
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            EOFError,
            RuntimeError,
            ValueError,
            OSError,
        ) as error:
            raise ModelLoadError(f"the archive cannot be read ({error}); save the model again") from error
        roots = {entry.filename.partition("/")[0] for entry in entries}
        if len(roots) != 1 or len(self.members) != len(entries):
            raise ModelLoadError(
                "the archive has several root folders or two members of one name; save the model again"
            )

    @property
    def is_export(self) -> bool:
        return "models/model.json" in self.members

    @property
    def is_script(self) -> bool:
        return "data.pkl" in self.members and any(name.startswith("code/") for name in self.members)

    def read(self, name: str) -> bytes:
        try:
            return self.members[name]
        except KeyError as error:
            raise ModelLoadError(f"the archive has no member {name}; save the model again") from error

    def json(self, name: str) -> Any:
        try:
            return json.loads(self.read(name).decode())
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ModelLoadError(f"member {name} of the archive is no JSON: {error}; save the model again") from error


def safe_export(archive: Archive) -> io.BytesIO:
    """The .pt2 archive, reduced to tensors and checked operators. Raises `ModelLoadError`."""
    for name in archive.members:
        if name.startswith("data/aotinductor/"):
            raise ModelLoadError(
                f"the archive holds compiled code ({name}), which is not run here; use torch.export.save"
            )
    members = {"archive_format": b"pt2", ".data/version": b"6\n", "data/sample_inputs/model.pt": b""}
    members.update((name, data) for name, data in archive.members.items() if name in ("archive_version", "byteorder"))
    members["models/model.json"] = json.dumps(_safe_program(archive.json("models/model.json"))).encode()
    for folder, config in (("weights", "model_weights_config.json"), ("constants", "model_constants_config.json")):
        payloads = archive.json(f"data/{folder}/{config}")
        members[f"data/{folder}/{config}"] = json.dumps(payloads).encode()
        for name in _tensor_files(payloads):
            members[f"data/{folder}/{name}"] = archive.read(f"data/{folder}/{name}")
    return _packed(members)


def safe_script(archive: Archive) -> io.BytesIO:
    """The TorchScript archive, checked and without its debugging data. Raises `ModelLoadError`."""
    members = {name: data for name, data in archive.members.items() if _SCRIPT_MEMBER.match(name)}
    for name, data in members.items():
        if name.endswith(".py"):
            _check_script(name, data)
        elif name.endswith(".pkl") and _SCRIPT_CLASSES.search(data):
            raise ModelLoadError(f"{name} of the archive holds objects of a custom class, which are not run here")
    return _packed(members)


def script_inputs(archive: Archive) -> list[ExampleInput] | None:
    """The inputs that `extra/inputs.json` lists or that the program was traced with; None when neither is there.

    Raises: `ModelLoadError` when they cannot be read.
    """
    try:
        if "extra/inputs.json" in archive.members:
            entries = archive.json("extra/inputs.json")
            return [_example(entry["shape"], entry["dtype"]) for entry in entries]
        if "traced_inputs.pkl" in archive.members:
            traced = _ShapeReader(io.BytesIO(archive.members["traced_inputs.pkl"])).load()
            return [_example(entry.shape, entry.dtype) for entry in traced["forward"]]
    except ModelLoadError:
        raise
    except Exception as error:  # unpickling arbitrary bytes raises all kinds of errors
        raise ModelLoadError(f"cannot read the inputs noted in the archive ({error}); trace the model again") from error
    return None


def _example(shape: Any, dtype: Any) -> ExampleInput:
    sizes = tuple(shape)
    if not sizes or not all(isinstance(size, int) and 0 < size < 1 << 31 for size in sizes):
        raise ValueError(f"an input of shape {sizes}")
    kind = np.dtype(dtype)
    if kind.kind not in "fiub":
        raise ValueError(f"an input of type {kind}")
    return ExampleInput(sizes, kind)


def _packed(members: dict[str, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(f"{_ROOT}/{name}"), data)
    buffer.seek(0)
    return buffer


def _tensor_files(payloads: Any) -> Iterator[str]:
    for name, entry in payloads["config"].items():
        if entry["use_pickle"] or not _WEIGHT.match(entry["path_name"]):
            raise ModelLoadError(
                f"{name!r:.100} is stored as a pickle ({entry['path_name']!r:.100}), which could run anything; "
                "export the model with plain tensors"
            )
        _check_strings(entry, "")
        yield entry["path_name"]


def _safe_program(program: dict[str, Any]) -> dict[str, Any]:
    """The exported program without free texts; the rest is checked."""
    program["guards_code"] = []
    module = program["graph_module"]
    for call in module["module_call_graph"]:
        signature = call["signature"] or {}
        for name in ("in_spec", "out_spec"):
            if name in signature:
                _check_tree(json.loads(signature[name])[1])
    if program["range_constraints"] or module.get("treespec_namedtuple_fields"):
        raise ModelLoadError(
            "the model has dynamic shapes or named tuples; export it with fixed shapes and plain tuples"
        )
    _strip(program)
    _check_strings(program, "")
    return program


def _strip(value: Any) -> None:
    """Empty every `metadata`, which holds stack traces and the like."""
    if isinstance(value, dict):
        if "metadata" in value:
            value["metadata"] = {}
        for entry in value.values():
            _strip(entry)
    elif isinstance(value, list):
        for entry in value:
            _strip(entry)


def _check_tree(node: dict[str, Any]) -> None:
    if node["type"] not in _CONTAINERS or not isinstance(json.loads(node["context"] or "null"), (list, type(None))):
        raise ModelLoadError(
            f"the model takes or returns a {node['type']!r:.100}; "
            "export it with tensors, tuples, lists or dictionaries of tensors"
        )
    if "__enum__" in (node["context"] or ""):
        raise ModelLoadError("the model takes or returns an enumeration; export it with tensors")
    for child in node["children_spec"]:
        _check_tree(child)


def _check_strings(value: Any, key: str) -> None:
    if isinstance(value, dict):
        for name, entry in value.items():
            _check_word(name, "")
            if name not in ("in_spec", "out_spec"):
                _check_strings(entry, name)
    elif isinstance(value, list):
        for entry in value:
            _check_strings(entry, key)
    elif isinstance(value, str):
        _check_word(value, key)


def _check_word(text: str, key: str) -> None:
    if text in ("as_expr", "expr_str"):
        raise ModelLoadError("the model has dynamic shapes; export it with fixed shapes, batch 1")
    if text in ("as_custom_obj", "custom_obj"):
        raise ModelLoadError("the model holds custom objects, which are not loaded here; export it with plain tensors")
    if key in ("target", "as_operator"):
        match = _OPERATOR.match(text)
        if match is None or match.group("name") in _TOUCHES_FILES:
            raise ModelLoadError(
                f"the model calls {text!r:.100}, which is not run here; use torch's own operators (aten)"
            )
    elif key not in _FREE_TEXT and not _PLAIN.match(text):
        raise ModelLoadError(f"the archive has an unexpected text at {key!r}: {text!r:.100}")


def _check_script(name: str, data: bytes) -> None:
    try:
        match = _SCRIPT_FORBIDDEN.search(data.decode())
    except UnicodeDecodeError as error:
        raise ModelLoadError(f"{name} of the archive is no text: {error}; save the model again") from error
    if match is not None:
        raise ModelLoadError(
            f"{name} of the archive says {match.group()!r}, which may touch files or other processes, and is not run "
            "here; rename it if it is a name of the model's own, or export the model as .pt2"
        )


class _TracedTensor(NamedTuple):
    shape: tuple[int, ...]
    dtype: str


_STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "IntStorage": "int32",
    "LongStorage": "int64", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool",
}  # fmt: skip


class _ShapeReader(pickle.Unpickler):
    """Reads the shapes in a pickle of tensors. It can call the two functions below, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.jit._pickle", "restore_type_tag"):
            return _untagged
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _traced_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in it")

    def persistent_load(self, identity: Any) -> Any:
        return identity[1]


def _untagged(value: Any, tag: str) -> Any:
    return value


def _traced_tensor(dtype: str, offset: int, shape: tuple[int, ...], *rest: Any) -> _TracedTensor:
    return _TracedTensor(shape, dtype)
