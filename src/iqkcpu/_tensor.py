"""Quantized matrices over bytes that belong to someone else."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex, final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _core, _ops  # _ops imports this module: its names exist when they are called
from ._arrays import FLOAT32, check_out, is_float
from ._runtime import thread_count
from ._types import Type, tensor_bytes


@final
class QuantTensor:
    """Quantized weights: a matrix of shape (rows, K), or a stack of them, (experts, rows, K).

    The bytes are not copied: `raw` may be any C-contiguous buffer (an array, bytes, a memoryview, an mmap), and stays
    alive with the tensor. No method changes them.

    Args:
        raw: the bytes, laid out as GGUF has them.
        type: a `Type`, its name or its GGUF id.
        shape: (rows, K) or (experts, rows, K).

    Raises:
        ValueError: unknown type; K no multiple of the block, rows no multiple of the interleave; `raw` of another size
            than type and shape need, or not contiguous.
    """

    __slots__ = ("__weakref__", "_matrix", "_memory", "_raw", "_shape", "_stack", "_type")
    __hash__ = None  # type: ignore[assignment]  # equality goes by the bytes, which belong to someone else

    _matrix: _core.Matrix
    _memory: NDArray[np.uint8] | None  # the bytes as they may be written to, if the given buffer allows it
    _raw: NDArray[np.uint8]
    _shape: tuple[int, ...]
    _stack: tuple[NDArray[np.uint8], _core.Experts]  # `_raw` as the core takes experts, made when first asked for
    _type: Type

    def __init__(self, raw: ArrayLike, type: str | SupportsIndex | Type, shape: tuple[SupportsIndex, ...]) -> None:
        type = Type(type)
        dims = tuple(operator.index(n) for n in shape)
        size = tensor_bytes(type, dims)
        memory = _flat_bytes(raw)
        if memory.size != size:
            raise ValueError(f"{type.name} of shape {dims} takes {size} bytes, raw has {memory.size}")
        self._hold(memory, type, dims)

    def _hold(self, memory: NDArray[np.uint8], type: Type, dims: tuple[int, ...]) -> None:
        """Be the tensor of this type and shape over these bytes."""
        flat = memory.view()
        flat.flags.writeable = False
        k = dims[-1]
        self._memory = memory if memory.flags.writeable else None
        self._matrix = _core.Matrix(type.id, flat, math.prod(dims[:-1]), k)
        self._raw = flat if type.name == "I2_S" else flat.reshape(*dims[:-1], type.row_bytes(k))
        self._shape = dims
        self._type = type

    @classmethod
    def _view(cls, raw: NDArray[np.uint8], type: Type, shape: tuple[int, ...]) -> QuantTensor:
        """Return a tensor over a slice of another's `raw`: experts may lie apart, each is in one piece."""
        if raw.flags.c_contiguous:
            return cls(raw, type, shape)
        view = object.__new__(cls)  # without a `_matrix`, which is all rows in one piece
        view._memory, view._raw, view._shape, view._type = None, raw, shape, type
        return view

    def _experts(self) -> _core.Experts:
        """The weights as the core takes experts; a matrix is one of them."""
        raw = self._raw
        held: tuple[NDArray[np.uint8], _core.Experts] | None = getattr(self, "_stack", None)
        if held is not None and held[0] is raw:
            return held[1]
        experts = self._shape[0] if self.ndim == 3 else 1
        rows, k = self._shape[-2:]
        size = self._type._info.matrix_bytes(rows, k)
        if raw.flags.c_contiguous:
            flat, stride = raw.reshape(-1), size
        else:
            stride = raw.strides[0]
            flat = as_strided(raw, ((experts - 1) * stride + size,), (1,), writeable=False)
        self._stack = raw, _core.Experts(self._type.id, flat, experts, rows, k, stride)
        return self._stack[1]

    @property
    def raw(self) -> NDArray[np.uint8]:
        """The bytes, read-only, as (rows, bytes per row) or (experts, rows, bytes per row); I2_S: flat.

        Of interleaved types the bytes of a row group are shared out over its rows, not sorted by them.
        """
        return self._raw

    @property
    def type(self) -> Type:
        """The type of the weights."""
        return self._type

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, K) or (experts, rows, K), counted in weights."""
        return self._shape

    @property
    def ndim(self) -> int:
        """2, or 3 for experts."""
        return len(self._shape)

    @property
    def nbytes(self) -> int:
        """The size of `raw`."""
        return self._raw.size

    @property
    def bpw(self) -> float:
        """Bits per weight, headers of rows included."""
        return 8 * self.nbytes / max(1, self._size)

    @property
    def _size(self) -> int:
        return math.prod(self._shape)

    @property
    def T(self) -> Transposed:
        """The transpose, for `x @ w.T`.

        Raises:
            ValueError: the tensor holds experts.
        """
        return Transposed(self)

    def dequantize(
        self,
        out: NDArray[Any] | None = None,
        dtype: DTypeLike = np.float32,
        threads: SupportsIndex | None = None,
    ) -> NDArray[Any]:
        """Return the weights as floating-point numbers, in an array of this tensor's shape.

        Args:
            out: where to write: C-contiguous, of the right shape and dtype.
            dtype: float32 (exact up to one rounding), or another floating-point type, into which float32 is rounded.
            threads: how many to use; by default `get_num_threads()`.

        Raises:
            TypeError: `dtype` is no floating-point type.
            ValueError: `out` has another shape or dtype, is read-only or overlaps the weights.
        """
        to = np.dtype(dtype)
        if not is_float(to):
            raise TypeError(f"dtype must be a floating-point type, not {to}")
        if out is None:
            result = np.empty(self._shape, to)
        else:
            check_out(out, self._shape, to, w=self._raw)
            result = out
        if not self._raw.flags.c_contiguous:
            for e in range(len(self)):
                self[e].dequantize(result[e], to, threads)
            return result
        if to == FLOAT32:
            _core.dequantize(self._matrix, result, thread_count(threads))
            return result
        step = self._slice_step()
        for i in range(0, len(self), step):
            part = self if step >= len(self) else self[i : i + step]
            with np.errstate(over="ignore"):
                result[i : i + step] = part.dequantize(threads=threads)
        return result

    def _slice_step(self) -> int:
        """How much of the first axis to decode at a time: whole groups, a few MB of float32."""
        if self._type.name == "I2_S" or not self._size:
            return max(1, len(self))
        group = self._type.interleave if self.ndim == 2 else 1
        return max(1, (1 << 20) // (self._size // len(self) * group)) * group

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, index: SupportsIndex | slice) -> QuantTensor:
        """Return a view of one expert, `w[e]`, or of a range of experts or of whole row groups, `w[i:j]`.

        Raises:
            IndexError: no such expert.
            ValueError: a single row, a step, or a range that cuts through a group of interleaved rows.
        """
        if self._type.name == "I2_S":
            raise ValueError("I2_S has one scale for the whole tensor: it has no views")
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            stop = max(start, stop)
            group = self._type.interleave if self.ndim == 2 else 1
            if step != 1:
                raise ValueError(f"a tensor is sliced with step 1, not {step}")
            if start % group or stop % group:
                raise ValueError(
                    f"{self._type.name} stores {group} rows together: rows {start}:{stop} cut through a group"
                )
            return QuantTensor._view(self._raw[start:stop], self._type, (stop - start, *self._shape[1:]))
        expert = operator.index(index)
        if self.ndim == 2:
            raise ValueError(f"w[{expert}] of a matrix: rows are taken as a range, w[i:j]")
        return QuantTensor(self._raw[expert], self._type, self._shape[1:])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuantTensor):
            return NotImplemented
        return (
            self._type is other._type
            and self._shape == other._shape
            and (self._raw is other._raw or np.array_equal(self._raw, other._raw))
        )

    def __repr__(self) -> str:
        return f"QuantTensor({self._type.name}, shape={self._shape}, {self.nbytes} bytes, {self.bpw:.4g} bpw)"

    def __reduce__(self) -> tuple[Any, ...]:
        return QuantTensor, (self._raw, self._type, self._shape)

    def __copy__(self) -> QuantTensor:
        return QuantTensor._view(self._raw, self._type, self._shape)

    if not TYPE_CHECKING:  # type checkers shall refuse it too

        def __array__(self, dtype: object = None, copy: object = None) -> NoReturn:
            """Refuse: NumPy shall not decode weights unasked."""
            raise TypeError("a QuantTensor is no array of numbers: use w.dequantize(), or w.raw for its bytes")


@final
class Transposed:
    """The transpose of a quantized matrix: `x @ w.T` is `mul_mat(w, x)`."""

    __slots__ = ("T",)
    __array_ufunc__ = None  # NumPy's x @ ... leaves the product to __rmatmul__

    def __init__(self, w: QuantTensor) -> None:
        if w.ndim != 2:
            raise ValueError(f"w.T is for matrices, w has shape {w.shape}: take an expert first, w[e].T")
        self.T = w

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, rows)."""
        return self.T.shape[::-1]

    def __rmatmul__(self, x: ArrayLike) -> NDArray[np.float32]:
        return _ops.mul_mat(self.T, x)

    def __repr__(self) -> str:
        return f"{self.T!r}.T"


def _flat_bytes(raw: ArrayLike) -> NDArray[np.uint8]:
    """Return the bytes of any contiguous buffer, not copied."""
    if isinstance(raw, np.ndarray):
        array = np.asarray(raw)
    else:
        try:
            view = memoryview(raw)  # type: ignore[arg-type]  # what is no buffer is refused
        except TypeError:
            raise TypeError(f"raw must be a buffer of bytes, not {type(raw).__name__}") from None
        array = np.asarray(view)
    if array.dtype.hasobject:
        raise TypeError("raw must hold bytes, not objects")
    if not array.flags.c_contiguous:
        raise ValueError("raw must be C-contiguous")
    return array.reshape(-1).view(np.uint8)
