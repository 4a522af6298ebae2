"""The template file and what is cut out of it, on a structure made by hand: no conversion, no flatbuffer."""

from __future__ import annotations

import ast
import hashlib
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import edgewright.device_agent.template as template_module
import numpy as np
import pytest
from edgewright.device_agent.template import Constant, Header, Template, TemplateError, TemplateSite

SITES = (TemplateSite("a", 5), TemplateSite("b", 3, 2))
WEIGHT = np.arange(5 * 2 * 6, dtype=np.float32).reshape(5, 2, 6)  # axes: site a, none, site b
BIAS = np.arange(100, 106, dtype=np.int64)  # site b
STRUCTURE = bytes(range(100, 148))


def header(**changes: object) -> Header:
    good = Header(
        sites=SITES,
        constants=(Constant(8, 0, 0, (5, 2, 6), (0, None, 1)), Constant(12, 256, 4, (6,), (1,))),
        int32=((16, 0), (20, 1)),
        int64=((24, 1),),
    )
    return good._replace(**changes)


def sealed(head: Header | None = None) -> Template:
    weights = WEIGHT.tobytes().ljust(256, b"\0") + BIAS.tobytes()
    return Template.seal(head or header(), STRUCTURE, weights)


def packed(*bits: int) -> bytes:
    return np.packbits(bits).tobytes()


def member(model: np.ndarray, reference: int) -> bytes:
    """Follow a flatbuffer reference to a vector of bytes."""
    content = model.tobytes()
    start = reference + struct.unpack_from("<I", content, reference)[0]
    assert (start + 4) % 64 == 0
    return content[start + 4 : start + 4 + struct.unpack_from("<I", content, start)[0]]


def test_emission_slices_constants_and_patches_widths() -> None:
    model = sealed().emit(packed(0, 1, 0, 1, 1, 1, 0, 1))
    assert model.dtype == np.uint8 and model.ndim == 1
    rows, channels = [1, 3, 4], [0, 1, 4, 5]
    assert member(model, 8) == WEIGHT[rows][:, :, channels].tobytes()
    assert member(model, 12) == BIAS[channels].tobytes()
    content = model.tobytes()
    assert struct.unpack_from("<iiq", content, 16) == (3, 4, 4)
    assert content[:8] == STRUCTURE[:8] and content[32:48] == STRUCTURE[32:]


def test_vectors_are_counted_by_element() -> None:
    """Scales per channel: a flatbuffer states how many there are, and of a constant how many bytes."""
    scales = np.arange(6, dtype=np.float32)  # site b
    head = header(constants=(), vectors=(Constant(8, 0, 0, (6,), (1,)),))
    template = Template.seal(head, STRUCTURE, scales.tobytes())
    content = template.emit(packed(1, 0, 0, 0, 0, 0, 1, 1)).tobytes()
    start = 8 + struct.unpack_from("<I", content, 8)[0]
    assert struct.unpack_from("<I", content, start)[0] == 4
    assert np.frombuffer(content, np.float32, 4, start + 4).tolist() == [2, 3, 4, 5]
    assert Template.from_bytes(template.to_bytes()).emit(b"\xff").tobytes() == template.emit(b"\xff").tobytes()


def test_a_template_without_vectors_is_written_for_agents_that_know_none() -> None:
    with_vectors = Template.seal(header(vectors=(Constant(8, 0, 0, (6,), (1,)),)), STRUCTURE, bytes(512))
    assert [struct.unpack_from("<I", each.to_bytes(), 8)[0] for each in (sealed(), with_vectors)] == [1, 2]
    assert b"vectors" not in sealed().to_bytes()


def test_a_mixed_axis_follows_several_sites() -> None:
    """Two of site b's channels per module, three that stay, one per module of site a; b's length twice."""
    runs = ((1, 2), (None, 3), (0, 1))
    values = np.arange(28, dtype=np.float32).reshape(2, 14)
    head = header(constants=(Constant(8, 0, 0, (2, 14), (None, 2)),), int32=((16, 2), (20, 3)), int64=((24, 2),))
    template = Template.seal(head._replace(mixed=(runs, ((1, 1), (1, 1)))), STRUCTURE, values.tobytes())
    model = template.emit(packed(0, 1, 0, 0, 1, 1, 0, 1))
    kept = [0, 1, 4, 5, 6, 7, 8, 10, 13]
    assert member(model, 8) == values[:, kept].tobytes()
    assert struct.unpack_from("<iiq", model.tobytes(), 16) == (len(kept), 4, len(kept))
    again = Template.from_bytes(template.to_bytes())
    assert again.emit(b"\xff").tobytes() == template.emit(b"\xff").tobytes()
    assert struct.unpack_from("<I", template.to_bytes(), 8)[0] == 3


def test_full_gates_give_the_full_values() -> None:
    model = sealed().emit(b"\xff")
    assert member(model, 8) == WEIGHT.tobytes()
    assert member(model, 12) == BIAS.tobytes()


def test_one_axis_may_be_full() -> None:
    model = sealed().emit(packed(1, 1, 1, 1, 1, 0, 1, 0))
    assert member(model, 8) == np.ascontiguousarray(WEIGHT[:, :, 2:4]).tobytes()


