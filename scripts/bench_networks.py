"""Well-known networks: cytodet against its peers, in one run. See bench_networks.

Each network is measured by every engine in turn, --rounds times; a figure is the median of its rounds. Figures are milliseconds of
CPU time per image, of all threads: on a machine that does other things too they tell more than the clock, whose figures are in
the .json. The answers of every engine are compared with TensorFlow's of the float graph: the largest
difference relative to the largest value (float), the signal to noise ratio (INT8). Steps that run without a kernel are listed.

To add a peer, add a class with `name`, `run()` (the answers) and `measure(seconds)` (CPU and clock milliseconds) to ENGINES."""
import argparse
import collections
import json
import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np

import make_networks

HERE = pathlib.Path(__file__).resolve().parent


def feeds_json(inputs):
    return {f"{name}:0": {"dtype": x.dtype.name, "shape": list(x.shape), "data": x.ravel().tolist()} for name, x in inputs.items()}


def random_like(x, seed):
    """Bytes of all values; floats of about one."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, x.shape).astype("u1") if x.dtype == np.uint8 else rng.normal(0, 1, x.shape).astype("f4")


class Cytodet:
    name = "cytodet"

    def __init__(self, graph, inputs, options):
        self.graph, self.inputs, self.options, self.layers = graph, inputs, options, []

    def command(self, *arguments):
        done = subprocess.run([self.options.program, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return done.stdout

    def feeds(self, folder, inputs):
        file = pathlib.Path(folder) / "feeds.json"
        file.write_text(json.dumps({"inputs": feeds_json(inputs)}))
        return file

    def run(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.json"
            self.command("infer", self.graph, "--feeds", self.feeds(folder, self.inputs), "-o", out)
            outputs = json.loads(out.read_text())["outputs"]
            return [np.array(v["data"], "f4").reshape(v["shape"]) for v in outputs.values()]

    def bench(self, *arguments):
        """What bench says, and the CPU seconds that it took."""
        shapes = [a for name, x in self.inputs.items() for a in ("--shape", f"{name}={','.join(map(str, x.shape))}")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        j = json.loads(self.command("bench", "--model", self.graph, "--streams", 1, "--threads", self.options.threads, "--json", "--no-pin",
                                    *shapes, *arguments))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return j, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def measure(self, seconds):
        """Of a long and a short run the difference, so that loading does not count."""
        if not self.layers:
            self.layers = self.bench("--seconds", 0.1, "--layers", "--rounds", 3)[0]["layers"]
        short, short_cpu = self.bench("--seconds", 0.1)
        long, long_cpu = self.bench("--seconds", seconds + 0.1)
        images = long["images"] - short["images"]
        cpu = 1000 * (long_cpu - short_cpu) / images if images > 0 else long["latency_median_ms"]
        return cpu, long["latency_median_ms"]

    def plain(self):
        return [(s["op"], s["name"], s.get("reason", ""), s["share"]) for s in self.layers if s["kernel"] == "plain"]


class TensorFlow:
    """A session of its own process, which answers a line for each request: it must not share threads with others."""
    name = "TensorFlow"
    WORKER = """
import os, sys, time, json
import numpy as np
import tensorflow as tf
graph_file, feeds_file, threads, out_file = sys.argv[1:5]
definition = tf.compat.v1.GraphDef()
definition.ParseFromString(open(graph_file, "rb").read())
graph = tf.Graph()
with graph.as_default():
    tf.import_graph_def(definition, name="")
