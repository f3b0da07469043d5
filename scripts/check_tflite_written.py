"""check_tflite_written.py PROGRAM: see check_tflite_written. Exit code 1 when an answer differs by more than its mode allows."""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from check_tflite_cases import run  # noqa: E402
from onnx_cases import as_json, node_name  # noqa: E402
from tflite_models import answers, cases, details  # noqa: E402
from tflite_networks import converted, images, network, real_files  # noqa: E402

LENET_LOGITS = "Lenet/fc9_1/Relu"
# Of one file, by TensorFlow Lite and by the program. Stored values near ties differ by one, in every layer; hybrid layers round what
# they read in TensorFlow Lite alone.
LEAST_DB = {"float": 60, "float16": 60, "weights": 14, "int8": 18, "full-int8": 18}


def decibels(got, wanted):
    noise = max(1e-30, float(((got - wanted) ** 2).sum()))
    return 10 * np.log10(max(1e-30, float((wanted**2).sum())) / noise)


def inputs_of(content, feeds):
    """The feeds as the file's inputs hold them."""
    inputs = {}
    for d in details(content)[0]:
        x = feeds[node_name(d["name"])]
        if d["dtype"] != np.float32 and x.dtype == np.float32:
            info, (scale, zero) = np.iinfo(d["dtype"]), d["quantization"]
            x = np.clip(np.round(x / scale) + zero, info.min, info.max)
        inputs[d["name"]] = x.astype(d["dtype"]).reshape(d["shape"])
    return inputs


def numbers(content, outputs):
    """Outputs as numbers, by the names of nodes."""
    result = {}
    for d in details(content)[1]:
        scale, zero = d["quantization"]
        v = np.asarray(outputs[d["name"] if d["name"] in outputs else node_name(d["name"])], np.float64)
        result[node_name(d["name"])] = (v - zero) * scale if scale else v
    return result


def compare(program, folder, path, feeds):
    """Least dB between the interpreter and the program on one file."""
    content = path.read_bytes()
    inputs = inputs_of(content, feeds)
    wanted = numbers(content, answers(content, inputs))
    got = run(program, folder, content, inputs)
    if isinstance(got, str):
        raise SystemExit(f"{path}: {got}")
    got = numbers(content, got)
    return min(decibels(got[k].reshape(-1), wanted[k].reshape(-1)) for k in wanted)


def write(program, source, out, mode, calibration, more=()):
    if mode in ("float", "weights", "float16"):
        command = [program, "convert", str(source), "-o", str(out), "--mode", mode]
    else:
        mode, _, io = mode.partition(" ")
        command = [program, "quantize", str(source), "-o", str(out), "--mode", mode, "--images", str(calibration), "--quiet"] + \
            (["--io", io] if io else [])
    return subprocess.run([*command, *more], capture_output=True, text=True)


def networks(folder):
    """(name, source, its feeds for calibration)."""
    for seed in range(2):
        source = folder / f"net{seed}.tflite"
        source.write_bytes(converted(network(seed), "float", images(1)))
        yield f"network {seed}", source, [{"serving_default_image": x} for x in images(10)]
    r = np.random.default_rng(0)
    lenet = pathlib.Path("tests/data/graph/lenet_frozen.pb")
    lenet_feeds = [json.loads(p.read_text()) for p in sorted(pathlib.Path("tests/data/quant/lenet").glob("*.json"))[:8]]
    lenet_feeds = [{k.split(":")[0]: np.array(v["data"], v["dtype"]).reshape(v["shape"]) for k, v in f.get("inputs", f).items()} for f in lenet_feeds]
    yield "LeNet", lenet, lenet_feeds
    for path in real_files():
        if path.stem in ("face_detection_front", "face_detection_full_range", "iris_landmark", "face_landmark"):
            d = details(path.read_bytes())[0][0]
            yield path.stem, path, [{node_name(d["name"]): r.uniform(-1, 1, d["shape"]).astype(np.float32)} for _ in range(4)]


def main():
    program, bad = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for name, source, feeds in networks(folder):
            calibration = folder / (name.replace(" ", "_") + "_feeds")
            calibration.mkdir()
            for i, feed in enumerate(feeds):
                (calibration / f"{i}.json").write_text(json.dumps({"inputs": {k: as_json(v) for k, v in feed.items()}}))
            sizes = {}
            for mode in ("float", "float16", "weights", "int8", "full-int8 uint8", "full-int8 int8"):
                out = folder / "written.tflite"
                out.unlink(missing_ok=True)
                done = write(program, source, out, mode, calibration, ["--input", "input=1,784", "--outputs", LENET_LOGITS] if name == "LeNet" else [])
                if done.returncode:
                    print(f"FAIL {name}, {mode}: {done.stderr.strip()}")
                    bad += 1
                    continue
                sizes[mode] = out.stat().st_size
                db = min(compare(program, folder, out, feed) for feed in feeds[:3])
                good = db >= LEAST_DB[mode.split()[0]]
                bad += not good
                print(f"{'pass' if good else 'FAIL'} {name}, {mode}: {sizes[mode]} bytes, {db:.0f} dB")
        bad += operators(program, folder)
    return 1 if bad else 0


def operators(program, folder):
    """Every float operator that is written, through a file of its own."""
    good, refused, failed = 0, 0, 0
    for name, content, inputs, steps in cases():
        if steps or "PostProcess" in name or "VARIABLE" in name:
            continue
        source, out = folder / "op.tflite", folder / "op_written.tflite"
        source.write_bytes(content)
        done = write(program, source, out, "float", None)
        if done.returncode:
            refused += 1
            print(f"refused {name}: {done.stderr.strip().split('tflite: ')[-1]}")
            continue
        wanted = answers(content, inputs)
        got = answers(out.read_bytes(), {d["name"]: inputs[next(k for k in inputs if node_name(k) == d["name"])] for d in details(out.read_bytes())[0]})
        same = all(np.allclose(got[node_name(k)], v, rtol=1e-4, atol=1e-5) for k, v in wanted.items())
        good, failed = good + same, failed + (not same)
        if not same:
            print(f"FAIL {name}")
    print(f"operators: {good} answer as before, {refused} are refused by name, {failed} differ")
    return failed


if __name__ == "__main__":
    sys.exit(main())
