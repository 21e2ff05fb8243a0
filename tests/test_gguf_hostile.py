"""Does every damaged or hostile GGUF file give a GGUFError or a right answer, quickly and in little memory?

IQKCPU_FUZZ_SEED and IQKCPU_FUZZ_CASES choose other random cases than the usual 2,000.
"""

import os
import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iqkcpu import GGUFError, QuantTensor, RawTensor, open_gguf, repack, save_gguf

SEED = int(os.environ.get("IQKCPU_FUZZ_SEED", "20240607"))
CASES = int(os.environ.get("IQKCPU_FUZZ_CASES", "2000"))
SECONDS = 1.0
# Python's objects are larger than what files say of them: a name of 8 bytes is an object of 60, a tensor's 32 bytes one
# of 500. So much per byte of the file, and so much besides, is the most that opening one may take.
MEMORY_PER_BYTE, MEMORY_BESIDES = 32, 1 << 17


def small_file(path: Path) -> bytes:
    """A file with something of everything."""
    metadata = {
        "general.architecture": "llama",
        "general.alignment": 32,
        "a.u8": np.uint8(1),
        "a.bool": True,
        "a.f64": np.float64(1),
        "a.strings": ["x", "yz", ""],
        "a.numbers": [1, 2, 3],
        "a.nested": [[1], [2, 3]],
    }
    tensors: dict[str, Any] = {
        "token_embd.weight": QuantTensor(bytes(4 * 34), "Q8_0", (4, 32)),
        "blk.0.ffn_up.weight": QuantTensor(bytes(8 * 18), "Q4_0", (8, 32)),
        "blk.0.exps.weight": QuantTensor(bytes(2 * 4 * 18), "IQ4_NL_R4", (2, 4, 32)),
        "blk.0.ks.weight": QuantTensor(bytes(140), "IQ4_KS", (1, 256)),
        "norm": np.ones(5, np.float32),
        "odd": RawTensor(np.zeros(40, np.uint8), 9999, (10,)),
    }
    save_gguf(path, tensors, metadata)
    return path.read_bytes()


def attempt(path: Path, data: bytes) -> str | None:
    """Open a file and use all of it; the message of its GGUFError, or None. Anything else raised is a failure."""
    path.unlink(missing_ok=True)  # faster than to cut a file that is still mapped
    path.write_bytes(data)
    begin = time.monotonic()
    tracemalloc.start()
    try:
        try:
            model = open_gguf(path)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        for name in model:
            tensor = model[name]
            if isinstance(tensor, QuantTensor):
                tensor.dequantize(threads=1)
                repack(tensor, threads=1)
            else:
                (tensor.raw if isinstance(tensor, RawTensor) else tensor).sum()
        message = None
    except GGUFError as error:
        message = str(error)
        assert path.name in message
    assert time.monotonic() - begin < SECONDS
    assert peak < MEMORY_PER_BYTE * len(data) + MEMORY_BESIDES, f"{peak} bytes of memory for a file of {len(data)}"
    return message


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small_file(tmp_path_factory.mktemp("sound") / "sound.gguf")


def test_the_sound_file_opens(tmp_path: Path, sound: bytes) -> None:
    assert attempt(tmp_path / "f.gguf", sound) is None