read = {i.split(":")[0].lstrip("^") for n in definition.node for i in n.input}
skip = ("NoOp", "Const", "Placeholder", "Assert")
outputs = sorted(n.name + ":0" for n in definition.node if n.name not in read and n.op not in skip)
feeds = {k + ":0": v for k, v in np.load(feeds_file).items()}
config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=int(threads), inter_op_parallelism_threads=1)
session = tf.compat.v1.Session(graph=graph, config=config)
call = session.make_callable(outputs, feed_list=list(feeds))
answers = call(*feeds.values())
np.savez(out_file, **{str(i): a for i, a in enumerate(answers)})
print("ready", flush=True)
for line in sys.stdin:
    end, times, cpu = time.perf_counter() + float(line), [], time.process_time()
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        call(*feeds.values())
        times.append(time.perf_counter() - start)
    print((time.process_time() - cpu) / len(times) * 1000, sorted(times)[len(times) // 2] * 1000, flush=True)
"""

    def __init__(self, graph, inputs, options):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        np.savez(folder / "feeds.npz", **inputs)
        self.out = folder / "out.npz"
        self.process = subprocess.Popen([sys.executable, "-c", self.WORKER, graph, folder / "feeds.npz", str(options.threads), self.out],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            lines = self.process.communicate()[1].strip().splitlines()
            raise RuntimeError("TensorFlow: " + (lines[-1][:200] if lines else "does not run the graph"))

    def run(self):
        answers = np.load(self.out)
        return [answers[k] for k in sorted(answers, key=int)]

    def measure(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("TensorFlow ended")
        return tuple(map(float, line.split()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


ENGINES = [TensorFlow, Cytodet]


def inputs_of(graph, name):
    """The images that a graph is measured on."""
    if name in make_networks.NETWORKS:
        return {"image": make_networks.image(make_networks.NETWORKS[name], seed=11)}
    import tensorflow as tf
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(pathlib.Path(graph).read_bytes())
    inputs = {}
    for n in definition.node:
        if n.op == "Placeholder":
            image = n.attr["dtype"].type == tf.uint8.as_datatype_enum
            dims = [d.size for d in n.attr["shape"].shape.dim]
            shape = [d if d > 0 else open_ for d, open_ in zip(dims, [1, 480, 640, 3] if image and len(dims) == 4 else [1] * len(dims))]
            inputs[n.name] = random_like(np.zeros(shape, "u1" if image else "f4"), 11)
    return inputs


def quantize(graph, inputs, options, out):
    """The INT8 graph, calibrated on three images like the one that is measured."""
    with tempfile.TemporaryDirectory() as folder:
        for i in range(3):
            feeds = {name: random_like(x, 100 + i) for name, x in inputs.items()}
            (pathlib.Path(folder) / f"{i}.json").write_text(json.dumps({"inputs": feeds_json(feeds)}))
        done = subprocess.run([options.program, "quantize", graph, "--images", folder, "--quiet", "--no-search", "--force", "-o", out],
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


def measure(graph, inputs, options, wanted):
    """A row of figures: milliseconds, differences and plain steps of every engine."""
    engines, row = [], {"ms": {}, "clock_ms": {}, "rounds": {}, "error": {}, "difference": {}, "decibels": {}}
    for kind in ENGINES:
        try:
            engine = kind(graph, inputs, options)
            answers = engine.run()
            wanted = answers if wanted is None else wanted
            row["difference"][kind.name], row["decibels"][kind.name] = difference(answers, wanted), decibels(answers, wanted)
            engines.append(engine)
        except (RuntimeError, OSError) as e:
            row["error"][kind.name] = str(e)
    times = collections.defaultdict(list)
    for _ in range(options.rounds):
        for engine in engines:
            times[engine.name].append(engine.measure(options.seconds))
    for engine in engines:
        row["rounds"][engine.name] = times[engine.name]
        row["ms"][engine.name], row["clock_ms"][engine.name] = np.median(times[engine.name], axis=0).tolist()
        if isinstance(engine, Cytodet):
            row["plain"] = engine.plain()
        else:
            engine.close()
    return row, wanted


def table(rows):
    lines = ["| network | precision | TensorFlow CPU ms | cytodet CPU ms | ratio | difference | plain steps (share of time) |", "|---|---|--:|--:|--:|--:|---|"]
    for row in rows:
        ms = row["ms"]
        cell = lambda name: f"{ms[name]:.2f}" if name in ms else row["error"].get(name, "")[:60]
        ratio = f"{ms['TensorFlow'] / ms['cytodet']:.2f}" if len(ms) == 2 else ""
        exact = f"{row['difference'].get('cytodet', float('nan')):.1e}" if row["precision"] == "f32" else f"{row['decibels'].get('cytodet', float('nan')):.1f} dB"
        ops = collections.Counter(p[0] for p in row.get("plain", []))
        plain = ", ".join(f"{n} {op}" for op, n in ops.most_common()) or "none"
        share = f" ({100 * sum(p[3] for p in row['plain']):.1f} %)" if ops else ""
        lines.append(f"| {row['network']} | {row['precision']} | {cell('TensorFlow')} | {cell('cytodet')} | {ratio} | {exact} | {plain}{share} |")
    for precision in ("f32", "int8"):
        ratios = [r["ms"]["TensorFlow"] / r["ms"]["cytodet"] for r in rows if r["precision"] == precision and len(r["ms"]) == 2]
        if ratios:
            lines.append(f"| geometric mean of {len(ratios)} | {precision} | | | {np.exp(np.mean(np.log(ratios))):.2f} | | |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="bench_networks")
    parser.add_argument("--networks", default=",".join(make_networks.NETWORKS))
    parser.add_argument("--graphs", nargs="*", default=[], help="other frozen graphs")
    parser.add_argument("--folder", default="out/networks")
    parser.add_argument("--int8", action="store_true", help="also the graphs that cytodet quantizes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--program", default="build/release/cytodet")
    parser.add_argument("--out", default="out/bench_networks")
    options = parser.parse_args()
    names = [n for n in options.networks.split(",") if n]
    if names:
        subprocess.run(["nice", "-n", "10", sys.executable, HERE / "make_networks.py", options.folder, *names], check=True)
    graphs = [(n, pathlib.Path(options.folder) / f"{n}.pb") for n in names] + [(pathlib.Path(g).stem, pathlib.Path(g)) for g in options.graphs]
    rows = []
    for name, graph in graphs:
        inputs = inputs_of(graph, name)
        row, wanted = measure(graph, inputs, options, None)
        rows.append({"network": name, "precision": "f32", **row})
        if options.int8:
            int8 = graph.with_name(name + "_int8.pb")
            try:
                quantize(graph, inputs, options, int8)
                row, _ = measure(int8, inputs, options, wanted)
            except RuntimeError as e:
                row = {"ms": {}, "error": {"cytodet": str(e)}, "difference": {}, "decibels": {}}
            rows.append({"network": name, "precision": "int8", **row})
        print(table(rows).splitlines()[-3 if len(rows) > 1 else -2], file=sys.stderr, flush=True)
        for op, node, reason, share in rows[-1].get("plain", []):
            print(f"  plain: {op} {node}, {100 * share:.1f} % of the time: {reason}", file=sys.stderr)
    out = pathlib.Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(rows, indent=1))
    out.with_suffix(".md").write_text(table(rows))
    print(table(rows), end="")


if __name__ == "__main__":
    main()
