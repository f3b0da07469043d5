"""Writes tests/data/graph/tflite: a case of every operator that is read and a network in all modes, with the answers of TensorFlow
Lite's interpreter: make_tflite_golden.py OUT. Run with the python of `scripts/oracle_env tensorflow`."""
import pathlib
import shutil
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onnx_cases import node_name, write_case  # noqa: E402
from tflite_models import answers, cases, details  # noqa: E402
from tflite_networks import MODES, converted, images, network  # noqa: E402

# What the interpreter computes otherwise: hybrid layers code their inputs in 8 bits while they run, which is not imitated.
HYBRID = 0.02


def tolerances_of(content, outputs, steps):
    """{name: number} where outputs may be off; steps of the grid of the last quantized tensor for float outputs."""
    if not steps:
        return {}
    if steps < 0:
        return {node_name(k): round(-steps * float(np.abs(v).max()), 3) for k, v in outputs.items()}
    return {node_name(k): float(steps) for k, v in outputs.items() if np.issubdtype(v.dtype, np.integer)}


def save(out, name, content, inputs, tolerances=None, steps=0):
    outputs = answers(content, inputs)
    part = out / "part.tflite"
    part.write_bytes(content)
    if tolerances is None:
        tolerances = tolerances_of(content, outputs, steps)
    problem = write_case(out / name, part, {node_name(k): v for k, v in inputs.items()}, {node_name(k): v for k, v in outputs.items()},
                         tolerances=tolerances)
    part.unlink()
    if problem:
        raise SystemExit(f"{name}: {problem}")


def fed(content, image):
    """An image of 0..1 as the model's input wants it."""
    detail = details(content)[0][0]
    if detail["dtype"] == np.float32:
        return {detail["name"]: image}
    scale, zero = detail["quantization"]
    info = np.iinfo(detail["dtype"])
    return {detail["name"]: np.clip(np.round(image / scale) + zero, info.min, info.max).astype(detail["dtype"])}


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name, content, inputs, steps in cases():
        save(out, name, content, inputs, steps=steps)
    model, samples = network(), images(20)
    for mode in MODES:
        content = converted(model, mode, samples)
        output = node_name(details(content)[1][0]["name"])
        tolerance = {"weights": HYBRID, "integer": 2 / 256, "full_integer": 2}.get(mode)
        save(out, "net_" + mode, content, fed(content, images(1, seed=7)[0]), {output: tolerance} if tolerance else {})


if __name__ == "__main__":
    main()
