"""The error and the time of each candidate type for each tensor of a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._tensor import QuantTensor
from .._types import Type
from ..gguf import Metadata, TensorInfo
from ..gguf.reader import LOOKED_UP
from ..gguf.tensors import matrix_shape
from ..quantize_model import Model
from .errors import quantize_sample, relative_error
from .sampling import Sample, sample_rows
from .speed import ProductShape, seconds_per_weight

_EMBEDDINGS = re.compile(r"^token_embd\.weight$")


@dataclass(frozen=True, slots=True)
class Item:
    """A tensor that is to get one of several types."""

    info: TensorInfo
    types: tuple[Type, ...]
    """The types, each once; that of the stored weights may be among them: they would stay."""
    products: int
    """How many matrices of it are multiplied in one pass of the model; an expert is a matrix."""
    batch: int
    """How many columns each product has."""

    @property
    def product_shape(self) -> ProductShape:
        """The shape whose time stands for that of its products."""
        rows, k = matrix_shape(self.info.shape)[-2:]
        return ProductShape.standing_for(rows, k, self.batch)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a type means for a tensor."""

    error: float
    """Relative: the weighted sum of squared differences over that of squares, on sampled rows."""
    seconds: float
    """Of the tensor's products in one pass."""


def products_of(info: TensorInfo, infos: Mapping[str, TensorInfo], metadata: Metadata, batch: int) -> tuple[int, int]:
    """Return how many products a pass of `batch` tokens makes with a tensor, and of how many columns each.

    The tokens of a pass are spread evenly over experts, of which the metadata tells how many each token uses; without
    it a token uses all. Tables whose rows are looked up are not multiplied, unless the embeddings are the output too.
    """
    if LOOKED_UP.search(info.name) and not (_EMBEDDINGS.match(info.name) and "output.weight" not in infos):
        return 0, batch
    *experts, _, _ = matrix_shape(info.shape)
    if not experts:
        return 1, batch
    used = metadata.get(f"{metadata.get('general.architecture')}.expert_used_count")
    slots = batch * (min(used, experts[0]) if isinstance(used, int) and used > 0 else experts[0])
    reached = max(1, min(experts[0], slots))
    return reached, -(-slots // reached)


def measure(
    model: Model,
    items: Sequence[Item],
    importance: Mapping[str, NDArray[np.float32]],
    *,
    rows: int,
    seed: int,
    footprint: int,
    progress: Callable[[str], object],
) -> list[dict[Type, Measured]]:
    """Return, for each item, what its types mean.

    Args:
        model: the file.
        items: the tensors and their types.
        importance: of the columns, by tensor, shape (K,) or (experts, K).
        rows: how many to sample of each tensor.
        seed: of the choice of rows.
        footprint: bytes of weights that products go through, more than caches hold.
        progress: called with a name `count_steps` times: once per tensor and per product measured.

    Raises:
        ValueError: a sampled row holds NaN or infinity.
    """
    errors: list[dict[Type, float]] = []
    samples: dict[tuple[ProductShape, Type], QuantTensor] = {}
    for number, item in enumerate(items):
        columns = importance.get(item.info.name)
        sample = _sample(model, item.info, rows, np.random.default_rng([seed, number]))
        plain: dict[Type, tuple[QuantTensor, float]] = {}
        for t in item.types:
            one_by_one = t.base or t
            if one_by_one not in plain:
                made = quantize_sample(sample, one_by_one, columns)
                plain[one_by_one] = made, relative_error(sample, made, columns)
            if item.products:
                samples.setdefault((item.product_shape, t), plain[one_by_one][0])
        errors.append({t: 0.0 if t is item.info.type else plain[t.base or t][1] for t in item.types})
        progress(item.info.name)
    speeds = seconds_per_weight(samples, footprint, lambda: progress("speed")) if samples else {}
    return [
        {t: Measured(error, _seconds(item, t, speeds)) for t, error in of_item.items()}
        for item, of_item in zip(items, errors, strict=True)
    ]


def count_steps(items: Sequence[Item]) -> int:
    """Return how often `measure` reports progress."""
    return len(items) + len({(item.product_shape, t) for item in items if item.products for t in item.types})


def _sample(model: Model, info: TensorInfo, rows: int, rng: np.random.Generator) -> Sample:
    tensor = model[info.name]
    assert isinstance(tensor, (QuantTensor, np.ndarray))  # no item is of an unknown type
    try:
        return sample_rows(tensor, rows, rng)
    except ValueError as error:
        raise ValueError(f"{info.name}: {error}") from None
    finally:
        model.release(info.name)


def _seconds(item: Item, t: Type, speeds: Mapping[tuple[ProductShape, Type], float]) -> float:
    if not item.products:
        return 0.0
    rows, k = matrix_shape(item.info.shape)[-2:]
    return item.products * rows * k * speeds[item.product_shape, t]
