"""ONNX models with inputs and outputs as folders that `cytodet infer --cases` reads."""
import json
import pathlib
import re
import shutil

import numpy as np

DTYPES = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"}


def node_name(name):
    """The name that graph/io/node_name.h makes of a tensor's."""
    name = re.sub(r":0$", "", name).lstrip("/")
    name = re.sub(r"[^A-Za-z0-9._/-]", "_", name)
    if not name:
        return "tensor"
    return name if re.match(r"[A-Za-z0-9.]", name) else "t" + name


def number(v):
    v = float(str(v)) if v.dtype == np.float32 else v.item()
    if isinstance(v, float) and not np.isfinite(v):
        return "nan" if v != v else "inf" if v > 0 else "-inf"
    return v


def as_json(array):
    array = np.asarray(array)
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": [number(v) for v in array.reshape(-1)]}


def from_bits(array):
    """bfloat16 numbers, whose bits are given, as float32."""
    return (array.astype(np.uint32) << 16).view(np.float32)


def write_case(folder, model, inputs, outputs, bfloat16=(), tolerances=None):
    """Writes model.onnx (or another extension, as the model's) and case.json; returns what is wrong, or "" when all is well.
    bfloat16: names of tensors of that type; tolerances: by how much outputs may be off."""
    for name, array in list(inputs.items()) + list(outputs.items()):
        if np.asarray(array).dtype.name not in DTYPES:
            return f"{name} is of type {np.asarray(array).dtype.name}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, folder / ("model" + (pathlib.Path(model).suffix if str(model).endswith("tflite") else ".onnx")))
    case = {"inputs": {k: as_json(v) for k, v in inputs.items()}, "outputs": {k: as_json(v) for k, v in outputs.items()}}
    for name in bfloat16:
        for tensors in case.values():
            if name in tensors:
                tensors[name]["dtype"] = "bfloat16"
    if tolerances:
        case["tolerances"] = tolerances
    (folder / "case.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")
    return ""
