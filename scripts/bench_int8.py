"""Interleaved rounds of cytodet, OpenVINO and ONNX Runtime on the shipped D0 network in float and INT8, and how far each strays from float.

Each engine runs alone for 3 seconds in every round; the medians and the spread over the rounds count. Answers: signal-to-quantization-noise ratio of
the raw heads against OpenVINO's float heads over 12 val images, class logits / box deltas, each group with its mean removed.
Run: scripts/bench_int8 INT8_MODEL.json [ROUNDS]
"""
import concurrent.futures
import importlib.metadata
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort
import openvino as ov

from make_int8_peers import HEADS, IMAGES, MODEL, PEERS, ROOT, evenly, network_input

SECONDS = 3
CORES = os.cpu_count()


def openvino_network(file, hint):
    """A function that gives an image's heads, and one that measures ms per image."""
    streams = CORES if hint == "THROUGHPUT" else 1
    compiled = ov.Core().compile_model(PEERS / file, "CPU", {"PERFORMANCE_HINT": hint, "INFERENCE_NUM_THREADS": CORES,
                                                             "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": streams})

    def measure(image):
        queue = ov.AsyncInferQueue(compiled, streams)
        for _ in range(streams):
            queue.start_async({0: image})
        queue.wait_all()
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            queue.start_async({0: image})
            n += 1
        queue.wait_all()
        return (time.perf_counter() - start) / n * 1000
    return lambda image: [np.array(head) for head in compiled({0: image}).values()], measure


def onnx_network(file, sessions):
    """The same for ONNX Runtime: sessions at work at once, which share the cores."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = CORES // sessions
    # Threads that wait must not take time from whoever is measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    nets = [ort.InferenceSession(PEERS / file, options, providers=["CPUExecutionProvider"]) for _ in range(sessions)]

    def heads(image):
        return nets[0].run([h + ":0" for h in HEADS], {"image:0": image})

    def repeat(net, image, start):
        n = 0
        while time.perf_counter() - start < SECONDS:
            net.run(None, {"image:0": image})
            n += 1
        return n, time.perf_counter() - start

    def measure(image):
        with concurrent.futures.ThreadPoolExecutor(sessions) as pool:
            list(pool.map(lambda net: net.run(None, {"image:0": image}), nets))
            start = time.perf_counter()
            runs = list(pool.map(lambda net: repeat(net, image, start), nets))
        return 1000 / sum(n / seconds for n, seconds in runs)
    return heads, measure


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def cytodet_network(program, model, streams):
    """The same for cytodet: the cores shared by one stream or several."""
    settings = json.loads(model.read_text())
    names = settings["class_logits"] + settings["box_deltas"]

    def heads(image):
        with tempfile.TemporaryDirectory() as folder:
            feeds, out = pathlib.Path(folder, "feeds.json"), pathlib.Path(folder, "out.json")
            node = settings["input"]["node"].split(":")[0]
            feeds.write_text(json.dumps({"inputs": {f"{node}:0": {"dtype": "float32", "shape": list(image.shape), "data": image.ravel().tolist()}}}))
            run(program, "infer", model.parent / settings["graph"], "--feeds", feeds, "--outputs", ",".join(names), "-o", out)
            outputs = json.loads(out.read_text())["outputs"]
        return [np.asarray(outputs[n]["data"], "f4") for n in names]

    def measure(_):
        answer = run(program, "bench", "--model", model, "--streams", streams, "--threads", CORES // streams, "--seconds", SECONDS, "--json")
        return json.loads(answer)["ms_per_image"]
    return heads, measure


def sqnr(exact, heads):
    """dB over all images and levels together."""
    x, y = (np.concatenate([np.ravel(h) for image in group for h in image]).astype("f8") for group in (exact, heads))
    noise = ((x - y) ** 2).sum()
    return 10 * math.log10(((x - x.mean()) ** 2).sum() / noise) if noise else math.inf


def groups(heads):
    """Class logits and box deltas."""
    half = len(HEADS) // 2
    return [h[:half] for h in heads], [h[half:] for h in heads]


def cpu_features():
    """What decides whether INT8 pays."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    flags = next((line.split(":")[1].split() for line in text.splitlines() if line.startswith("flags")), [])
    return [f for f in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if f in flags]


