"""The types of quantized weights: one object per line of the table of formats."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, SupportsIndex, final

from . import _core


@final
class Type:
    """A type of weights: how many bytes a block takes, how rows are stored.

    `Type("IQ4_K")` looks a type up by name, `Type(139)` by GGUF id, and a `Type` stands for itself. There is one object
    per type, so `is`, `==` and `hash` agree.

    Raises:
        ValueError: no such type; the message names near matches.
        TypeError: neither a name, an id nor a `Type`.
    """

    __slots__ = ("_info",)
    _info: _core.TypeInfo
    _by_name: ClassVar[dict[str, Type]] = {}
    _by_id: ClassVar[dict[int, Type]] = {}

    def __new__(cls, type: str | SupportsIndex | Type, /) -> Type:
        if isinstance(type, Type):
            return type
        if isinstance(type, str):
            known = cls._by_name.get(type)
            if known is None:
                raise ValueError(f"unknown type {type!r}{_near(type)}")
            return known
        try:
            number = operator.index(type)
        except TypeError:
            kind = type.__class__.__name__
            raise TypeError(f"a type is a name, a GGUF id or an iqkcpu.Type, not {kind}") from None
        if number not in cls._by_id:
            raise ValueError(f"unknown type id {number}")
        return cls._by_id[number]

    @property
    def name(self) -> str:
        """The name, such as "IQ4_K"."""
        return self._info.name

    @property
    def id(self) -> int:
        """The number of the type in GGUF files."""
        return self._info.id

    @property
    def family(self) -> str:
        """What the format belongs to: float, legacy, kquants, iquants, iqk, trellis, bitnet or q8."""
        return self._info.family

    @property
    def bpw(self) -> float:
        """Bits per weight of the blocks, headers of rows not counted."""
        return 8 * self._info.block_bytes / self._info.block_weights

    @property
    def block_size(self) -> int:
        """Weights per block: it divides the length of every row."""
        return self._info.block_weights

    @property
    def block_bytes(self) -> int:
        """Bytes per block of one row."""
        return self._info.block_bytes

    @property
    def row_meta_bytes(self) -> int:
        """Bytes of header per row, before its blocks."""
        return self._info.header_bytes

    @property
    def interleave(self) -> int:
        """Rows stored together: 1, 4, 8 or 16. It divides the number of rows of every matrix."""
        return self._info.interleave

    @property
    def base(self) -> Type | None:
        """The type that this one was repacked from, if any."""
        return None if self._info.base is None else Type(self._info.base)

    @property
    def repacked(self) -> Type | None:
        """The type that this one repacks to, if any."""
        return None if self._info.repacked is None else Type(self._info.repacked)

    @property
    def needs_imatrix(self) -> bool:
        """Whether quantizing without an importance matrix gives poor weights (types of one and two bits)."""
        return self.bpw < 3 and self.family in ("kquants", "iquants", "iqk", "trellis")

    def row_bytes(self, k: SupportsIndex) -> int:
        """Bytes of a row of `k` weights, header included.

        Raises:
            ValueError: `k` is negative, too large, or no multiple of the block.
        """
        return self._info.row_bytes(checked_size("K", k))

    def __repr__(self) -> str:
        return f"Type({self.name!r})"

    def __reduce__(self) -> tuple[type[Type], tuple[str]]:
        return Type, (self.name,)


# Other names that files and people use.
_ALIASES = {"Q1_0": "Q1_0_G128"}


def _near(name: str) -> str:
    """The tail of a message about an unknown name: what may have been meant."""
    matches = difflib.get_close_matches(name.upper(), Type._by_name, n=4, cutoff=0.6)
    return f"; near matches: {', '.join(matches)}" if matches else "; iqkcpu.types lists all"


def _register() -> Mapping[str, Type]:
    for info in _core.types():
        t = object.__new__(Type)
        t._info = info
        Type._by_name[info.name] = Type._by_id[info.id] = t
    table = dict(Type._by_name)
    for alias, name in _ALIASES.items():
        Type._by_name[alias] = table[name]
    return MappingProxyType(table)


types: Mapping[str, Type] = _register()
"""Every type by its name, in the order of the table."""


def can_quantize(t: Type) -> bool:
    """Whether there is a quantizer for the type, or for the one that it is repacked from."""
    return t._info.can_quantize or (t.base is not None and t.base._info.can_quantize)


def fallback(t: Type) -> Type:
    """The usual type for rows that the block of `t` does not divide: of blocks of 32, and not smaller."""
    return next((f for f in map(Type, ("IQ4_NL", "Q5_0", "Q6_0")) if f.bpw >= t.bpw), Type("Q8_0"))


def tensor_bytes(type: Type, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor of `shape`: (rows, K) or (experts, rows, K).

    Raises:
        ValueError: a shape that the type cannot have.
    """
    if len(shape) not in (2, 3):
        raise ValueError(f"a tensor has the shape (rows, K) or (experts, rows, K), not {shape}")
    *experts, rows, k = (checked_size(f"shape {shape}: a dimension", n) for n in shape)
    if k == 0:
        raise ValueError(f"shape {shape}: K must not be 0")
    if experts and type.name == "I2_S":
        raise ValueError("I2_S has one scale for the whole tensor: it cannot hold experts")
    return type._info.matrix_bytes(rows, k) * math.prod(experts)


def checked_size(name: str, n: SupportsIndex) -> int:
    """Return a size as an int that the core can count with."""
    size = operator.index(n)
    if not 0 <= size < 2**62:
        raise ValueError(f"{name} = {size} is out of range")
    return size
