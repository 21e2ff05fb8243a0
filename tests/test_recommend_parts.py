"""Do the parts of `iqkcpu recommend` do their jobs: sizes, samples, errors, times, rules?"""

import itertools
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iqkcpu import Metadata, QuantTensor, TensorInfo, Type, open_gguf, quantize, save_gguf
from iqkcpu.quantize_model import Quantization, Watcher
from iqkcpu.recipes import Rule, first_match, parse_rules, read_recipe
from iqkcpu.recommend.budget import parse_budget
from iqkcpu.recommend.errors import quantize_sample, relative_error
from iqkcpu.recommend.measure import Item, Measured, products_of
from iqkcpu.recommend.output import OutputFile
from iqkcpu.recommend.rules import recipe_lines
from iqkcpu.recommend.sampling import sample_rows
from iqkcpu.recommend.speed import ProductShape, seconds_per_weight
from iqkcpu.recommend.task import Task
from iqkcpu.steps import plan_steps

RANDOM = np.random.default_rng(11)


def normal(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


# ---- budgets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("12GiB", 12 << 30),
        ("8GB", 8 * 10**9),
        ("500 mib", 500 << 20),
        ("1.5kB", 1500),
        ("0.5TiB", 1 << 39),
        ("7B", 7),
        (".5KiB", 512),
        ("4.1GB", 4_100_000_000),
    ],
)
def test_bytes(text: str, nbytes: int) -> None:
    assert parse_budget(text).nbytes == nbytes
    assert parse_budget(text).bpw is None


def test_bits_per_weight() -> None:
    assert parse_budget("4.5bpw").bpw == 4.5
    assert parse_budget("4.5bpw").nbytes is None


@pytest.mark.parametrize(
    "text", ["", "12", "12G", "GiB", "-1GiB", "1e3MB", "nanGB", "4.5 bits", "0GiB", "0.1B", "0bpw"]
)
def test_no_budgets(text: str) -> None:
    with pytest.raises(ValueError, match=r"no size such as|is nothing"):
        parse_budget(text)


# ---- samples ---------------------------------------------------------------------------------------------------------

FLOATS = normal(3, 16, 256)


