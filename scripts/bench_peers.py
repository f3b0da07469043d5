"""Interleaved rounds of cytodet and OpenVINO on the shipped network, then slides, memory and start-up; see bench_peers."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import openvino as ov

ROOT = pathlib.Path(__file__).resolve().parent.parent
GRAPH = ROOT / "models/efficientdet/efficientdet_d0_blood.pb"
MODEL = ROOT / "models/efficientdet/efficientdet_d0_blood.json"
HEADS = [f"class_logits_{i}" for i in range(3, 8)] + [f"box_deltas_{i}" for i in range(3, 8)]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def openvino_network(hint):
    core = ov.Core()
    m = core.read_model(GRAPH)
    # Only the heads: the graph also holds a training branch.
    results = [o for o in m.outputs if any(k in n for n in o.get_names() for k in ("check_class", "class_logits", "box_deltas"))]
    inputs = [p for p in m.get_parameters() if p.get_friendly_name().startswith("image")]
    net = ov.Model(results, inputs)
    net.reshape([1, 512, 512, 3])
    return core.compile_model(net, "CPU", {"PERFORMANCE_HINT": hint, "INFERENCE_NUM_THREADS": os.cpu_count(), "INFERENCE_PRECISION_HINT": "f32",
                                           "NUM_STREAMS": os.cpu_count() if hint == "THROUGHPUT" else 1})


def openvino_ms(compiled, image, seconds):
    queue = ov.AsyncInferQueue(compiled, os.cpu_count() if "THROUGHPUT" in str(compiled.get_property("PERFORMANCE_HINT")) else 1)
    queue.start_async({0: image})
    queue.wait_all()
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(4):
            queue.start_async({0: image})
        n += 4
    queue.wait_all()
    return (time.perf_counter() - start) / n * 1000


def cytodet(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def measured(program, *arguments):
    """Wall seconds and peak MiB of a run."""
    start = time.perf_counter()
    child = subprocess.Popen([program, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{arguments} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def largest_difference(program, compiled, image):
    with tempfile.TemporaryDirectory() as folder:
        feeds = pathlib.Path(folder, "feeds.json")
        feeds.write_text(json.dumps({"inputs": {"image:0": {"dtype": "float32", "shape": list(image.shape), "data": [round(float(v), 6) for v in image.ravel()]}}}))
        out = pathlib.Path(folder, "out.json")
        cytodet(program, "infer", GRAPH, "--feeds", feeds, "--outputs", ",".join(HEADS), "-o", out)
        ours = json.loads(out.read_text())["outputs"]
    peer = compiled({0: image})
    worst = 0
    for key, value in peer.items():
        name = next(h for h in HEADS for n in key.get_names() if n.split(":")[0] in (h, h.replace("class_logits", "check_class")))
        worst = max(worst, float(np.abs(np.asarray(ours[name]["data"], "f4") - value.ravel()).max()))
    return worst


def main():
    program, rounds = str(pathlib.Path(sys.argv[1]).resolve()), int(sys.argv[2])
    image = np.round(np.random.default_rng(1).normal(0, 1, (1, 512, 512, 3)), 6).astype("f4")
    throughput, latency = openvino_network("THROUGHPUT"), openvino_network("LATENCY")
    result = {"openvino": ov.__version__, "cores": os.cpu_count(), "largest_difference": largest_difference(program, throughput, image)}
    if result["largest_difference"] > 2e-3:
        sys.exit(f"the answers differ by {result['largest_difference']}")
    times = {"ours_throughput": [], "peer_throughput": [], "ours_latency": [], "peer_latency": []}
    for _ in range(rounds):
        b = json.loads(cytodet(program, "bench", "--model", MODEL, "--streams", os.cpu_count(), "--seconds", 3, "--json"))
        times["ours_throughput"].append(b["ms_per_image"])
        times["peer_throughput"].append(openvino_ms(throughput, image, 3))
        l = json.loads(cytodet(program, "bench", "--model", MODEL, "--streams", 1, "--threads", os.cpu_count(), "--seconds", 3, "--json"))
        times["ours_latency"].append(l["latency_median_ms"])
        times["peer_latency"].append(openvino_ms(latency, image, 3))
        result["load_ms"], result["isa"] = b["load_ms"], b["isa"]
    result |= {k: spread(v) for k, v in times.items()}
    result["throughput_ratio"] = result["peer_throughput"]["median"] / result["ours_throughput"]["median"]
    result["latency_ratio"] = result["peer_latency"]["median"] / result["ours_latency"]["median"]

    slide = ROOT / "tests/data/slides/blood-mosaic.tif"
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            cytodet(program, "detect", "--model", MODEL, slide, "-o", folder, "--quiet")
            tiles = json.loads(pathlib.Path(folder, "run.json").read_text())["timing"]["tiles_per_s"]
            shares.append(tiles / json.loads(cytodet(program, "bench", "--model", MODEL, "--streams", os.cpu_count(), "--seconds", 3, "--json"))["images_per_s"])
        result["slide_share_of_bench"] = spread(shares)
        _, result["slide_peak_mib"] = measured(program, "detect", "--model", MODEL, slide, "-o", folder, "--quiet")
        result["big_slide_s"], result["big_slide_peak_mib"] = measured(program, "detect", "--model", MODEL, ROOT / "out/big.tif", "-o", folder, "--quiet", "--tile", 2560, "--overlap", 256)
    result["help_ms"] = spread([measured(program, "--help")[0] * 1000 for _ in range(10)])

    def row(text, value):
        return f"| {text} | {value} |"
    lines = ["| | |", "|---|--:|",
             row("D0 512x512 f32, 2 streams", f"{result['ours_throughput']['median']:.1f} ms/image"),
             row(f"the same, OpenVINO {ov.__version__.split('-')[0]} f32 THROUGHPUT", f"{result['peer_throughput']['median']:.1f} ms/image, **{result['throughput_ratio']:.2f}x** slower"),
             row("one image on 2 threads", f"{result['ours_latency']['median']:.1f} ms"),
             row("the same, OpenVINO f32 LATENCY", f"{result['peer_latency']['median']:.1f} ms, **{result['latency_ratio']:.2f}x** slower"),
             row("largest difference of the heads", f"{result['largest_difference']:.1e}"),
             row("slide: tiles/s as a share of the network alone", f"{100 * result['slide_share_of_bench']['median']:.0f} %"),
             row("slide of 50,000 x 50,000 pixels: peak memory", f"{result['big_slide_peak_mib']:.0f} MiB"),
             row("read, optimize and compile D0", f"{result['load_ms']:.0f} ms"),
             row("`cytodet --help`", f"{result['help_ms']['median']:.0f} ms")]
    (ROOT / "out/bench_peers.json").write_text(json.dumps(result, indent=1))
    (ROOT / "out/bench_peers.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
