"""The students of a run in the peers' table."""

import json

import numpy as np
import yaml
from transformers import BertForSequenceClassification

from benchmarks.peers import l2a, results
from benchmarks.speed import default_run
from pipeline.data.texts import read_texts
from pipeline.serving.runtime import open_folder


def test_the_students_are_in_the_table(uneven, tiny_classifier, saved, make_params, tmp_path, monkeypatch):
    monkeypatch.setattr(default_run, "ROOT", tmp_path)
    monkeypatch.setattr(l2a, "HERE", tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(make_params(seed=4).model_dump()))
    (tmp_path / "README.md").write_text(f"{results.START}{results.END}")
    other = saved(BertForSequenceClassification, id2label={0: "positive", 1: "negative"})
    folders = {"data/prepared": uneven, "models/student": tiny_classifier, "models/int8": other}
    for path, target in folders.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).symlink_to(target)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/evaluation.json").write_text(json.dumps({"student": {"parameters": 1234}}))
    l2a.main()
    test = read_texts(uneven / "test.parquet")
    scores = []
    for row, (_, path) in results.STUDENTS.items():
        model = open_folder(folders[path], "model")
        predicted = [model.names[index] for index in model.outputs(test.texts, None).argmax(axis=1)]
        right = np.array([name == test.names[label] for name, label in zip(predicted, test.labels, strict=True)])
        (run,) = results.read_runs(tmp_path / "results", row)
        assert (run["seed"], run["parameters"], run["minutes"]) == (4, 1234, None)
        assert run["accuracy"] == round(float(right.mean()), 4)
        scores.append(run["f1"])
    assert scores[0] != scores[1]
    assert (tmp_path / "README.md").read_text().count("| 0.00123M |") == 2
