"""The cosine of an encoder's vectors, against one computed text by text."""

import numpy as np
import pytest
import torch

from benchmarks.cosine import TEST, main, pearson
from pipeline.data.texts import Texts, write_texts
from pipeline.errors import InputError
from pipeline.models.loading import load_classifier, load_tokenizer

TEXTS = ["a good film", "the plot is dull", "this movie", "the actor was cold", "a joke"]
OTHERS = ["the cast was good", "a dull story", "a film", "never a boring scene", "it was a joke"]


@pytest.mark.parametrize("sign", [1, -1])
def test_it_is_that_of_two_passes(tiny_encoder, sign):
    tokenizer, model = load_tokenizer(tiny_encoder, "x"), load_classifier(tiny_encoder, "x", []).base_model

    @torch.no_grad()
    def vector(text):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].mean(0)

    cosines = [
        float(torch.cosine_similarity(vector(one), vector(other), dim=0))
        for one, other in zip(TEXTS, OTHERS, strict=True)
    ]
    labels = sign * np.array(cosines, dtype=np.float32) + np.array([0.1, -0.1, 0.05, 0.2, -0.2], dtype=np.float32)
    texts = Texts([str(row) for row in range(5)], TEXTS, OTHERS, labels, [])
    assert pearson(str(tiny_encoder), texts, 32) == pytest.approx(np.corrcoef(cosines, labels)[0, 1], abs=1e-4)


def test_some_layers_alone(tiny_encoder):
    rng = np.random.default_rng(0)
    texts = Texts([str(row) for row in range(5)], TEXTS, OTHERS, rng.normal(size=5).astype(np.float32), [])
    found = {pick: pearson(str(tiny_encoder), texts, 32, 2, pick) for pick in ("first", "spaced", "ends")}
    assert len(set(found.values())) == 3
    assert pearson(str(tiny_encoder), texts, 32, 3) == pytest.approx(pearson(str(tiny_encoder), texts, 32))


def test_classes_are_refused(tmp_path, monkeypatch, tiny_encoder):
    (tmp_path / TEST).parent.mkdir(parents=True)
    write_texts(tmp_path / TEST, Texts(["1", "2"], TEXTS[:2], OTHERS[:2], np.array([0, 1]), ["no", "yes"]), "target")
    params = f"data: {{target: {{path: t.csv, rows: 1}}}}\nteacher: {{model: {tiny_encoder}}}\n"
    (tmp_path / "params.yaml").write_text(params + f"generator: {{model: {tiny_encoder}}}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^{TEST}: got classes; accepted: scored pairs$"):
        main()
