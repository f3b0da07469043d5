"""check_onnx_written.py PROGRAM GRAPH...: see check_onnx_written. Exit code 1 when an answer differs."""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onnx_cases import as_json  # noqa: E402

# Least signal-to-noise ratio in dB. The codes of a value that lies between two may differ by one, in every quantized layer.
FLOAT_DB, QUANTIZED_DB = 60, 15


def answers_of_onnx(path):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    random, inputs = np.random.default_rng(1), {}
    for i in session.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in i.shape]
        value = random.random(shape)
        inputs[i.name] = (value * 255).astype(np.uint8) if "uint8" in i.type else value.astype(np.float32)
    names = [o.name for o in session.get_outputs()]
    return inputs, dict(zip(names, session.run(names, inputs)))


def check(program, graph, folder):
    written = folder / "written.onnx"
    subprocess.run([program, "convert", graph, "-o", str(written)], check=True)
    onnx.checker.check_model(str(written), full_check=True)
    inputs, wanted = answers_of_onnx(written)
    feeds, out = folder / "feeds.json", folder / "out.json"
    feeds.write_text(json.dumps({"inputs": {k: as_json(v) for k, v in inputs.items()}}))
    subprocess.run([program, "infer", graph, "--feeds", str(feeds), "-o", str(out), "--outputs", ",".join(wanted)], check=True)
    got = json.loads(out.read_text())["outputs"]
    worst = np.inf
    for name, value in wanted.items():
        mine = np.array(got[name]["data"], dtype=np.float64).reshape(got[name]["shape"])
        if mine.shape != value.shape:
            return -np.inf, FLOAT_DB
        noise = max(1e-30, float(((mine - value) ** 2).sum()))
        worst = min(worst, 10 * np.log10(max(1e-30, float((value.astype(np.float64) ** 2).sum())) / noise))
    quantized = any(n.op_type == "QuantizeLinear" for n in onnx.load(written).graph.node)
    return worst, QUANTIZED_DB if quantized else FLOAT_DB


def main():
    program, graphs, bad = sys.argv[1], sys.argv[2:], 0
    with tempfile.TemporaryDirectory() as temporary:
        for graph in graphs:
            try:
                worst, least = check(program, graph, pathlib.Path(temporary))
                good = worst >= least
                print(f"{'pass' if good else 'FAIL'} {graph}: {worst:.0f} dB")
            except (subprocess.CalledProcessError, onnx.checker.ValidationError) as e:
                good = False
                print(f"FAIL {graph}: {e}")
            bad += not good
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
