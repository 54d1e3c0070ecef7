"""The generator's folder: a masked language model as it is, or an encoder with a trained head."""

import json

import pandas as pd
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertForMaskedLM

from pipeline.augment.generator import prepare_generator
from pipeline.errors import InputError


@pytest.fixture(scope="module")
def text(reviews, tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.csv"
    texts = reviews(120, seed=7).texts
    pd.DataFrame({"text": [f"{one} {other}" for one, other in zip(texts[::2], texts[1::2], strict=True)]}).to_csv(
        path, index=False
    )
    return {"path": str(path)}


@pytest.fixture
def generate(make_params, tmp_path):
    def run(name="generator", save_adapter_to=None, **generator):
        params = make_params(generator={"rank": 4, "learning_rate": 0.01, "batch_size": 16, **generator})
        out, metrics = tmp_path / name, tmp_path / f"{name}.json"
        summary = prepare_generator(params, out=out, metrics=metrics, adapter=save_adapter_to)
        return summary, out, json.loads(metrics.read_text())

    return run


def logits(folder):
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return model(**tokenizer("the film is [MASK] !", return_tensors="pt")).logits


def test_a_model_with_a_head_is_published_as_it_is(generate, tiny_masked_lm, text):
    summary, out, measured = generate(model=str(tiny_masked_lm), heldout={**text, "rows": 20})
    torch.testing.assert_close(logits(out), logits(tiny_masked_lm), rtol=0, atol=0)
    assert measured["trained_steps"] == 0
    assert measured["heldout_texts"] == 20
    assert 0 <= measured["masked_accuracy"] < 0.2
    assert summary.endswith(f"in {out}")


def test_an_encoder_is_given_a_head(generate, tiny_encoder, text, tmp_path):
    """Trained once and saved, the adapter alone makes the same generator again."""
    adapter = tmp_path / "kept" / "adapter.safetensors"
    heldout = {**text, "rows": 30}
    _, trained, measured = generate("trained", adapter, model=str(tiny_encoder), steps=60, text=text, heldout=heldout)
    assert measured["trained_steps"] == 60
    assert measured["masked_accuracy"] > 0.2
    _, loaded, again = generate("loaded", model=str(tiny_encoder), adapter=str(adapter), heldout=heldout)
    assert again["masked_accuracy"] == pytest.approx(measured["masked_accuracy"], abs=0.02)
    assert again["trained_steps"] == 0
    assert torch.equal(logits(loaded).argmax(-1), logits(trained).argmax(-1))
    assert [path.name for path in adapter.parent.iterdir()] == ["adapter.safetensors"]


def test_the_same_seed_gives_the_same_bytes(generate, tiny_encoder, text):
    folders = [generate(name, model=str(tiny_encoder), steps=2, text=text)[1] for name in ("one", "other")]
    one, other = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert one == other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {},
            r"^generator\.model: .* has no masked-LM head; accepted: .*generator\.adapter or generator\.steps above 0$",
        ),
        ({"adapter": "none.safetensors"}, r"^generator\.adapter: no such adapter file: none\.safetensors$"),
        ({"model": "/no/such/folder"}, r"^generator\.model: no such model folder: /no/such/folder$"),
        ({"max_length": 65}, r"^generator\.max_length: got 65, but .* takes 64 tokens; accepted: 8 to 64$"),
    ],
)
def test_errors_name_the_parameter(generate, tiny_encoder, tiny_masked_lm, tmp_path, changes, message):
    model = tiny_masked_lm if "max_length" in changes else tiny_encoder
    with pytest.raises(InputError, match=message):
        generate(**{"model": str(model), **changes})
    assert not list(tmp_path.iterdir())


def test_text_without_sentences(generate, tiny_encoder, tmp_path):
    (tmp_path / "short.csv").write_text("text\ngood film\nbad\n")
    with pytest.raises(InputError, match=r"^generator\.text: .*short\.csv has no sentence of four words or more$"):
        generate(model=str(tiny_encoder), steps=2, text={"path": str(tmp_path / "short.csv")})


def test_a_model_without_a_mask_token(generate, saved, tokenizer, monkeypatch):
    folder = saved(BertForMaskedLM)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        content = (folder / name).read_text().replace("[MASK]", "[GONE]") if name == "tokenizer.json" else "{}"
        (folder / name).write_text(content)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"^generator\.model: .* has no mask token"):
        generate(model=str(folder))
