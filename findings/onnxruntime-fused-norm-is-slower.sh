#!/usr/bin/env bash
#
# On the CPU, ONNX Runtime makes a residual connection with its layer normalisation slower by fusing the two.
#
# Seen with: onnxruntime 1.32.0, onnx 1.23.2.
#
# Every post-norm transformer (BERT, RoBERTa, MPNet) ends its attention and its feed-forward part with `Add` and
# `LayerNormalization`. By default a session replaces the pair by one node, `SkipLayerNormalization`, whose kernel takes several
# times as long as both, in float32 on one thread. In a small encoder with int8 weights that node was a fifth of the time.
#
# Why it matters: "all optimizations" is the default, and taken to be the fastest. What helps:
# `InferenceSession(..., disabled_optimizers=["SkipLayerNormFusion"])`; the numbers then differ in the last digits of float32, and
# by more where inputs are quantised dynamically. Measure your model with it and without.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'onnxruntime==1.32.0' 'onnx==1.23.2' numpy

cat > compare.py <<'EOF'
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TOKENS, WIDTH, BLOCKS, ROUNDS = 2048, 384, 8, 15
rng = np.random.default_rng(0)

# Residual connections one after the other, as an encoder's blocks have them, and nothing else.
nodes, weights, states = [], [], "states"
for block in range(BLOCKS):
    for name, value in (("scale", 1 + 0.1 * rng.normal(size=WIDTH)), ("shift", 0.1 * rng.normal(size=WIDTH))):
        weights.append(numpy_helper.from_array(value.astype(np.float32), f"{name}{block}"))
    nodes.append(helper.make_node("Add", [states, "update"], [f"sum{block}"]))
    normed = [f"sum{block}", f"scale{block}", f"shift{block}"]
    states = f"norm{block}"
    nodes.append(helper.make_node("LayerNormalization", normed, [states], axis=-1, epsilon=1e-12))
shape = [1, "tokens", WIDTH]
inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("states", "update")]
outputs = [helper.make_tensor_value_info(states, TensorProto.FLOAT, shape)]
graph = helper.make_graph(nodes, "blocks", inputs, outputs, weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
onnx.checker.check_model(model)


def open_session(disabled):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.optimized_model_filepath = f"{'apart' if disabled else 'fused'}.onnx"
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled
    )


sessions = {"fused": open_session([]), "apart": open_session(["SkipLayerNormFusion"])}
kinds = {name: sorted({node.op_type for node in onnx.load(f"{name}.onnx").graph.node}) for name in sessions}
arrays = {name: rng.normal(size=(1, TOKENS, WIDTH)).astype(np.float32) for name in ("states", "update")}
seconds = {name: [] for name in sessions}
results = {}
for _ in range(ROUNDS):
    for name, session in sessions.items():
        start = time.perf_counter()
        results[name] = session.run(None, arrays)[0]
        seconds[name].append(time.perf_counter() - start)
median = {name: 1000 * statistics.median(each) for name, each in seconds.items()}
ratio = statistics.median(one / other for one, other in zip(seconds["fused"], seconds["apart"]))
print(f"onnxruntime {onnxruntime.__version__}, {BLOCKS} blocks of {TOKENS} tokens, width {WIDTH}, one thread")
print(f"default session: {', '.join(kinds['fused'])}: {median['fused']:.1f} ms")
print(f"without the fusion: {', '.join(kinds['apart'])}: {median['apart']:.1f} ms")
print(f"fused takes {ratio:.1f} times as long; largest difference {np.abs(results['fused'] - results['apart']).max():.1e}")
same = np.allclose(results["fused"], results["apart"], atol=1e-4)
sys.exit(not (kinds["fused"] == ["SkipLayerNormalization"] and same and ratio > 1.5))
EOF
venv/bin/python compare.py