@pytest.mark.parametrize("of", ["F32", "F16", "BF16", "Q8_0", "IQ4_KS", "Q4_K_R4", "IQ4_XS_R8", "I2_S"])
def test_samples_are_rows_of_the_tensor(of: str) -> None:
    tensor: Any
    if of in ("F32", "F16"):
        tensor = whole = FLOATS.astype(of.replace("F", "float"))
    elif of == "I2_S":
        raw = np.append(RANDOM.integers(256, size=16 * 64, dtype=np.uint8), np.zeros(32, np.uint8))
        raw[-32:-28] = np.frombuffer(np.float32(0.5).tobytes(), np.uint8)
        tensor = QuantTensor(raw, of, (16, 256))
        whole = tensor.dequantize()
    else:
        tensor = quantize(FLOATS, of)
        whole = tensor.dequantize()
    flat = whole.reshape(-1, 256)
    everything = sample_rows(tensor, 1000, np.random.default_rng(0))
    assert np.array_equal(everything.rows, flat)
    assert np.array_equal(everything.experts, np.arange(len(flat)) // 16)
    some = sample_rows(tensor, 5, np.random.default_rng(0))
    places = [int(np.flatnonzero((flat == row).all(axis=1))[0]) for row in some.rows]
    assert places == sorted(set(places))
    assert np.array_equal(some.experts, np.array(places) // 16)
    bounds = np.linspace(0, len(flat), 6)
    assert all(low - 1 <= place < high for place, low, high in zip(places, bounds, bounds[1:], strict=False))
    again = sample_rows(tensor, 5, np.random.default_rng(0))
    assert np.array_equal(again.rows, some.rows)


def test_only_sampled_rows_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = quantize(FLOATS, "BF16")

    def refuse(*_: object) -> None:
        raise AssertionError("the whole tensor is decoded")

    monkeypatch.setattr(QuantTensor, "dequantize", refuse)
    assert sample_rows(tensor, 5, np.random.default_rng(0)).rows.shape == (5, 256)


def test_the_place_of_what_is_not_finite() -> None:
    bad = FLOATS.copy()
    bad[2, 3, 4] = np.inf
    with pytest.raises(ValueError, match=r"\[2, 3, 4\] is inf"):
        sample_rows(bad, 48, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"\[35, 4\] is inf"):
        sample_rows(bad.reshape(48, 256), 48, np.random.default_rng(0))


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [None, (256,), (3, 256)])
@pytest.mark.parametrize("name", ["Q4_K", "IQ2_KS", "IQ4_KSS"])
def test_errors_are_those_of_the_whole_tensor(name: str, columns: tuple[int, ...] | None) -> None:
    importance = None if columns is None else RANDOM.random(columns).astype(np.float32)
    sample = sample_rows(FLOATS, 48, np.random.default_rng(0))
    made = quantize_sample(sample, Type(name), importance)
    decoded = quantize(FLOATS, name, importance).dequantize().astype(np.float64)
    assert np.array_equal(made.dequantize(), decoded.reshape(-1, 256))
    weight = np.ones(256) if importance is None else importance.astype(np.float64)
    weight = weight if weight.ndim == 1 else weight[:, None]
    expected = (weight * (decoded - FLOATS) ** 2).sum() / (weight * FLOATS.astype(np.float64) ** 2).sum()
    assert relative_error(sample, made, importance) == pytest.approx(expected)


def test_weights_of_zero_have_no_error() -> None:
    sample = sample_rows(np.zeros((4, 256), np.float32), 4, RANDOM)
    assert relative_error(sample, quantize_sample(sample, Type("Q4_K"), None), None) == 0


# ---- products and their times ----------------------------------------------------------------------------------------


def info(name: str, *shape: int) -> TensorInfo:
    return TensorInfo(name, 0, shape, 0, 0)


def test_what_is_multiplied() -> None:
    embeddings, output, dense = info("token_embd.weight", 99, 8), info("output.weight", 99, 8), info("blk.0.w", 8, 8)
    none = Metadata({})
    assert products_of(dense, {}, none, 7) == (1, 7)
    assert products_of(embeddings, {"output.weight": output}, none, 1) == (0, 1)
    assert products_of(embeddings, {}, none, 3) == (1, 3)  # they are the output too
    assert products_of(info("position_embd.weight", 9, 8), {}, none, 1) == (0, 1)


@pytest.mark.parametrize(
    ("used", "batch", "expected"),
    [
        (2, 1, (2, 1)),
        (2, 3, (6, 1)),
        (2, 4, (8, 1)),
        (2, 5, (8, 2)),
        (2, 512, (8, 128)),
        (99, 1, (8, 1)),
        (0, 1, (8, 1)),
    ],
)
def test_experts_share_the_tokens(used: int, batch: int, expected: tuple[int, int]) -> None:
    metadata = Metadata({"general.architecture": "moe", "moe.expert_used_count": used})
    assert products_of(info("blk.0.ffn_up_exps.weight", 8, 16, 32), {}, metadata, batch) == expected


def test_few_shapes_stand_for_all() -> None:
    standing_for = ProductShape.standing_for
    assert standing_for(4096, 4096, 1) == ProductShape(4096, 4096, 1)
    assert standing_for(152_000, 4096, 1) == ProductShape(4096, 4096, 1)
    assert standing_for(1000, 4096, 1).rows == 512
    assert standing_for(3, 256, 1).rows == 16
    large = standing_for(4096, 4096, 512)
    assert large.rows * large.k * large.batch <= 1 << 30
    assert standing_for(4096, 1 << 25, 1 << 10).rows == 16


def test_times_of_every_type_and_shape() -> None:
    rows = normal(5, 256)
    samples = {
        (ProductShape(16, 256, 2), Type("Q4_K")): quantize(rows, "Q4_K"),
        (ProductShape(128, 256, 1), Type("IQ4_KS")): quantize(rows, "IQ4_KS"),
        (ProductShape(128, 256, 1), Type("Q4_K_R4")): quantize(rows, "Q4_K"),
        (ProductShape(128, 256, 1), Type("F16")): quantize(rows, "F16"),
    }
    told = 0

    def count() -> None:
        nonlocal told
        told += 1

    times = seconds_per_weight(samples, 1 << 16, count)
    assert times.keys() == samples.keys()
    assert all(0 < t < 1 for t in times.values())
    assert told == len(samples)
    steps = np.log(list(times.values())) / 0.02
    assert np.allclose(steps, np.rint(steps))


# ---- choices for a model ---------------------------------------------------------------------------------------------


def task(budget: str | None, max_error: float | None) -> Task:
    """Two tensors of 256 and 768 weights, one of 10 bytes that stays, and 90 bytes besides."""
    infos = {"a": info("a", 1, 256), "b": info("b", 3, 256), "c": TensorInfo("c", 24, (10,), 0, 10)}
    items = [Item(infos[name], (Type("Q8_0"), Type("Q4_K"), Type("IQ2_KS")), 1, 1) for name in "ab"]
    measured = [
        {t: Measured(error, seconds) for t, error, seconds in zip(item.types, errors, (3.0, 2.0, 1.0), strict=True)}
        for item, errors in zip(items, ((0.0, 0.5, 0.75), (0.125, 0.25, 1.0)), strict=True)
    ]
    parsed = None if budget is None else parse_budget(budget)
    return Task(OutputFile(infos, 10, 100, 32), items, measured, parsed, max_error)


def test_what_a_recipe_means() -> None:
    t = task("1GB", None)
    recipe = t.recipe((Type("Q4_K"), Type("IQ2_KS")))
    assert recipe.nbytes == 10 + 144 + 3 * 72
    assert recipe.bpw == 8 * recipe.nbytes / (1024 + 10)
    assert recipe.error == 0.25 * 0.5 + 0.75 * 1.0
    assert recipe.seconds == 3.0


def test_a_limit_of_bytes_counts_head_records_and_padding() -> None:
    # Padded to 32: 160 and 224 bytes; the head has 100 and two records of 115.
    small = (Type("Q4_K"), Type("IQ2_KS"))
    assert task("736B", None).fits(task("736B", None).recipe(small))
    assert not task("735B", None).fits(task("735B", None).recipe(small))
    # Of tensors alone: 10 + 144 + 216 bytes.
    bpw = 8 * 370 / 1034
    assert task(f"{bpw + 1e-6:.9f}bpw", None).fits(task("9bpw", None).recipe(small))
    assert not task(f"{bpw - 1e-6:.9f}bpw", None).fits(task("9bpw", None).recipe(small))


def test_the_best() -> None:
    best, gap = task("1GB", None).best()
    assert (best.types, best.error, gap) == ((Type("Q8_0"), Type("Q8_0")), 0.75 * 0.125, 0)
    best, _ = task(None, 0.375).best()
    assert best.types == (Type("IQ2_KS"), Type("Q4_K"))  # 0.1875 + 0.1875
    assert task(None, 0.375).fits(best)


def test_the_front_is_nowhere_worse_than_one_type() -> None:
    t = task("1GB", None)
    uniform = [t.recipe((of, of)) for of in t.items[0].types]
    front = t.front(uniform)
    sizes, errors = [r.nbytes for r in front], [r.error for r in front]
    assert sizes == sorted(sizes)
    assert all(b <= a * 1.002 for a, b in itertools.pairwise(errors))
    assert errors[-1] == min(errors) == 0.75 * 0.125
    for one in uniform:
        assert min(r.error for r in front if r.nbytes <= one.nbytes) <= one.error * 1.002


# ---- recipes ---------------------------------------------------------------------------------------------------------

Q4, Q5 = Type("Q4_K"), Type("Q5_K")


def test_layers_share_lines() -> None:
    names = [f"blk.{i}.ffn_up.weight" for i in range(12)] + [f"blk.{i}.q.weight" for i in range(12)] + ["output.weight"]
    chosen = dict.fromkeys(names, Q4) | {"blk.3.q.weight": Q5, "blk.11.q.weight": Q5}
    assert recipe_lines(chosen, names) == [
        r"^blk\.\d+\.ffn_up\.weight\Z=Q4_K",
        r"^blk\.(?:0|1|2|4|5|6|7|8|9|10)\.q\.weight\Z=Q4_K",
        r"^blk\.(?:3|11)\.q\.weight\Z=Q5_K",
        r"^output\.weight\Z=Q4_K",
    ]
    assert recipe_lines({"w1": Q4, "w2": Q4}, ["w1", "w2", "w3"]) == [r"^w(?:1|2)\Z=Q4_K"]


@pytest.mark.parametrize(
    "names", [["w1", "w*"], ["w*", "w1", "w2"], ["w", "w\n"], ["w1", "w1\n"], ["w1", "w2", "w2\n"]]
)
def test_names_that_look_alike(names: list[str]) -> None:
    for chosen in (dict.fromkeys(names, Q4), dict.fromkeys(names, Q4) | {names[-1]: Q5}, {names[0]: Q4}):
        rules = parse_rules(",".join(recipe_lines(chosen, names)))
        found = {name: rule.type for name in names if (rule := first_match(rules, name)) is not None}
        assert found == chosen


NAMES = st.lists(st.text("ab12.*=, #$\\(\né\u2028٣", min_size=1, max_size=6), min_size=1, max_size=8, unique=True)


@given(NAMES, st.data())
def test_recipes_give_what_was_chosen(names: list[str], data: st.DataObject) -> None:
    chosen = {n: t for n in names if (t := data.draw(st.sampled_from([Q4, Q5, None]))) is not None}
    text = "\n".join(recipe_lines(chosen, names))
    assert text.isascii()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe"
        path.write_text(text)
        rules = read_recipe(path)
    for name in names:
        rule = first_match(rules, name)
        assert (None if rule is None else rule.type) is chosen.get(name), (name, text)


# ---- sizes of files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alignment", [1, 32, 256])
@pytest.mark.parametrize("targets", [("Q8_0", "IQ2_KS"), ("F32", "IQ2_KS"), ("Q8_0", "F16"), ("Q4_K", "Q4_K_R4")])
def test_the_size_of_a_file_is_known_beforehand(tmp_path: Path, alignment: int, targets: tuple[str, str]) -> None:
    tensors = {"first": normal(4, 256), "é": normal(8, 256).astype(np.float16), "ids": np.arange(3, dtype=np.int32)}
    save_gguf(tmp_path / "in.gguf", tensors, {"general.alignment": np.uint32(alignment), "general.file_type": 1})
    model = open_gguf(tmp_path / "in.gguf")
    wanted = dict(zip(tensors, map(Type, targets), strict=False))
    file = OutputFile.of_model(model.metadata, model.infos, list(wanted))
    shares = sum(file.share(model.infos[name], t) for name, t in wanted.items())
    rules = [Rule(re.compile(name), t) for name, t in wanted.items()]
    out = tmp_path / "out.gguf"
    Quantization(model, plan_steps(model.infos.values(), rules, None), {}, [], Watcher()).write(out)
    size = out.stat().st_size
    assert file.size(shares) == size
    assert file.room(size) >= shares > file.room(size - 1)
    assert file.kept == 12
