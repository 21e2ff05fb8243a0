"""GGUF files: models as mappings of tensors, with every type of weights that this package knows."""

from .errors import GGUFError
from .metadata import Metadata
from .reader import GGUFModel, open_gguf
from .tensors import LazyTensor, RawTensor, TensorInfo
from .writer import save_gguf

__all__ = [
    "GGUFError",
    "GGUFModel",
    "LazyTensor",
    "Metadata",
    "RawTensor",
    "TensorInfo",
    "open_gguf",
    "save_gguf",
]
