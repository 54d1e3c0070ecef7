#!/usr/bin/env bash
#
# What is changed in the graph of a model that torch.onnx has exported is lost, without an error.
#
# Seen with: torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2.
#
# `torch.onnx.export(..., dynamo=True)` returns a program whose attribute `model_proto` looks like the model that `save` writes. It is
# a property that converts the program anew at each reading: nodes renamed, metadata removed or outputs added in
# `program.model_proto` change a copy that is dropped at once, and neither the next reading nor `save` has them.
#
# Why it matters: a pass over the graph before it is saved seems to run and does nothing; only the file shows it. What helps: read the
# property once, keep the result, and save that with `onnx.save`; or change `program.model`, which is what is converted.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'torch==2.13.0'
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'onnx==1.23.2' 'onnxscript==0.7.2' numpy

cat > rename.py <<'EOF'
import logging
import sys
import warnings

import onnx
import torch

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval()
program = torch.onnx.export(model, (torch.ones(1, 4),), dynamo=True, verbose=False)

program.model_proto.graph.name = "renamed"
again = program.model_proto.graph.name
program.save("saved.onnx")
saved = onnx.load("saved.onnx").graph.name
kept = program.model_proto
kept.graph.name = "renamed"
onnx.save(kept, "kept.onnx")

print(f"torch {torch.__version__.split('+')[0]}, onnx {onnx.__version__}")
print(f"the same object at two readings: {program.model_proto is program.model_proto}")
print(f"after model_proto.graph.name = 'renamed': read again {again!r}, saved {saved!r}")
print(f"read once, kept, renamed and saved: {onnx.load('kept.onnx').graph.name!r}")
sys.exit("renamed" in (again, saved) or onnx.load("kept.onnx").graph.name != "renamed")
EOF
venv/bin/python rename.py
