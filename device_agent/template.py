"""Cuts subnets out of a template: one converted supernet and the plan for slicing it.

For any gates, `Template.emit` returns an ordinary .tflite. It needs numpy alone.

A template file, little-endian, each part starting at a multiple of 64 bytes:

    prologue    magic, version, sizes of the three parts below, sha256 of all other bytes of the file
    header      JSON: the sites, where the structure holds their widths, and the constants and vectors that follow them
    structure   the flatbuffer of the full model, with a stub of one element for each constant that follows a site
    weights     the full values of those constants

A subnet is the structure with its widths patched, followed by the sliced constants. References in a flatbuffer only
point forward, so patching one number per constant makes the appended data an ordinary part of the model.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from typing import Any, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

MAGIC = b"EDGEWTPL"
VERSION, VERSION_WITH_VECTORS, VERSION_WITH_MIXED = 1, 2, 3  # the lowest that fits is written, for older agents
ALIGNMENT = 64

# TensorType of the TFLite schema. Packed types such as int4 are absent because they cannot be sliced by element.
DTYPES: dict[int, Any] = {
    0: np.float32,
    1: np.float16,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    6: np.bool_,
    7: np.int16,
    9: np.int8,
}

Buffer = Union[bytes, bytearray, memoryview, mmap.mmap]

_PROLOGUE = struct.Struct("<8sIIQQ32s")
_SEALED = _PROLOGUE.size - 32  # the checksum covers everything before and after itself
_U32 = struct.Struct("<I")


class TemplateError(ValueError):
    """A file that is not an intact template, or gates that do not fit the template."""


class TemplateSite(NamedTuple):
    """One gated group of channels: `width` modules of `block` consecutive channels each."""

    name: str
    width: int
    block: int = 1


Mixed = Tuple[Tuple[Optional[int], int], ...]


class Constant(NamedTuple):
    """A constant of the model, or another vector, that follows at least one site.

    `reference` is the byte offset, in the structure, of the number that points to its data; `offset` is where its data
    starts in the weights. `sites` has one entry per axis: the index of the site or mixed axis that it follows, or None.
    """

    reference: int
    offset: int
    dtype: int
    shape: tuple[int, ...]
    sites: tuple[int | None, ...]


class Header(NamedTuple):
    """Which parts of the structure follow which site.

    `int32` and `int64` are pairs (byte offset in the structure, site index) of the numbers to patch.

    `vectors` are scales and zero points per channel. They are stored like constants, but the flatbuffer counts their
    elements instead of their bytes. `mixed` are axes that combine several sites or parts, such as concatenated channels
    and attention's projections: runs of (site index, channels per module) or (None, channels that stay). A site index
    of `len(sites) + i` means mixed axis `i`.
    """

    sites: tuple[TemplateSite, ...]
    constants: tuple[Constant, ...]
    int32: tuple[tuple[int, int], ...]
    int64: tuple[tuple[int, int], ...]
    vectors: tuple[Constant, ...] = ()
    mixed: tuple[Mixed, ...] = ()

    def to_json(self) -> bytes:
        data = {name: value for name, value in self._asdict().items() if name not in ("vectors", "mixed") or value}
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Header:
        data = json.loads(text)
        return cls(
            sites=tuple(TemplateSite(*item) for item in data["sites"]),
            constants=tuple(map(_constant, data["constants"])),
            int32=tuple((offset, site) for offset, site in data["int32"]),
            int64=tuple((offset, site) for offset, site in data["int64"]),
            vectors=tuple(map(_constant, data.get("vectors", []))),
            mixed=tuple(tuple((site, channels) for site, channels in runs) for runs in data.get("mixed", [])),
        )


def _constant(fields: Any) -> Constant:
    reference, offset, dtype, shape, sites = fields
    return Constant(reference, offset, dtype, tuple(shape), tuple(sites))


class _Source:
    """The full value of one constant, reshaped so that each axis that follows a site counts modules."""

    def __init__(
        self, constant: Constant, sites: Sequence[TemplateSite], weights: memoryview, counts_bytes: bool
    ) -> None:
        self.reference = constant.reference
        self.counted_bytes = 1 if counts_bytes else np.dtype(DTYPES[constant.dtype]).itemsize
        self.cuts: list[tuple[int, int]] = []  # (axis of the view below, site index)
        self.module_bytes = np.dtype(DTYPES[constant.dtype]).itemsize  # bytes left when every site keeps one module
        view: list[int] = []
        for length, index in zip(constant.shape, constant.sites):
            if index is None:
                view.append(length)
                self.module_bytes *= length
                continue
            if length != sites[index].width * sites[index].block:
                raise ValueError(f"a constant of shape {constant.shape} does not fit site {sites[index].name!r}")
            self.cuts.append((len(view), index))
            view += [sites[index].width, sites[index].block]
            self.module_bytes *= sites[index].block
        count = int(np.prod(constant.shape))
        self.full = np.frombuffer(weights, DTYPES[constant.dtype], count, constant.offset).reshape(view)

    def size(self, counts: Sequence[int]) -> int:
        """Bytes of the slice when site `i` keeps `counts[i]` modules."""
        size = self.module_bytes
        for _, index in self.cuts:
            size *= counts[index]
        return size

    def write(self, kept: Sequence[Any], out: Any) -> None:
        """Slice into `out`, flat bytes. Outer axes come first: their cheap row copies leave less for the inner axes."""
        cuts = [(axis, kept[index]) for axis, index in self.cuts if len(kept[index]) < self.full.shape[axis]]
        source = self.full
        if not cuts:
            out[:] = source.reshape(-1).view(np.uint8)
            return
        for axis, modules in cuts[:-1]:
            source = source.take(modules, axis)
        axis, modules = cuts[-1]
        shape = source.shape[:axis] + (len(modules),) + source.shape[axis + 1 :]
        # mode="clip" writes directly to `out`; the default would make a copy. All indices are in range.
        source.take(modules, axis, out=out.view(source.dtype).reshape(shape), mode="clip")


class Template:
    """A converted supernet that emits its subnets. Immutable; emitting from several threads is safe."""

    def __init__(self, buffer: Buffer) -> None:
        """Use `Template.from_bytes`, `Template.load` or `Template.seal`."""
        view = memoryview(buffer)
        header, structure, weights = _open(view)
        self._buffer = view
        self._structure = np.frombuffer(structure, np.uint8)
        self.digest = bytes(view[_SEALED : _PROLOGUE.size]).hex()
        try:
            self._read_header(Header.from_json(bytes(header)), weights)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise TemplateError(
                f"cannot read the template's header ({type(error).__name__}: {error}); convert the supernet again"
            ) from error

    def _read_header(self, header: Header, weights: memoryview) -> None:
        self.sites = header.sites
        self._total = sum(site.width for site in header.sites)
        self._starts = np.cumsum([0] + [site.width for site in header.sites])
        self._mixed = header.mixed
        followed = [*header.sites, *(self._as_site(runs) for runs in header.mixed)]
        self._channels = np.array([each.block for each in followed])
        self._sources = [_Source(constant, followed, weights, True) for constant in header.constants]
        self._sources += [_Source(vector, followed, weights, False) for vector in header.vectors]
        self._int32, self._int32_sites = self._words(header.int32, 4)
        self._int64, self._int64_sites = self._words(header.int64, 8)
        self._words([(source.reference, 0) for source in self._sources], 4)

    def _as_site(self, runs: Mixed) -> TemplateSite:
        """A mixed axis as a site of single channels; its gates follow from those of other sites."""
        if any(site is not None and not 0 <= site < len(self.sites) for site, _ in runs):
            raise ValueError("an unknown site")
        return TemplateSite("", sum(n if site is None else n * self.sites[site].width for site, n in runs))

    def _words(self, pairs: Sequence[tuple[int, int]], size: int) -> tuple[Any, Any]:
        """Byte offsets in the structure as indices of its 32-bit words, and their sites. Raises `ValueError`."""
        table = np.array(pairs, np.int64).reshape(-1, 2)
        offsets, sites = table[:, 0], table[:, 1]
        if (offsets % 4).any() or (offsets < 0).any() or (offsets + size > len(self._structure)).any():
            raise ValueError("an offset outside the structure")
        if (sites < 0).any() or (sites >= len(self._channels)).any():
            raise ValueError("an unknown site")
        return offsets // 4, sites

    @classmethod
    def from_bytes(cls, buffer: Buffer) -> Template:
        """Open a template in memory. The buffer is not copied and must not change afterwards.

        Raises:
            TemplateError: not a template, of another version, truncated or damaged.
        """
        return cls(buffer)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Template:
        """Map a template file into memory. To replace such a file, rename another over it; never write into it.

        Raises:
            TemplateError: not a template, of another version, truncated or damaged.
            OSError: the file cannot be read.
        """
        with open(path, "rb") as file:
            if not file.read(1):
                raise TemplateError(f"{path} is empty, not a template; convert the supernet again")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            return cls(mapped)
        except TemplateError as error:
            raise TemplateError(f"{path}: {error}") from error

    @classmethod
    def seal(cls, header: Header, structure: bytes, weights: bytes) -> Template:
        """Assemble a template from its parts, as the converter does."""
        text = header.to_json()
        version = VERSION_WITH_VECTORS if header.vectors else VERSION
        version = VERSION_WITH_MIXED if header.mixed else version
        sizes = struct.pack("<8sIIQQ", MAGIC, version, len(text), len(structure), len(weights))
        parts = [bytes(-_PROLOGUE.size % ALIGNMENT)]
        for part in (text, structure, weights):
            parts += [part, bytes(-len(part) % ALIGNMENT)]
        body = b"".join(parts)
        return cls(sizes + hashlib.sha256(sizes + body).digest() + body)

    def to_bytes(self) -> bytes:
        """The file's content."""
        return bytes(self._buffer)

    def emit(self, packed_gates: bytes) -> np.ndarray:
        """Cut out the subnet of these gates: a self-contained .tflite, `(size,)` uint8.

        Args:
            packed_gates: one bit per module, in the order of the sites, most significant bit first, padded with zeros.

        Raises:
            TemplateError: the gates have another length, or a site has no open module.
        """
        kept = self._open_modules(packed_gates)
        kept += [self._open_channels(runs, kept) for runs in self._mixed]
        counts = [len(modules) for modules in kept]
        spans: list[tuple[int, int]] = []
        end = len(self._structure)
        for source in self._sources:
            start = end + 4  # the count of bytes or elements precedes them
            start += -start % ALIGNMENT
            end = start + source.size(counts)
            spans.append((start, end))
        out: Any = np.empty(end, np.uint8)
        self._write_structure(out, np.array(counts) * self._channels)
        written = len(self._structure)
        for source, (start, end) in zip(self._sources, spans):
            out[written:start] = 0
            _U32.pack_into(out, source.reference, start - 4 - source.reference)
            _U32.pack_into(out, start - 4, (end - start) // source.counted_bytes)
            source.write(kept, out[start:end])
            written = end
        return out

    def _open_modules(self, packed_gates: bytes) -> list[Any]:
        """Per site, the indices of its open modules."""
        if len(packed_gates) != (self._total + 7) // 8:
            raise TemplateError(
                f"{len(packed_gates)} bytes of gates do not fit this template of {self._total} modules, which needs "
                f"{(self._total + 7) // 8}; use the gates of the supernet it was made from"
            )
        opened = np.flatnonzero(np.unpackbits(np.frombuffer(packed_gates, np.uint8)))
        bounds = np.searchsorted(opened, self._starts).tolist()
        if bounds[-1] != len(opened):
            raise TemplateError(
                f"the gates open a module after the last of this template's {self._total}; "
                f"use the gates of the supernet it was made from"
            )
        kept = [opened[a:b] - start for a, b, start in zip(bounds, bounds[1:], self._starts.tolist())]
        for site, modules in zip(self.sites, kept):
            if not len(modules):
                raise TemplateError(f"site {site.name!r} has no open module; open at least one of its {site.width}")
        return kept

    def _open_channels(self, runs: Mixed, kept: Sequence[Any]) -> Any:
        """The indices of the channels of a mixed axis that stay."""
        parts = []
        start = 0
        for site, channels in runs:
            modules = np.zeros(1, np.int64) if site is None else kept[site]
            parts.append((start + modules[:, None] * channels + np.arange(channels)).ravel())
            start += channels * (1 if site is None else self.sites[site].width)
        return np.concatenate(parts)

    def _write_structure(self, out: Any, channels: Any) -> None:
        size = len(self._structure)
        out[:size] = self._structure
        words = out[: size // 4 * 4].view(np.int32)
        words[self._int32] = channels[self._int32_sites]
        words[self._int64] = channels[self._int64_sites]
        words[self._int64 + 1] = 0  # the upper half of a count


def _open(view: memoryview) -> tuple[memoryview, memoryview, memoryview]:
    """Check the seal; return header, structure and weights."""
    if len(view) < _PROLOGUE.size or bytes(view[: len(MAGIC)]) != MAGIC:
        raise TemplateError("this is not a template file; convert a supernet to make one")
    _, version, *sizes, checksum = _PROLOGUE.unpack_from(view)
    if not VERSION <= version <= VERSION_WITH_MIXED:
        raise TemplateError(
            f"the template has version {version}, this program reads {VERSION} to {VERSION_WITH_MIXED}; "
            f"convert the supernet again"
        )
    spans = []
    end = _PROLOGUE.size
    for size in sizes:
        start = end + -end % ALIGNMENT
        spans.append((start, start + size))
        end = start + size
    end += -end % ALIGNMENT
    if len(view) != end:
        raise TemplateError(
            f"the template is truncated or too long: {len(view)} bytes instead of {end}; copy or convert it again"
        )
    seal = hashlib.sha256(view[:_SEALED])
    seal.update(view[_PROLOGUE.size :])
    if seal.digest() != checksum:
        raise TemplateError("the template is damaged: its checksum does not match; copy or convert it again")
    header, structure, weights = (view[start:stop] for start, stop in spans)
    return header, structure, weights