def engines_of(program, model):
    """(what, setting, one image at a time or several, function for the heads, function that measures)."""
    several, one = f"{CORES} streams", f"1 stream, {CORES} threads"
    sessions, session = f"{CORES} sessions, 1 thread each", f"1 session, {CORES} threads"
    return [
        ("cytodet INT8", several, "several", *cytodet_network(program, model, CORES)),
        ("OpenVINO NNCF INT8", "THROUGHPUT", "several", *openvino_network("d0_int8.xml", "THROUGHPUT")),
        ("ONNX Runtime INT8", sessions, "several", *onnx_network("d0_int8.onnx", CORES)),
        ("OpenVINO NNCF INT8, overflow fix", "THROUGHPUT", "several", *openvino_network("d0_int8_fix.xml", "THROUGHPUT")),
        ("ONNX Runtime INT8 u8u8", sessions, "several", *onnx_network("d0_int8_u8u8.onnx", CORES)),
        ("cytodet f32", several, "several", *cytodet_network(program, MODEL, CORES)),
        ("OpenVINO f32", "THROUGHPUT", "several", *openvino_network("d0_f32.xml", "THROUGHPUT")),
        ("cytodet INT8", one, "one", *cytodet_network(program, model, 1)),
        ("OpenVINO NNCF INT8", "LATENCY", "one", *openvino_network("d0_int8.xml", "LATENCY")),
        ("ONNX Runtime INT8", session, "one", *onnx_network("d0_int8.onnx", 1)),
        ("ONNX Runtime INT8 u8u8", session, "one", *onnx_network("d0_int8_u8u8.onnx", 1)),
        ("cytodet f32", one, "one", *cytodet_network(program, MODEL, 1)),
        ("ONNX Runtime f32", session, "one", *onnx_network("d0_f32.onnx", 1)),
    ]


def accuracies(engines, images):
    """SQNR of each engine's classes and boxes, whichever its setting; a float engine that strays ends the run."""
    heads = {what: function for what, _, _, function, _ in engines}
    answers = {what: groups([function(image) for image in images]) for what, function in heads.items()}
    decibels = {what: [sqnr(x, y) for x, y in zip(answers["OpenVINO f32"], answer)] for what, answer in answers.items() if what != "OpenVINO f32"}
    strays = {what: db for what, db in decibels.items() if "f32" in what and min(db) < 60}
    if strays:
        sys.exit(f"float answers differ, SQNR in dB: {strays}")
    return decibels


def measure_in_turn(engines, image, rounds):
    """ms per image and the machine's load, by round: other work on the machine shows in the load and the spread."""
    times, loads = [[] for _ in engines], []
    for number in range(rounds):
        loads.append(os.getloadavg()[0])
        for engine, ms in zip(engines, times):
            ms.append(engine[-1](image))
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return times, loads


def rows_of(engines, times, decibels):
    rows = [{"what": what, "setting": setting, "at_once": at_once, "ms": statistics.median(ms), "ms_min": min(ms), "ms_max": max(ms), "rounds_ms": ms,
             "sqnr_db": decibels.get(what)} for (what, setting, at_once, _, _), ms in zip(engines, times)]
    for row in rows:
        ours = next(r for r in rows if r["what"] == "cytodet INT8" and r["at_once"] == row["at_once"])
        row["ratio"] = row["ms"] / ours["ms"]
    return rows


def best_of(rows):
    """Throughput of each engine in its better setting, against cytodet INT8 in its own."""
    best = {what: min(r["ms"] for r in rows if r["what"] == what) for what in dict.fromkeys(r["what"] for r in rows)}
    return {what: {"ms": ms, "ratio": ms / best["cytodet INT8"]} for what, ms in best.items()}


def text_of(result):
    lines = []
    for at_once, title in (("several", f"{CORES} images at once"), ("one", "one image at a time")):
        lines += [f"| {title} | setting | ms/image, median (least to most) | times cytodet INT8 | SQNR dB, classes / boxes |", "|---|---|--:|--:|--:|"]
        for r in result["rows"]:
            if r["at_once"] == at_once:
                decibels = " / ".join(f"{v:.1f}" for v in r["sqnr_db"]) if r["sqnr_db"] else "reference"
                lines.append(f"| {r['what']} | {r['setting']} | {r['ms']:.1f} ({r['ms_min']:.1f} to {r['ms_max']:.1f}) | {r['ratio']:.2f} | {decibels} |")
        lines.append("")
    lines.append("Throughput, each in its better setting, times cytodet INT8: " + ", ".join(
        f"{what} {v['ratio']:.2f}" for what, v in result["best"].items() if what != "cytodet INT8") + ".")
    lines.append(f"{CORES} cores: {', '.join(result['cpu'])}; {', '.join(f'{k} {v}' for k, v in result['versions'].items())}; "
                 f"load before each round {', '.join(f'{v:.1f}' for v in result['loads'])}.")
    return "\n".join(lines) + "\n"


def main():
    program, model, rounds = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve(), int(sys.argv[3])
    images = [network_input(f) for f in evenly(IMAGES / "val", 12)]
    engines = engines_of(program, model)
    decibels = accuracies(engines, images)
    times, loads = measure_in_turn(engines, images[0], rounds)
    rows = rows_of(engines, times, decibels)
    result = {"model": model.name, "cpu": cpu_features(), "versions": {p: importlib.metadata.version(p) for p in ("openvino", "nncf", "onnxruntime")},
              "loads": loads, "rows": rows, "best": best_of(rows)}
    (ROOT / "out/bench_int8.json").write_text(json.dumps(result, indent=1) + "\n")
    (ROOT / "out/bench_int8.md").write_text(text_of(result))
    print(text_of(result), end="")


if __name__ == "__main__":
    main()
