"""The shipped detector through ONNX, beside the graph that it comes from. See check_onnx_detector."""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/efficientdet/efficientdet_d0_blood.json"
MAX_AP_DIFFERENCE = 0.0005
MAX_TIME_RATIO = 1.03


def command(*arguments):
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"check_onnx_detector: error: {' '.join(map(str, arguments[:3]))}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def export(model, onnx):
    outputs = ",".join(f"{name}:0" for name in model["class_logits"] + model["box_deltas"])
    command(sys.executable, "-m", "tf2onnx.convert", "--graphdef", MODEL.with_suffix(".pb"), "--inputs", model["input"]["node"] + ":0",
            "--outputs", outputs, "--opset", 15, "--output", onnx)


def import_model(program, model, onnx):
    """The model file that `cytodet import` writes, told only what an ONNX file does not say."""
    imported = onnx.with_suffix(".json")
    names = [part for name in model["classes"] for part in ("--classes", name)]
    command(program, "import", onnx, "-o", imported, "--overwrite", *names)
    return imported


def average_precision(program, model, out):
    command(program, "evaluate", "--truth", ROOT / "tests/data/bccd/val.json", "--model", model, "--images", ROOT / "tests/data/bccd",
            "--map", "-o", out)
    return json.loads(out.read_text())["stats"]["AP"]


def cpu_ms(program, model, seconds):
    return json.loads(command(program, "bench", "--model", model, "--streams", 1, "--threads", 1, "--seconds", seconds,
                              "--json"))["cpu_ms_per_image"]


def main():
    parser = argparse.ArgumentParser(prog="check_onnx_detector")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/cytodet")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1)
    o = parser.parse_args()
    folder = ROOT / "out/onnx_detector"
    folder.mkdir(parents=True, exist_ok=True)
    model = json.loads(MODEL.read_text())
    onnx = folder / "efficientdet_d0_blood.onnx"
    export(model, onnx)
    models = {"graph": MODEL, "onnx": import_model(o.program, model, onnx)}
    ap = {name: average_precision(o.program, path, folder / f"{name}_scores.json") for name, path in models.items()}
    times = {name: [] for name in models}
    for _ in range(o.rounds):
        for name, path in models.items():
            times[name].append(cpu_ms(o.program, path, o.seconds))
    ratio = statistics.median(b / a for a, b in zip(times["graph"], times["onnx"]))
    for name in models:
        print(f"{name}: AP {ap[name]:.4f}, {statistics.median(times[name]):.2f} ms of CPU time per image")
    print(f"the ONNX model takes {ratio:.3f} times the time of the graph")
    if abs(ap["graph"] - ap["onnx"]) > MAX_AP_DIFFERENCE or ratio > MAX_TIME_RATIO:
        sys.exit("check_onnx_detector: error: AP or time differ by more than they may")


if __name__ == "__main__":
    main()
