"""Runs TensorFlow Lite models through the program: check_tflite_cases.py PROGRAM. Exit code 1 when an answer is off."""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from make_tflite_golden import fed  # noqa: E402
from onnx_cases import as_json, node_name  # noqa: E402
from tflite_models import answers, cases, details, random_values  # noqa: E402
from tflite_networks import MODES, converted, images, network, real_files  # noqa: E402

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # of float outputs, the second of the largest


def models():
    """(name, kind, bytes, inputs)."""
    for seed in range(3):
        for name, content, inputs, steps in cases():
            r = np.random.default_rng(100 + seed)
            positive = "suppression" in name.lower() or any((v > 0).all() for v in inputs.values())
            other = {k: random_values(r, v.shape, v.dtype.name, positive) if "NON_MAX" not in name and "PostProcess" not in name else v
                     for k, v in inputs.items()}
            yield f"{name}_{seed}", "operators, hybrid" if steps < 0 else "operators, 8 bits" if steps else "operators, float", content, other
    samples = images(20)
    for seed in range(3):
        model = network(seed)
        for mode in MODES:
            content = converted(model, mode, samples)
            for i, image in enumerate(images(4, seed=50)):
                yield f"net{seed}_{mode}_{i}", f"network, {mode}", content, fed(content, image)
    for path in real_files():
        content = path.read_bytes()
        for seed in range(3):
            yield f"{path.stem}_{seed}", "real files", content, random_inputs(content, seed)


def random_inputs(content, seed):
    r = np.random.default_rng(seed)
    inputs = {}
    for d in details(content)[0]:
        shape = list(d["shape"])
        if d["dtype"] == np.float32:
            inputs[d["name"]] = r.uniform(-1, 1, shape).astype(np.float32)
        else:
            info = np.iinfo(d["dtype"])
            inputs[d["name"]] = r.integers(info.min, info.max + 1, shape).astype(d["dtype"])
    return inputs


def run(program, folder, content, inputs):
    """{name: array}, or what the program says."""
    model, feeds, out = folder / "m.tflite", folder / "feeds.json", folder / "out.json"
    model.write_bytes(content)
    feeds.write_text(json.dumps({node_name(k): as_json(v) for k, v in inputs.items()}))
    r = subprocess.run([program, "infer", str(model), "--feeds", str(feeds), "-o", str(out)], capture_output=True, text=True)
    if r.returncode:
        return r.stderr.strip().split("m.tflite: ")[-1]
    got = json.loads(out.read_text())
    return {k: np.array(v["data"], np.float64).reshape(v["shape"]) for k, v in got.get("outputs", got).items()}


def step_of(detail):
    return 1.0 if np.issubdtype(detail["dtype"], np.integer) and detail["quantization"][0] else 0.0


def main():
    program = sys.argv[1]
    table = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, kind, content, inputs in models():
            row = table.setdefault(kind, dict(cases=0, good=0, refused=[], worst=0.0, off=0, values=0))
            row["cases"] += 1
            try:
                wanted = answers(content, inputs)
            except (RuntimeError, ValueError) as e:
                print(f"no answer to {name}: {str(e).splitlines()[0]}")
                row["cases"] -= 1
                continue
            got = run(program, pathlib.Path(temporary), content, inputs)
            if isinstance(got, str):
                row["refused"].append(f"{name}: {got}")
                continue
            bad = ""
            for detail in details(content)[1]:
                g, w = got[node_name(detail["name"])], wanted[detail["name"]].astype(np.float64)
                if g.shape != w.shape:
                    bad = f"{g.shape}, expected {w.shape}"
                    continue
                with np.errstate(invalid="ignore"):
                    off = np.where((g == w) | (np.isnan(g) & np.isnan(w)), 0, np.abs(g - w)).reshape(-1)
                row["values"] += off.size
                row["off"] += int((off > 0).sum()) if step_of(detail) else 0
                # A hybrid layer's inputs are coded while it runs; a step of an integer network with float outputs is one of its end.
                largest = float(np.max(np.abs(w), initial=0))
                bar = {"network, weights": 0.02 * largest, "operators, hybrid": 0.02 * largest, "network, integer": 1 / 256 + 1e-6}.get(kind, step_of(detail)) or \
                    RELATIVE * largest + ABSOLUTE
                row["worst"] = max(row["worst"], float(off.max(initial=0)) / (bar or 1))
                if off.max(initial=0) > bar:
                    bad = f"{detail['name']} is {off.max():.6g} off, allowed {bar:.6g}"
            row["good"] += not bad
            if bad:
                print(f"FAIL {name}: {bad}")
    good = True
    for kind, row in table.items():
        for text in sorted({t.split(": ", 1)[1] for t in row["refused"]}):
            print(f"refused: {text}")
        failed = row["cases"] - row["good"] - len(row["refused"])
        good &= failed == 0
        steps = f", {100 * row['off'] / max(1, row['values']):.2f} % of {row['values']} stored values one step off" if row["off"] else ""
        print(f"{kind}: {row['good']} of {row['cases']} pass, {len(row['refused'])} refused by name, {failed} fail; worst {row['worst']:.2g} of what is allowed{steps}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
