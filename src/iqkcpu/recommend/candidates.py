"""Which tensors of a model can get which types, by the rules of `iqkcpu quantize`."""

from __future__ import annotations

from collections.abc import Sequence

from .._types import Type, can_quantize
from ..gguf import TensorInfo
from ..quantize_model import Model
from ..steps import plan_steps
from .measure import Item, products_of


def items_of(
    model: Model, candidates: Sequence[Type], batch: int, *, stay: bool
) -> tuple[list[Item], dict[Type, list[Type]]]:
    """Find out which tensors can get which types.

    Args:
        model: the file.
        candidates: the types to choose from; where one does not fit, its usual substitute stands for it.
        batch: tokens in a pass.
        stay: whether the type of the stored weights is to choose from too.

    Returns:
        The tensors that some candidate fits, and for each candidate that fits them all what it becomes for each.

    Raises:
        ValueError: there is no such tensor.
    """
    items = []
    fitted: dict[Type, list[Type]] = {t: [] for t in candidates}
    for info in model.infos.values():
        fitting = {t: target for t in candidates if (target := _target(info, t)) is not None}
        if fitting:
            stored = [info.type] if stay and info.type is not None and can_quantize(info.type) else []
            products = products_of(info, model.infos, model.metadata, batch)
            items.append(Item(info, tuple(dict.fromkeys([*fitting.values(), *stored])), *products))
            for t, target in fitting.items():
                fitted[t].append(target)
    if not items:
        raise ValueError(f"{model.paths[0]}: no tensor that could be quantized")
    return items, {t: of for t, of in fitted.items() if len(of) == len(items)}


def _target(info: TensorInfo, t: Type) -> Type | None:
    """Return what a tensor becomes if it is to get a type; None: it is not quantized."""
    (step,) = plan_steps([info], (), t)
    return step.target
