"""The supernet as one converted model and a slice plan: any gates become an ordinary .tflite, with numpy alone.

A template file, little-endian, every part starting at a multiple of 64 bytes:

    prologue    magic, version, sizes of the three parts below, sha256 of all other bytes of the file
    header      JSON: the sites, where the structure holds their widths, and the constants and vectors that follow them
    structure   the flatbuffer of the full model, in which everything that follows a site is a stub of one element
    weights     the full values of what follows a site

A subnet is the structure with its widths patched in place, and the sliced constants appended. References in a
flatbuffer only point forward, so one number per constant makes the appended data an ordinary part of the model.
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
VERSION, VERSION_WITH_VECTORS, VERSION_WITH_MIXED = 1, 2, 3  # written as the least, for agents that know no other
ALIGNMENT = 64

# TensorType of the TFLite schema. Packed types (int4) are missing on purpose: they cannot be sliced by element.
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
_SEALED = _PROLOGUE.size - 32  # the checksum covers what stands before itself, and all that follows
_U32 = struct.Struct("<I")


class TemplateError(ValueError):
    """A file that is no intact template, or gates that do not fit one."""


class TemplateSite(NamedTuple):
    """One place with gates: `width` modules of `block` consecutive channels each."""

    name: str
    width: int
    block: int = 1


Mixed = Tuple[Tuple[Optional[int], int], ...]


class Constant(NamedTuple):
    """A constant of the model, or another vector, that follows at least one site.

    `reference` is the place in the structure of the number that points to its data, `offset` its start in the weights.
    `sites` has one entry per axis: the index of the site or of the mixed axis that the axis follows, or None.
    """

    reference: int
    offset: int
    dtype: int
    shape: tuple[int, ...]
    sites: tuple[int | None, ...]


class Header(NamedTuple):
    """What of the structure follows which site. `int32` and `int64` are pairs (place in the structure, site index).

    `vectors` are scales and zero points per channel: kept as constants are, but the flatbuffer counts their elements,
    and not their bytes. `mixed` are axes that are not one site's modules from end to end, as concatenated channels and
    attention's projections are not: runs of (site index, channels per module), or of (None, channels that stay).
    Wherever a site's index stands, `len(sites) + i` is mixed axis `i`.
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
            int32=tuple((place, site) for place, site in data["int32"]),
            int64=tuple((place, site) for place, site in data["int64"]),
            vectors=tuple(map(_constant, data.get("vectors", []))),
            mixed=tuple(tuple((site, channels) for site, channels in runs) for runs in data.get("mixed", [])),
        )


def _constant(fields: Any) -> Constant:
    reference, offset, dtype, shape, sites = fields
    return Constant(reference, offset, dtype, tuple(shape), tuple(sites))


