"""Well-known networks: cytodet against its peers, in one run. See bench_networks.

Every engine measures each network in turn, --rounds times; a figure is the median of its rounds. Figures are milliseconds of CPU
time per image, of all threads: on a machine that does other things too they tell more than the clock, whose figures are in the
.json. The answers of every engine are compared with TensorFlow's of the float graph: the largest difference relative to the
largest value (float), the signal to noise ratio (INT8). Steps of cytodet that run without a kernel are listed.

A peer gets the form that it likes best (make_peers.py): OpenVINO reads the .pb, and NNCF quantizes for it; ONNX Runtime reads what
tf2onnx writes, quantized by its own tools; TensorFlow Lite reads what its converter writes. TensorFlow's INT8 is the graph that
cytodet wrote. The ratio is taken to the best peer: in float of its float forms, in INT8 of all its forms."""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import bench_peers
import bench_program
import make_networks
import make_peers

HERE = pathlib.Path(__file__).resolve().parent
PEERS = ("TensorFlow", "OpenVINO", "ONNX Runtime", "TFLite")


def random_like(x, seed):
    """Bytes of all values; floats of about one."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, x.shape).astype("u1") if x.dtype == np.uint8 else rng.normal(0, 1, x.shape).astype("f4")


class Cytodet:
    name = "cytodet"

    def __init__(self, precision, file):
        self.precision, self.file, self.layers = precision, file, []

    def load(self, network, options):
        self.network, self.options = network, options
        if self.precision == "int8":
            quantize(network, options, self.file)

    def answers(self):
        inputs = {f"{self.network.input}:0": self.network.image}
        return [a.astype("f4") for a in bench_program.answers(self.options.program, self.file, inputs, self.network.heads)]

    def bench(self, *arguments):
        shape = f"{self.network.input}={','.join(map(str, self.network.shape))}"
        return bench_program.bench(self.options.program, self.file, "--shape", shape, *arguments, threads=self.options.threads)

    def measure(self, seconds):
        if not self.layers:
            self.layers = self.bench("--seconds", 0.1, "--layers", "--rounds", 3)["layers"]
        j = self.bench("--seconds", seconds)
        return j["cpu_ms_per_image"], j["latency_median_ms"]

    def plain(self):
        return [(s["op"], s["name"], s.get("reason", ""), s["share"]) for s in self.layers if s["kernel"] == "plain"]

    def close(self):
        pass


class Peer:
    """A peer in a process of its own (peer_worker.py); `form`: its file in the network's folder, made when it is not there."""

    def __init__(self, name, precision, form, family, note="", hint="f32"):
        self.name, self.precision, self.form, self.family, self.note, self.hint = name, precision, form, family, note, hint

    def load(self, network, options):
        file = network.folder / self.form
        if self.form in make_peers.FORMS:
            problems = make_peers.make(network, needed_for(self.form))
            if problems:
                raise RuntimeError("; ".join(problems.values()))
        self.network, self.worker = network, bench_peers.Worker(self.family)
        self.ask(op="load", file=str(file), streams=1, threads=options.threads, precision=self.hint, input=network.input,
                 heads=network.heads)

    def ask(self, **job):
        reply = self.worker.ask(id=0, **job)
        if "error" in reply:
            self.close()
            raise RuntimeError(reply["error"])
        return reply

    def answers(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "heads.npz"
            self.ask(op="heads", images=[str(self.network.image_file)], out=str(out))
            heads = np.load(out)
            return [heads[k] for k in sorted(heads, key=lambda k: int(k.split("_")[1]))]

    def measure(self, seconds):
        reply = self.ask(op="measure", image=str(self.network.image_file), seconds=seconds)
        return reply["cpu_ms"], reply["ms"]

    def close(self):
        self.worker.close()


def needed_for(form):
    """The form and those that it is made from."""
    return {form} | {"openvino": {"openvino_f32.xml"}, "onnx": {"onnx_f32.onnx"}}.get(form.split("_")[0], set())


def engines_of(options):
    """In the order of the table. INT8 graphs are cytodet's own and TensorFlow's."""
    has = bench_peers.cpu_features()
    fix = not {"avx512_vnni", "avx_vnni"} & set(has)  # without VNNI, sums of pairs of u8 x s8 saturate in the other form
    engines = [Cytodet("f32", options.graph), Peer("TensorFlow", "f32", "graph.pb", "tensorflow"),
               Peer("OpenVINO", "f32", "openvino_f32.xml", "openvino"), Peer("ONNX Runtime", "f32", "onnx_f32.onnx", "onnxruntime"),
               Peer("TFLite", "f32", "tflite_f32.tflite", "tflite")]
    if options.int8:
        engines += [Cytodet("int8", options.int8_graph), Peer("TensorFlow", "int8", "graph_int8.pb", "tensorflow"),
                    Peer("OpenVINO", "int8", "openvino_int8_fix.xml" if fix else "openvino_int8.xml", "openvino"),
                    Peer("ONNX Runtime", "int8", "onnx_int8_u8u8.onnx" if fix else "onnx_int8.onnx", "onnxruntime"),
                    Peer("TFLite", "int8", "tflite_int8.tflite", "tflite")]
        if "avx512_bf16" in has:
            engines.append(Peer("OpenVINO", "int8", "openvino_int8.xml", "openvino", note="rest bf16", hint="bf16"))
    return [e for e in engines if e.name == "cytodet" or e.name in options.peers.split(",")]


def network_of(name, graph, options):
    """The graph with its input, outputs and images; its peers' forms lie in a folder of its name."""
    described = json.loads(subprocess.run([os.environ["ONNX_EXPORT_PYTHON"], HERE / "peer_worker.py", "describe", graph],
                                          check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    if len(described["inputs"]) != 1:
        raise RuntimeError(f"has inputs {', '.join(described['inputs'])}, and is measured on one")
    (node, (dtype, dims)), = described["inputs"].items()
    image = dtype == "uint8"
    shape = [d if d > 0 else free for d, free in zip(dims, [1, 480, 640, 3] if image and len(dims) == 4 else [1] * len(dims))]
    like = np.zeros(shape, "u1" if image else "f4")
    folder = pathlib.Path(options.folder).resolve() / name
    folder.mkdir(parents=True, exist_ok=True)
    link(folder / "graph.pb", graph)
    network = make_peers.FrozenGraph(folder / "graph.pb", node, shape, described["outputs"], folder,
                                     [random_like(like, 100 + i) for i in range(8)])
    network.image = make_networks.image(make_networks.NETWORKS[name], seed=11) if name in make_networks.NETWORKS else random_like(like, 11)
    network.image_file = folder / "image.npy"
    np.save(network.image_file, network.image)
    return network


def link(name, target):
    name.unlink(missing_ok=True)
    name.symlink_to(pathlib.Path(target).resolve())


def quantize(network, options, out):
    """cytodet's INT8 graph, calibrated on the images that the peers are calibrated on."""
    with tempfile.TemporaryDirectory() as folder:
        for i, sample in enumerate(network.samples):
            (pathlib.Path(folder) / f"{i}.json").write_text(bench_program.feeds_json({f"{network.input}:0": sample}))
        done = subprocess.run([options.program, "quantize", network.graph, "--images", folder, "--quiet", "--no-search", "--force", "-o", out],
                              capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError("quantize: " + done.stderr.strip().splitlines()[-1])


def difference(got, wanted):
    largest = max(float(np.abs(w).max()) for w in wanted)
    return max(float(np.abs(g - w).max()) for g, w in zip(got, wanted)) / max(largest, 1e-30)


def decibels(got, wanted):
    signal = sum(float((w.astype("f8") ** 2).sum()) for w in wanted)
    noise = sum(float(((g.astype("f8") - w) ** 2).sum()) for g, w in zip(got, wanted))
    return 10 * np.log10(signal / max(noise, 1e-30))


def compare(answers, wanted, figure):
    if [a.shape for a in answers] != [w.shape for w in wanted]:
        raise RuntimeError(f"its answers have shapes {[a.shape for a in answers]}")
    figure["difference"], figure["decibels"] = difference(answers, wanted), decibels(answers, wanted)


def measure(network, options):
    """Figures of every engine: milliseconds, differences, plain steps."""
    options.graph, options.int8_graph, figures, ready, wanted = network.graph, network.folder / "graph_int8.pb", [], [], None
    # TensorFlow's answers in float are what the others are compared with; cytodet's INT8 graph is made before others read it.
    first = [("TensorFlow", "f32"), ("cytodet", "f32"), ("cytodet", "int8")]
    engines = sorted(engines_of(options), key=lambda e: first.index((e.name, e.precision)) if (e.name, e.precision) in first else len(first))
    for engine in engines:
        figure = {"engine": engine.name, "precision": engine.precision, "note": getattr(engine, "note", "")}
        figures.append(figure)
        try:
            engine.load(network, options)
            answers = engine.answers()
            wanted = answers if wanted is None else wanted
            compare(answers, wanted, figure)
            ready.append((engine, figure))
        except (RuntimeError, OSError) as e:
            figure["error"] = str(e)[:200]
    for _ in range(options.rounds):
        for engine, figure in ready:
            figure.setdefault("rounds", []).append(engine.measure(options.seconds))
    for engine, figure in ready:
        figure["ms"], figure["clock_ms"] = np.median(figure["rounds"], axis=0).tolist()
        if isinstance(engine, Cytodet):
            figure["plain"] = engine.plain()
        engine.close()
    return figures


def best(figures, engine, precisions):
    """Of the figures of an engine in these precisions the fastest; none: None."""
    timed = [f for f in figures if f["engine"] == engine and f["precision"] in precisions and "ms" in f]
    return min(timed, key=lambda f: f["ms"], default=None)


def ratio_of(figures, precision):
    """The best peer's time over cytodet's, and its name."""
    ours = best(figures, "cytodet", [precision])
    peers = [f for f in (best(figures, p, ["f32"] if precision == "f32" else ["f32", "int8"]) for p in PEERS) if f]
    if not ours or not peers:
        return None
    fastest = min(peers, key=lambda f: f["ms"])
    return fastest["ms"] / ours["ms"], fastest["engine"] + (" " + fastest["precision"] if fastest["precision"] != precision else "")


def cell(figures, engine, precision):
    figure = best(figures, engine, [precision])
    if figure:
        return f"{figure['ms']:.2f}"
    return "no" if any(f["engine"] == engine and f["precision"] == precision for f in figures) else ""


def row_of(name, precision, figures):
    ours = best(figures, "cytodet", [precision])
    if not ours:
        error = next((f.get("error", "") for f in figures if f["engine"] == "cytodet" and f["precision"] == precision), "")
        return f"| {name} | {precision} | {error[:80]} |" + " |" * (len(PEERS) + 3)
    exact = f"{ours['difference']:.1e}" if precision == "f32" else f"{ours['decibels']:.1f} dB"
    plain = collections.Counter(p[0] for p in ours["plain"])
    steps = ", ".join(f"{n} {op}" for op, n in plain.most_common()) or "none"
    share = f" ({100 * sum(p[3] for p in ours['plain']):.1f} %)" if plain else ""
    ratio = ratio_of(figures, precision)
    shown = f"**{ratio[0]:.2f}x** of {ratio[1]}" if ratio else ""
    peers = " | ".join(cell(figures, p, precision) for p in PEERS)
    return f"| {name} | {precision} | {ours['ms']:.2f} | {peers} | {shown} | {exact} | {steps}{share} |"


def table(results):
    lines = [f"| network | precision | cytodet | {' | '.join(PEERS)} | the best peer | difference | plain steps (share of time) |",
             "|---|---|--:|" + "--:|" * len(PEERS) + "---|--:|---|"]
    for precision in ("f32", "int8"):
        ratios = []
        for name, figures in results.items():
            if any(f["precision"] == precision for f in figures):
                lines.append(row_of(name, precision, figures))
                ratios += [r[0] for r in [ratio_of(figures, precision)] if r]
        if ratios:
            lines.append(f"| geometric mean of {len(ratios)} | {precision} |" + " |" * (len(PEERS) + 1)
                         + f" **{np.exp(np.mean(np.log(ratios))):.2f}x** | | |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="bench_networks")
    parser.add_argument("--networks", default=",".join(make_networks.NETWORKS))
    parser.add_argument("--graphs", nargs="*", default=[], help="other frozen graphs, of one input")
    parser.add_argument("--folder", default="out/networks")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--int8", action="store_true", help="also in 8 bits")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--program", default="build/release/cytodet")
    parser.add_argument("--prepare", action="store_true", help="make the networks and the peers' forms, and measure nothing")
    parser.add_argument("--out", default="out/bench_networks")
    options = parser.parse_args()
    names = [n for n in options.networks.split(",") if n]
    if names:
        subprocess.run([os.environ["ONNX_EXPORT_PYTHON"], HERE / "make_networks.py", options.folder, *names], check=True)
    graphs = [(n, pathlib.Path(options.folder) / f"{n}.pb") for n in names] + [(pathlib.Path(g).stem, pathlib.Path(g)) for g in options.graphs]
    results, out = {}, pathlib.Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    for name, graph in graphs:
        network = network_of(name, graph, options)
        if options.prepare:
            options.graph, options.int8_graph = network.graph, network.folder / "graph_int8.pb"
            for engine in engines_of(options):
                if getattr(engine, "form", None) in make_peers.FORMS:
                    make_peers.make(network, needed_for(engine.form))
            continue
        results[name] = measure(network, options)
        for precision in ("f32", "int8")[:1 + options.int8]:
            print(row_of(name, precision, results[name]), file=sys.stderr, flush=True)
        for figure in results[name]:
            if "error" in figure:
                print(f"  {figure['engine']} {figure['precision']}: {figure['error']}", file=sys.stderr)
            for op, node, reason, share in figure.get("plain", []):
                print(f"  plain in {figure['precision']}: {op} {node}, {100 * share:.1f} % of the time: {reason}", file=sys.stderr)
        out.with_suffix(".json").write_text(json.dumps(results, indent=1))
        out.with_suffix(".md").write_text(table(results))
    print(table(results) if results else "", end="")


if __name__ == "__main__":
    main()