def test_emission_is_deterministic() -> None:
    """Also what lies between the parts: new memory is first filled with something else."""
    gates = packed(1, 0, 0, 0, 0, 0, 0, 1)
    first = sealed().emit(gates).tobytes()
    rubbish = [np.full(len(first), 0xAA, np.uint8) for _ in range(8)]
    del rubbish
    assert sealed().emit(gates).tobytes() == first


def test_a_file_round_trip_keeps_everything(tmp_path: Path) -> None:
    template = sealed()
    path = tmp_path / "supernet.template"
    path.write_bytes(template.to_bytes())
    loaded = Template.load(path)
    assert loaded.sites == SITES and loaded.sites[1].block == 2
    assert loaded.digest == template.digest == Template.from_bytes(bytearray(template.to_bytes())).digest
    assert loaded.to_bytes() == template.to_bytes()
    assert loaded.emit(b"\x99").tobytes() == template.emit(b"\x99").tobytes()


def test_the_digest_depends_on_the_content() -> None:
    other = Template.seal(header(), STRUCTURE, WEIGHT.tobytes().ljust(256, b"\0") + (BIAS + 1).tobytes())
    assert other.digest != sealed().digest
    assert len(other.digest) == 64


@pytest.mark.parametrize("length", [0, 2, 100])
def test_gates_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(
        TemplateError, match=f"{length} bytes of gates do not fit this template of 8 modules, .* needs 1"
    ):
        sealed().emit(b"\xff" * length)


@pytest.mark.parametrize(
    ("gates", "name"), [(packed(0, 0, 0, 0, 0, 1, 1, 1), "a"), (packed(1, 1, 1, 1, 1, 0, 0, 0), "b")]
)
def test_an_empty_site_is_refused_by_name(gates: bytes, name: str) -> None:
    with pytest.raises(TemplateError, match=f"site '{name}' has no open module"):
        sealed().emit(gates)


def test_gates_of_a_longer_gate_space_are_refused() -> None:
    seven = Template.seal(Header((TemplateSite("a", 7),), (), (), ()), STRUCTURE, b"")
    seven.emit(b"\xfe")
    with pytest.raises(TemplateError, match="open a module after the last of this template's 7"):
        seven.emit(b"\xff")


def test_every_flipped_bit_is_noticed() -> None:
    content = sealed().to_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(TemplateError):
            Template.from_bytes(damaged)


def test_every_truncation_is_noticed() -> None:
    content = sealed().to_bytes()
    for length in range(len(content)):
        with pytest.raises(TemplateError):
            Template.from_bytes(content[:length])
    with pytest.raises(TemplateError, match="truncated or too long"):
        Template.from_bytes(content + b"\0")


def cut(content: bytes) -> bytes:
    return content[:-7]


def flip(content: bytes) -> bytes:
    return content[:-80] + bytes([content[-80] ^ 4]) + content[-79:]


def renumber(content: bytes) -> bytes:
    return content[:8] + b"\x09" + content[9:]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda content: b"", "is empty, not a template"),
        (lambda content: b"PK\3\4" + bytes(500), "is not a template file; convert a supernet to make one"),
        (cut, "truncated or too long: .* copy or convert it again"),
        (flip, "is damaged: its checksum does not match"),
        (renumber, "has version 9, this program reads 1 to 3; convert the supernet again"),
    ],
)
def test_a_bad_file_is_refused_with_its_name(tmp_path: Path, damage: Callable[[bytes], bytes], sentence: str) -> None:
    path = tmp_path / "bad.template"
    path.write_bytes(damage(sealed().to_bytes()))
    with pytest.raises(TemplateError, match=f"bad.template.*{sentence}"):
        Template.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"int32": ((46, 0),)},
        {"int32": ((-4, 0),)},
        {"int32": ((17, 0),)},
        {"int64": ((44, 0),)},
        {"int32": ((16, 2),)},
        {"constants": (Constant(48, 0, 0, (5,), (0,)),)},
        {"constants": (Constant(8, 0, 99, (5,), (0,)),)},
        {"constants": (Constant(8, 0, 0, (6,), (0,)),)},
        {"constants": (Constant(8, 100_000, 0, (5,), (0,)),)},
        {"constants": (Constant(8, 0, 0, (5,), (7,)),)},
        {"constants": (Constant(8, 0, 0, (5,), (2,)),), "mixed": (((0, 1), (None, 1)),)},
        {"int32": ((16, 2),), "mixed": (((7, 1),),)},
    ],
)
def test_a_header_that_points_outside_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(TemplateError, match="cannot read the template's header .*convert the supernet again"):
        sealed(header(**changes))


def test_a_sealed_file_with_a_foreign_header_is_refused() -> None:
    content = sealed().to_bytes()
    body = content[64:].replace(b'"sites"', b'"sties"')
    checksum = hashlib.sha256(content[:32] + body).digest()
    with pytest.raises(TemplateError, match="cannot read the template's header .*sites"):
        Template.from_bytes(content[:32] + checksum + body)


def test_the_module_runs_on_python_3_8_with_numpy_alone() -> None:
    path = template_module.__file__
    assert path is not None
    tree = ast.parse(Path(path).read_text(), feature_version=(3, 8))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"numpy"}