class _Source:
    """The full value of one constant, seen so that every followed axis counts modules."""

    def __init__(
        self, constant: Constant, sites: Sequence[TemplateSite], weights: memoryview, counts_bytes: bool
    ) -> None:
        self.reference = constant.reference
        self.counted_bytes = 1 if counts_bytes else np.dtype(DTYPES[constant.dtype]).itemsize
        self.cuts: list[tuple[int, int]] = []  # (axis of the view below, site index)
        self.module_bytes = np.dtype(DTYPES[constant.dtype]).itemsize  # what is left when every site keeps one module
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
        """Bytes left when site `i` keeps `counts[i]` modules."""
        size = self.module_bytes
        for _, index in self.cuts:
            size *= counts[index]
        return size

    def write(self, kept: Sequence[Any], out: Any) -> None:
        """Slice into `out`, flat bytes. Outer axes first: those are whole-row copies that shrink the inner work."""
        cuts = [(axis, kept[index]) for axis, index in self.cuts if len(kept[index]) < self.full.shape[axis]]
        source = self.full
        if not cuts:
            out[:] = source.reshape(-1).view(np.uint8)
            return
        for axis, modules in cuts[:-1]:
            source = source.take(modules, axis)
        axis, modules = cuts[-1]
        shape = source.shape[:axis] + (len(modules),) + source.shape[axis + 1 :]
        # mode="clip" writes straight to `out`; the default would go through a copy. The modules are in range.
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
                f"the template's header is not understood ({type(error).__name__}: {error}); convert the supernet again"
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
        self._int32, self._int32_sites = self._places(header.int32, 4)
        self._int64, self._int64_sites = self._places(header.int64, 8)
        self._places([(source.reference, 0) for source in self._sources], 4)

    def _as_site(self, runs: Mixed) -> TemplateSite:
        """A mixed axis as a site of single channels, whose gates follow from those of others."""
        if any(site is not None and not 0 <= site < len(self.sites) for site, _ in runs):
            raise ValueError("an unknown site")
        return TemplateSite("", sum(n if site is None else n * self.sites[site].width for site, n in runs))

    def _places(self, pairs: Sequence[tuple[int, int]], size: int) -> tuple[Any, Any]:
        """Places in the structure as one index per word of 32 bits, and their sites; all checked."""
        table = np.array(pairs, np.int64).reshape(-1, 2)
        places, sites = table[:, 0], table[:, 1]
        if (places % 4).any() or (places < 0).any() or (places + size > len(self._structure)).any():
            raise ValueError("a place outside the structure")
        if (sites < 0).any() or (sites >= len(self._channels)).any():
            raise ValueError("an unknown site")
        return places // 4, sites

    @classmethod
    def from_bytes(cls, buffer: Buffer) -> Template:
        """The buffer is not copied and must not change afterwards.

        Raises:
            TemplateError: no template, another version, cut short, or damaged.
        """
        return cls(buffer)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Template:
        """Map a template file into memory; replace such a file by renaming, never by writing into it.

        Raises:
            TemplateError: no template, another version, cut short, or damaged.
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
        """Put the parts together, as the converter does."""
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
        """The subnet of these gates as a self-contained .tflite, `(size,)` uint8.

        Args:
            packed_gates: a bit per module, the sites in order, most significant bit first, zeros after the last.

        Raises:
            TemplateError: gates of another length, or a site without an open module.
        """
        kept = self._open_modules(packed_gates)
        kept += [self._open_channels(runs, kept) for runs in self._mixed]
        counts = [len(modules) for modules in kept]
        places: list[tuple[int, int]] = []
        end = len(self._structure)
        for source in self._sources:
            start = end + 4  # the number of bytes or elements stands just before them
            start += -start % ALIGNMENT
            end = start + source.size(counts)
            places.append((start, end))
        out: Any = np.empty(end, np.uint8)
        self._write_structure(out, np.array(counts) * self._channels)
        written = len(self._structure)
        for source, (start, end) in zip(self._sources, places):
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
                f"the gates open a module behind the last of this template's {self._total}; "
                f"use the gates of the supernet it was made from"
            )
        kept = [opened[a:b] - start for a, b, start in zip(bounds, bounds[1:], self._starts.tolist())]
        for site, modules in zip(self.sites, kept):
            if not len(modules):
                raise TemplateError(f"site {site.name!r} has no open module; open at least one of its {site.width}")
        return kept

    def _open_channels(self, runs: Mixed, kept: Sequence[Any]) -> Any:
        """The indices of what is left of a mixed axis."""
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
        raise TemplateError("this is not a template file; make one by converting a supernet")
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
            f"the template is cut short or has grown: {len(view)} bytes instead of {end}; copy or convert it again"
        )
    seal = hashlib.sha256(view[:_SEALED])
    seal.update(view[_PROLOGUE.size :])
    if seal.digest() != checksum:
        raise TemplateError("the template is damaged: its checksum does not match; copy or convert it again")
    header, structure, weights = (view[start:stop] for start, stop in spans)
    return header, structure, weights