def test_truncation_at_every_byte(tmp_path: Path, sound: bytes) -> None:
    """What fills up the end, behind the last tensor, is not missed; a tensor of unknown type ends with its file."""
    model = open_gguf(_written(tmp_path / "whole.gguf", sound))
    need = model.infos["odd"].offset
    for size in range(len(sound)):
        message = attempt(tmp_path / "f.gguf", sound[:size])
        assert (message is None) == (size >= need), f"{size} bytes: {message}"


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _mutated(data: bytes, rng: random.Random) -> bytes:
    """A file with random damage: bits, bytes, numbers of the head, pieces moved, cut out or repeated."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(out))
        kind = rng.randrange(8)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            number = rng.choice(
                (0, 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, len(out), 2 ** rng.randrange(64))
            )
            out[at : at + 8] = struct.pack("<Q", number)
        elif kind == 3:
            out[at : at + 4] = struct.pack("<I", rng.choice((0, 7, 8, 9, 12, 13, 31, 36, 139, 230, 2**31, 2**32 - 1)))
        elif kind == 4:
            size = rng.randrange(1, 40)
            source = rng.randrange(len(out))
            out[at : at + size] = out[source : source + size]
        elif kind == 5:
            del out[at : at + rng.randrange(1, 40)]
        elif kind == 6:
            out[at:at] = out[at : at + rng.randrange(1, 40)]
        else:
            del out[at:]
        if not out:
            return b"G"
    return bytes(out)


def test_random_damage(tmp_path: Path, sound: bytes) -> None:
    rng = random.Random(SEED)
    head = sound[: open_gguf(_written(tmp_path / "whole.gguf", sound)).infos["token_embd.weight"].offset]
    refused = 0
    for case in range(CASES):
        data = _mutated(head, rng) + sound[len(head) :] if case % 2 else _mutated(sound, rng)
        try:
            refused += attempt(tmp_path / "f.gguf", data) is not None
        except Exception as error:
            raise AssertionError(f"case {case} of seed {SEED}: {error!r}") from error
    assert refused > CASES // 3


# ---- Files made to hurt ---------------------------------------------------------------------------------------------


def text(s: bytes) -> bytes:
    return struct.pack("<Q", len(s)) + s


def pair(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def info(name: bytes, dims: tuple[int, ...], type_id: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, type_id, offset)


def head(tensors: int, pairs: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


def with_tensors(*infos: bytes, data: int = 4096, pairs: tuple[bytes, ...] = ()) -> bytes:
    out = head(len(infos), len(pairs)) + b"".join(pairs) + b"".join(infos)
    return out + bytes(-len(out) % 32 + data)


def array(of: int, count: int) -> bytes:
    return struct.pack("<IQ", of, count)


HUGE = (2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def hostile() -> Iterator[tuple[str, bytes, str]]:
    """Name, file, and what the message says."""
    for n in HUGE:
        yield f"tensors {n}", head(n, 0) + bytes(100), "tensors do not fit"
        yield f"keys {n}", head(0, n) + bytes(100), "keys do not fit"
        yield f"key length {n}", head(0, 1) + struct.pack("<Q", n) + bytes(100), "bytes"
        yield f"text length {n}", head(0, 1) + pair(b"k", 8, struct.pack("<Q", n)) + bytes(100), "the text of 'k' takes"
        yield f"name length {n}", head(1, 0) + struct.pack("<Q", n) + bytes(100), "the name of a tensor has"
        for of in (0, 4, 7, 8, 9, 12):
            yield f"array of {of} x {n}", head(0, 1) + pair(b"k", 9, array(of, n)) + bytes(100), "do not fit"
        yield (
            f"string in array {n}",
            head(0, 1) + pair(b"k", 9, array(8, 2) + struct.pack("<Q", n)) + bytes(99),
            "string",
        )
        yield f"dims {n}", with_tensors(info(b"w", (n,), 0, 0)), "'w'"
        yield f"dims 1 x {n}", with_tensors(info(b"w", (32, n), 8, 0)), "'w'"
        yield f"dims {n} x {n}", with_tensors(info(b"w", (n, n, n, n), 12, 0)), "'w'"
        if n % 32 == 0:
            yield f"offset {n}", with_tensors(info(b"w", (8,), 0, n)), "the file ends at byte"
    yield "odd offset", with_tensors(info(b"w", (8,), 0, 4)), "no multiple of the alignment"
    yield "many axes", with_tensors(info(b"w", (1,) * 5, 0, 0)), "5 axes"
    yield "2^32 axes", head(1, 0) + text(b"w") + struct.pack("<I", 2**32 - 1) + bytes(99), "axes"
    yield "no name", with_tensors(info(b"", (8,), 0, 0)), "without a name"
    yield "name not UTF-8", with_tensors(info(b"\xff\xfe", (8,), 0, 0)), "not UTF-8"
    yield "key not UTF-8", head(0, 1) + pair(b"\xff", 0, b"1"), "not UTF-8"
    yield "no key", head(0, 1) + pair(b"", 0, b"1"), "empty metadata key"
    yield "kind 13", head(0, 1) + pair(b"k", 13, bytes(8)), "unknown kind 13"
    yield "elements of kind 13", head(0, 1) + pair(b"k", 9, array(13, 1) + bytes(8)), "unknown kind 13"
    yield "bool 2", head(0, 1) + pair(b"k", 7, b"\2"), "a bool of the value 2"
    yield "bools 2", head(0, 1) + pair(b"k", 9, array(7, 3) + b"\0\1\2"), "a bool of the value 2"
    yield "same key", head(0, 2) + 2 * pair(b"k", 0, b"1"), "'k' is there twice"
    yield "same name", with_tensors(*2 * [info(b"w", (8,), 0, 0)]), "'w' is there twice"
    yield "overlap", with_tensors(info(b"a", (16,), 0, 0), info(b"b", (16,), 0, 32)), "'a' and 'b' overlap"
    yield "same place", with_tensors(info(b"a", (8,), 0, 0), info(b"b", (8,), 0, 0)), "overlap"
    yield "one in the other", with_tensors(info(b"a", (64,), 0, 0), info(b"b", (8,), 0, 64)), "overlap"
    yield "behind the end", with_tensors(info(b"a", (8,), 9999, 1 << 20)), "the file ends at byte"
    yield "block", with_tensors(info(b"w", (33, 4), 8, 0)), "K = 33 is not a multiple of the block of 32"
    yield "group", with_tensors(info(b"w", (32, 3), 202, 0)), "3 rows are not a multiple of the 8"
    yield "no rows of many", with_tensors(info(b"w", (32, 0, 2**58), 8, 0)), "too large"
    yield "no columns", with_tensors(info(b"w", (0, 4), 8, 0)), "K must not be 0"
    yield "experts of I2_S", with_tensors(info(b"w", (128, 1, 2), 36, 0)), "I2_S"
    for value in (0, 3, 33, 2**32 - 1):
        damaged = pair(b"general.alignment", 4, struct.pack("<I", value))
        yield f"alignment {value}", with_tensors(pairs=(damaged,)), "power of two"
    for kind, body in ((10, struct.pack("<Q", 32)), (8, text(b"32")), (9, array(4, 1) + struct.pack("<I", 32))):
        yield f"alignment of kind {kind}", with_tensors(pairs=(pair(b"general.alignment", kind, body),)), "uint32"
    for depth in (9, 1000, 100_000):
        yield f"{depth} arrays deep", head(0, 1) + pair(b"k", 9, array(9, 1) * depth + array(0, 0)), "deep"
    yield "many empty arrays", head(0, 1) + pair(b"k", 9, array(9, 10**6) + array(0, 0) * 50_000), "do not fit"
    yield "file of zeros", bytes(1 << 16), "no GGUF file"
    yield "split in one", with_tensors(pairs=(pair(b"split.count", 2, struct.pack("<H", 3)),)), "split model"
    yield "4 billion files", with_tensors(pairs=(pair(b"split.count", 4, struct.pack("<I", 2**32 - 1)),)), "split model"


@pytest.mark.parametrize(("data", "message"), [pytest.param(d, m, id=name) for name, d, m in hostile()])
def test_files_made_to_hurt(tmp_path: Path, data: bytes, message: str) -> None:
    said = attempt(tmp_path / "hostile.gguf", data)
    assert said is not None
    assert message in said
    assert len(said) < 1000


def large() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Sound files with very much of something."""
    n = 50_000
    yield "strings", lambda: head(0, 1) + pair(b"k", 9, array(8, n) + text(b"ab") * n)
    yield "empty strings", lambda: head(0, 1) + pair(b"k", 9, array(8, n) + text(b"") * n)
    yield "empty arrays", lambda: head(0, 1) + pair(b"k", 9, array(9, n) + array(0, 0) * n)
    yield "bools", lambda: head(0, 1) + pair(b"k", 9, array(7, 20 * n) + bytes(20 * n))
    yield "keys", lambda: head(0, n // 4) + b"".join(pair(b"%d" % i, 0, b"1") for i in range(n // 4))
    yield "tensors", lambda: with_tensors(*(info(b"%d" % i, (), 24, 32 * i) for i in range(n // 4)), data=8 * n + 32)


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in large()])
def test_memory_stays_in_proportion(tmp_path: Path, make: Callable[[], bytes]) -> None:
    path = _written(tmp_path / "large.gguf", make())
    begin = time.monotonic()
    open_gguf(path)
    assert time.monotonic() - begin < SECONDS
    tracemalloc.start()
    open_gguf(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEMORY_PER_BYTE * path.stat().st_size + MEMORY_BESIDES


def test_a_symbolic_link_to_itself(tmp_path: Path) -> None:
    loop = tmp_path / "loop.gguf"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="loop"):
        open_gguf(loop)
