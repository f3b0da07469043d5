"""Interleaved rounds of cytodet and its peers on detector networks, and how far each one's answers stray from float; see bench_peers.

Each row runs alone for some seconds in every round; ratios are taken within a round, so that a slower minute of the machine meets both sides; medians over the rounds
count. Answers: signal-to-quantization-noise ratio of the raw heads against OpenVINO's float heads, class logits / box deltas, each group with its mean removed.
"""
import argparse
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

import make_peers

ROOT = pathlib.Path(__file__).resolve().parent.parent
D0 = ROOT / "models/efficientdet/efficientdet_d0_blood.json"
CORES = len(os.sched_getaffinity(0))


# CYTODET_MAX_ISA -> the same cap for OpenVINO and the oneDNN in it, which must agree, and the features under it.
CAPS = {"avx2": ("AVX2", ("avx2",)), "avx2_vnni": ("AVX2_VNNI", ("avx2", "avx_vnni")), "avx512": ("AVX512_CORE", ("avx2", "avx512f")),
        "avx512_vnni": ("AVX512_CORE_VNNI", ("avx2", "avx512f", "avx512_vnni"))}
CAP = CAPS.get(os.environ.get("CYTODET_MAX_ISA", ""))
if os.environ.get("CYTODET_MAX_ISA") and not CAP:
    raise SystemExit(f"bench_peers: error: CYTODET_MAX_ISA: peers can be capped to {', '.join(CAPS)}, not to \"{os.environ['CYTODET_MAX_ISA']}\"")


def about_cpu(key):
    """What /proc/cpuinfo says under this key of the first processor; empty: nothing."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith(key)), "")


def cpu_features():
    """What decides whether 8 or 16 bits pay."""
    flags = about_cpu("flags").split()
    known = CAP[1] if CAP else ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
    return [f for f in known if f in flags]


HAS_BF16 = "avx512_bf16" in cpu_features()


class Row:
    """What is measured: an engine, a precision, a form's file, and how the cores are shared."""

    def __init__(self, engine, precision, file, several, family, note="", remedy_of=None, hint=None):
        self.engine, self.precision, self.file, self.several, self.family = engine, precision, file, several, family
        self.note, self.remedy_of = note, remedy_of  # remedy_of: the form whose saturation this one avoids
        self.hint = hint or precision
        self.streams, self.threads = (CORES, 1) if several else (1, CORES)
        self.ms, self.details, self.problem = [], [], None

    @property
    def what(self):
        return f"{self.engine} {self.precision}" + (f", {self.note}" if self.note else "")

    @property
    def key(self):
        return f"{self.what} / {self.streams}x{self.threads}"


def rows_of(network):
    rows = []
    for several in (True, False):
        add = lambda *a, **k: rows.append(Row(*a[:3], several, a[3], **k))
        add("cytodet", "INT8", "cytodet_int8.json", "cytodet")
        add("cytodet", "f32", str(network.model), "cytodet")
        add("cytodet", "bf16", str(network.model), "cytodet")
        add("OpenVINO", "f32", "openvino_f32.xml", "openvino", note="from .pb")
        add("OpenVINO", "f32", "openvino_onnx_f32.xml", "openvino", note="from ONNX")
        add("OpenVINO", "bf16", "openvino_f32.xml", "openvino")
        add("OpenVINO", "INT8", "openvino_int8.xml", "openvino", note="NNCF", hint="f32")
        add("OpenVINO", "INT8", "openvino_int8_fix.xml", "openvino", note="NNCF overflow fix", hint="f32", remedy_of="openvino_int8.xml")
        if HAS_BF16:
            add("OpenVINO", "INT8", "openvino_int8.xml", "openvino", note="NNCF, rest bf16", hint="bf16")
        add("ONNX Runtime", "f32", "onnx_f32.onnx", "onnxruntime")
        add("ONNX Runtime", "INT8", "onnx_int8.onnx", "onnxruntime", note="QDQ")
        add("ONNX Runtime", "INT8", "onnx_int8_u8u8.onnx", "onnxruntime", note="QDQ u8u8", remedy_of="onnx_int8.onnx")
        add("TensorFlow", "f32", str(network.graph), "tensorflow")
        add("TFLite XNNPACK", "f32", "tflite_f32.tflite", "tflite")
        add("TFLite XNNPACK", "INT8", "tflite_int8.tflite", "tflite")
    return rows


class Worker:
    """A process that holds one family's networks; see peer_worker.py."""

    def __init__(self, family):
        python = os.environ["ONNX_EXPORT_PYTHON"] if family in ("tensorflow", "tflite") else sys.executable
        self.process = subprocess.Popen([python, ROOT / "scripts/peer_worker.py", family], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def ask(self, **job):
        try:
            print(json.dumps(job), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else {"error": "its process ended"}

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # its process ended
        self.process.wait()


class Cytodet:
    """The same questions put to the program."""

    def __init__(self, program):
        self.program, self.nets = program, {}

    def run(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}")
        return done.stdout

    def ask(self, **job):
        try:
            return getattr(self, job.pop("op"))(**job)
        except RuntimeError as problem:
            return {"error": str(problem)}

    def load(self, id, file, streams, threads, precision, **_):
        options = []
        if precision == "bf16":
            if not HAS_BF16:
                raise RuntimeError("not on this CPU")
            options = ["--precision", "bf16"]
        self.nets[id] = (pathlib.Path(file), options, ["--streams", streams, "--threads", threads])
        return {}

    def heads(self, id, images, out):
        model, precision, _ = self.nets[id]
        settings = json.loads(model.read_text())
        names = settings["class_logits"] + settings["box_deltas"]
        arrays = {}
        with tempfile.TemporaryDirectory() as folder:
            for i, file in enumerate(images):
                image = np.load(file)
                feeds, answer = pathlib.Path(folder, "feeds.json"), pathlib.Path(folder, "out.json")
                node = settings["input"]["node"].split(":")[0]
                feeds.write_text(json.dumps({"inputs": {f"{node}:0": {"dtype": "float32", "shape": list(image.shape), "data": image.ravel().tolist()}}}))
                self.run("infer", model.parent / settings["graph"], "--feeds", feeds, "--outputs", ",".join(names), "-o", answer, *precision)
                outputs = json.loads(answer.read_text())["outputs"]
                for j, name in enumerate(names):
                    arrays[f"{i}_{j}"] = np.asarray(outputs[name]["data"], "f4")
        np.savez(out, **arrays)
        return {}

    def measure(self, id, seconds, **_):
        model, precision, sharing = self.nets[id]
        bench = json.loads(self.run("bench", "--model", model, *precision, *sharing, "--seconds", seconds, "--json"))
        return {"ms": bench["ms_per_image"], "detail": {k: bench.get(k) for k in ("isa", "gmacs_per_s", "share_of_peak", "stream_bytes", "load_ms", "pinned",
                                                                                 "plain_steps", "peak")}}

    def scaling(self, id, seconds):
        """How the throughput grows from one core to all, in turns of a tenth of a second, and how products in registers do."""
        model, precision, _ = self.nets[id]
        table = json.loads(self.run("bench", "--model", model, *precision, "--seconds", seconds, "--scaling", "--json"))["scaling"]
        all_cores = next(r for r in table if (r["streams"], r["threads"]) == (CORES, 1))
        return {"times": all_cores["times_one_core"], "machine": all_cores["machine_times_one_core"], "one_ms": table[0]["ms_per_image"],
                "all_ms": all_cores["ms_per_image"]}

    def doctor(self):
        return json.loads(self.run("doctor", "--json"))

    def close(self):
        self.nets.clear()


def sqnr(exact, heads):
    """dB over all images and levels together."""
    x, y = (np.concatenate([np.ravel(h) for h in group]).astype("f8") for group in (exact, heads))
    noise = ((x - y) ** 2).sum()
    return 10 * math.log10(((x - x.mean()) ** 2).sum() / noise) if noise else 200.0


def accuracies(network, rows, workers, count):
    """Form (file and precision) -> SQNR in dB of classes and boxes."""
    answers, half = {}, len(network.heads) // 2
    with tempfile.TemporaryDirectory() as folder:
        images = []
        for i, file in enumerate(make_peers.evenly(network.images, count)):
            images.append(str(pathlib.Path(folder, f"{i}.npy")))
            np.save(images[-1], network.feed(file))
        for row in rows:
            if row.problem or (row.what in answers):
                continue
            out = pathlib.Path(folder, "heads.npz")
            reply = workers[row.family].ask(op="heads", id=row.key, images=images, out=str(out))
            if "error" in reply:
                row.problem = reply["error"]
                continue
            with np.load(out) as heads:
                answers[row.what] = [[heads[f"{i}_{j}"] for i in range(len(images)) for j in span] for span in (range(half), range(half, 2 * half))]
    reference = answers.get("OpenVINO f32, from .pb") or answers.get("OpenVINO f32, from ONNX") or answers.get("TensorFlow f32") or answers["cytodet f32"]
    return {what: [sqnr(x, y) for x, y in zip(reference, answer)] for what, answer in answers.items()}


def load(network, rows, workers, problems):
    """Loads every row; of a peer's imports of one form only the faster one stays."""
    for row in rows:
        row.problem = problems.get(row.file)
        if row.problem:
            continue
        if row.precision == "bf16" and not HAS_BF16:
            row.problem = "not on this CPU"
            continue
        file = str(network.folder / row.file)
        reply = workers[row.family].ask(op="load", id=row.key, file=file, streams=row.streams, threads=row.threads, precision=row.hint,
                                        input=network.input, heads=network.heads)
        row.problem = reply.get("error")


class Quiet:
    """Keeps measurements out of the times in which neighbours on the machine take a core, and those of networks of several threads out of the times in
    which the cores lie further apart than they did at another time of the run, as far as they end."""
    LEAST = 0.9 * CORES  # cores that the machine gives before and after a measurement, or it is measured again
    FARTHEST = 2  # times the least nanoseconds from core to core
    TRIES, PATIENCE_S = 4, 20

    def __init__(self, cytodet):
        self.cytodet, self.measured, self.repeated, self.disturbed = cytodet, 0, 0, 0
        self.nearest_ns = math.inf

    def now(self, near):
        if CORES == 1:
            return True
        machine = self.cytodet.doctor()
        apart = machine["core_to_core_ns"] or math.inf  # 0: the machine was too busy to tell
        if machine["effective_cores"] >= self.LEAST:
            self.nearest_ns = min(self.nearest_ns, apart)
        return machine["effective_cores"] >= self.LEAST and (not near or apart <= self.FARTHEST * self.nearest_ns)

    def ask(self, worker, near, **job):
        self.measured += 1
        for _ in range(self.TRIES):
            end = time.monotonic() + self.PATIENCE_S
            while not self.now(near) and time.monotonic() < end:
                pass
            reply = worker.ask(**job)
            if "error" in reply or self.now(near):
                return reply
            self.repeated += 1
        self.disturbed += 1
        return reply


def measure_in_turn(network, rows, workers, rounds, seconds):
    """Fills ms of the rows; returns the machine's load before each round, as other work on the machine shows in it, each round's scaling, and how often
    something was measured again."""
    loads, scaling, quiet = [], [], Quiet(workers["cytodet"])
    ours = next(r for r in rows if r.engine == "cytodet" and r.precision == "INT8" and r.several)
    with tempfile.TemporaryDirectory() as folder:
        image = str(pathlib.Path(folder, "image.npy"))
        np.save(image, network.feed(make_peers.evenly(network.images, 1)[0]))
        for number in range(rounds):
            loads.append(os.getloadavg()[0])
            for row in rows:
                if row.problem:
                    continue
                reply = quiet.ask(workers[row.family], row.threads > 1, op="measure", id=row.key, image=image, seconds=seconds)
                if "error" in reply:
                    row.problem = reply["error"]
                else:
                    row.ms.append(reply["ms"])
                    if "detail" in reply:
                        row.details.append(reply["detail"])
            if not ours.problem:
                scaling.append(quiet.ask(workers["cytodet"], False, op="scaling", id=ours.key, seconds=seconds))
            print(f"{network.model.stem}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return loads, scaling, {k: getattr(quiet, k) for k in ("measured", "repeated", "disturbed")}


def detail_of(row):
    """What the engine told of itself; speeds are medians of the rounds."""
    if not row.details:
        return None
    shares = [d["share_of_peak"] for d in row.details]
    return {**row.details[-1], "share_of_peak": statistics.median(shares), "share_of_peak_rounds": shares,
            "gmacs_per_s": statistics.median(d["gmacs_per_s"] for d in row.details)}


def ratio(peers, ours):
    """How many times longer the best of the peers takes: median and spread over the rounds; None without both."""
    best = min((p for p in peers if p.ms and not p.problem), key=lambda p: statistics.median(p.ms), default=None)
    if best is None or ours is None or not ours.ms:
        return None
    by_round = [p / o for p, o in zip(best.ms, ours.ms)]
    return {"median": statistics.median(by_round), "min": min(by_round), "max": max(by_round), "peer": best.what, "peer_ms": statistics.median(best.ms),
            "ours_ms": statistics.median(ours.ms)}


def scaling_ratio(rounds, key):
    by_round = [r[key] for r in rounds if key in r]
    if not by_round:
        return None
    return {"median": statistics.median(by_round), "min": min(by_round), "max": max(by_round), "peer": "one core",
            "peer_ms": statistics.median(r["one_ms"] for r in rounds if key in r), "ours_ms": statistics.median(r["all_ms"] for r in rounds if key in r)}


def ratios_of(rows, scaling, saturating):
    """The figures that a speed-up or a loss of cytodet shows in; a peer whose answers saturate does not count as best."""
    def pick(engine, precisions, several=None):
        return [r for r in rows if r.engine == engine and r.precision in precisions and several in (None, r.several) and r.what not in saturating]

    def ours(precision, several):
        return next((r for r in rows if r.engine == "cytodet" and r.precision == precision and r.several == several), None)
    low = ("bf16", "INT8")
    found = {
        "INT8 throughput against the best OpenVINO form": ratio(pick("OpenVINO", ("f32",) + low), ours("INT8", True)),
        "INT8 throughput against ONNX Runtime INT8": ratio(pick("ONNX Runtime", ("INT8",)), ours("INT8", True)),
        "INT8 throughput against TFLite INT8": ratio(pick("TFLite XNNPACK", ("INT8",)), ours("INT8", True)),
        "INT8 latency against the best OpenVINO LATENCY form": ratio(pick("OpenVINO", ("f32",) + low, False), ours("INT8", False)),
        "bf16 throughput against OpenVINO bf16": ratio(pick("OpenVINO", ("bf16",)), ours("bf16", True)),
        "f32 throughput against OpenVINO f32": ratio(pick("OpenVINO", ("f32",)), ours("f32", True)),
        "f32 latency against OpenVINO f32": ratio(pick("OpenVINO", ("f32",), False), ours("f32", False)),
        "f32 throughput against ONNX Runtime f32": ratio(pick("ONNX Runtime", ("f32",)), ours("f32", True)),
        "f32 throughput against TensorFlow": ratio(pick("TensorFlow", ("f32",)), ours("f32", True)),
        "INT8 throughput against cytodet f32": ratio([r for r in [ours("f32", True)] if r], ours("INT8", True)),
        f"INT8 throughput of {CORES} cores against one": scaling_ratio(scaling, "times"),
    }
    return {name: value for name, value in found.items() if value}


def saturating_of(rows, decibels):
    """Forms whose answers a remedy against saturation betters by 6 dB."""
    named = set()
    for remedy in rows:
        for row in rows:
            if remedy.remedy_of == row.file and row.what in decibels and remedy.what in decibels and min(decibels[remedy.what]) > min(decibels[row.what]) + 6:
                named.add(row.what)
    return named


def bench(network, arguments, workers):
    wanted = {row.file for row in rows_of(network)}
    rows = [r for r in rows_of(network) if not arguments.engines or any(r.family.startswith(e) for e in ["cytodet", *arguments.engines])]
    wanted = {row.file for row in rows} | ({"onnx_f32.onnx"} if any(r.family in ("openvino", "onnxruntime") for r in rows) else set())
    problems = make_peers.make(network, wanted)
    load(network, rows, workers, problems)
    decibels = accuracies(network, rows, workers, arguments.answers)
    # Float peers that stray are not the same network.
    for row in rows:
        if row.precision == "f32" and row.what in decibels and min(decibels[row.what]) < 60:
            row.problem = f"its float answers stray: {min(decibels[row.what]):.1f} dB"
    loads, scaling, quiet = measure_in_turn(network, rows, workers, arguments.rounds, arguments.seconds)
    saturating = saturating_of(rows, decibels)
    return {
        "model": network.model.stem, "size": [network.width, network.height], "loads": loads, "quiet": quiet, "ratios": ratios_of(rows, scaling, saturating),
        "machine_scaling": scaling_ratio(scaling, "machine"),
        "rows": [{"what": r.what, "engine": r.engine, "precision": r.precision, "streams": r.streams, "threads": r.threads, "problem": r.problem,
                  "ms": statistics.median(r.ms) if r.ms else None, "ms_min": min(r.ms, default=None), "ms_max": max(r.ms, default=None), "rounds_ms": r.ms,
                  "sqnr_db": decibels.get(r.what), "saturates": r.what in saturating, "detail": detail_of(r)} for r in rows]}


def table_of(result):
    lines = [f"## {result['model']}, {result['size'][0]}x{result['size'][1]}", ""]
    for several in (True, False):
        group = [r for r in result["rows"] if (r["streams"] > 1) == several or CORES == 1]
        ours = next((r["ms"] for r in group if r["what"] == "cytodet INT8"), None)
        title = f"{CORES} images at once, a thread each" if several else f"one image at a time, {CORES} threads"
        lines += [f"| {title} | ms/image, median (least to most) | times cytodet INT8 | SQNR dB, classes / boxes |", "|---|--:|--:|--:|"]
        for r in sorted(group, key=lambda r: r["ms"] or math.inf):
            db = " / ".join(f"{v:.1f}" if v < 200 else "same" for v in r["sqnr_db"]) if r["sqnr_db"] else ""
            db += ", saturates" if r["saturates"] else ""
            times = f"{r['ms'] / ours:.2f}" if r["ms"] and ours else ""
            ms = f"{r['ms']:.1f} ({r['ms_min']:.1f} to {r['ms_max']:.1f})" if r["ms"] and not r["problem"] else r["problem"]
            lines.append(f"| {r['what']} | {ms} | {times} | {db} |")
        lines.append("")
    lines += ["| ratio, median of the rounds (least to most) | | of |", "|---|--:|---|"]
    lines += [f"| {name} | **{v['median']:.2f}** ({v['min']:.2f} to {v['max']:.2f}) | {v['peer']} {v['peer_ms']:.1f} ms, cytodet {v['ours_ms']:.1f} ms |"
              for name, v in result["ratios"].items()]
    for r in result["rows"]:
        if r["engine"] == "cytodet" and r["detail"]:
            d = r["detail"]
            shares = d["share_of_peak_rounds"]
            lines.append(f"| {r['what']}, {r['streams']} x {r['threads']}: share of the machine's peak | {100 * d['share_of_peak']:.0f} % "
                         f"({100 * min(shares):.0f} to {100 * max(shares):.0f}) | {d['gmacs_per_s']:.0f} GMAC/s; {d['stream_bytes'] / 2**20:.1f} MiB per stream beyond weights |")
    if v := result["machine_scaling"]:
        lines.append(f"| products in registers of {CORES} cores against one, in turn with the network | {v['median']:.2f} ({v['min']:.2f} to {v['max']:.2f}) | "
                     f"the bound of what {CORES} cores can give |")
    q = result["quiet"]
    return "\n".join(lines) + (f"\n\nOf {q['measured']} measurements {q['repeated']} were repeated because the machine gave less than {Quiet.LEAST:.1f} cores after them or had moved the cores of several threads apart, "
                               f"{q['disturbed']} stand although it did. Load before each round: " + ", ".join(f"{v:.1f}" for v in result["loads"]) + ".\n")


def model_of(graph, program, folder):
    """A model file for a bare graph of the shipped kind: its size from the graph, all else as the shipped one."""
    graph = pathlib.Path(graph).resolve()
    if graph.suffix == ".json":
        return graph
    beside = graph.with_suffix(".json")
    if beside.exists():
        return beside
    answer = json.loads(subprocess.run([program, "inspect", graph, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout)
    settings = json.loads(D0.read_text())
    shape = next(n["outputs"][0] for n in answer["nodes"] if n["name"] == settings["input"]["node"])
    height, width = (int(d) for d in shape.split("[")[1].rstrip("]").split(",")[1:3])
    settings |= {"name": graph.stem, "graph": str(graph)}
    settings["input"] |= {"width": width, "height": height}
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / f"{graph.stem}.json"
    model.write_text(json.dumps(settings, indent=1) + "\n")
    return model


def main():
    parser = argparse.ArgumentParser(prog="bench_peers")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--graphs", nargs="+", default=[D0])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--images", default=None, help="what is calibrated on")
    parser.add_argument("--calibrate", type=int, help="images to calibrate on")
    parser.add_argument("--answers", type=int, help="images to compare answers on")
    parser.add_argument("--engines", type=lambda s: s.split(","), default=[])
    parser.add_argument("--program", default=None)
    parser.add_argument("--out", default=str(ROOT / "out/bench_peers"), help="results: this name with .json and .md")
    a = parser.parse_args()
    if CAP:
        if a.engines not in ([], ["openvino"]):
            parser.error("under CYTODET_MAX_ISA only openvino can be measured: the others cannot be capped")
        os.environ["ONEDNN_MAX_CPU_ISA"] = os.environ["OV_CPU_MAX_ISA"] = CAP[0]
        a.engines = ["openvino"]
    a.rounds = a.rounds or (3 if a.quick else 5)
    a.seconds = a.seconds or (1.5 if a.quick else 3)
    a.answers = a.answers or (3 if a.quick else 12)
    count = a.calibrate or (12 if a.quick else 100)
    if a.program is None:
        subprocess.run([ROOT / "scripts/build", "release"], check=True)
        a.program = ROOT / "build/release/cytodet"
    program = str(pathlib.Path(a.program).resolve())
    images = pathlib.Path(a.images or (ROOT.parent / "shared/data/bccd/train"))
    if not images.is_dir():
        images = ROOT / "tests/data/bccd"
    peers = ROOT / "out/peers"
    results = []
    for graph in a.graphs:
        model = model_of(graph, program, peers)
        network = make_peers.Network(program, model, peers / f"{model.stem}-{count}", images, count)
        workers = {"cytodet": Cytodet(program)}
        families = [f for f in ("openvino", "onnxruntime", "tensorflow", "tflite") if not a.engines or any(f.startswith(e) for e in a.engines)]
        workers |= {family: Worker(family) for family in families}
        try:
            results.append(bench(network, a, workers))
        finally:
            for worker in workers.values():
                worker.close()
    isa = next((r["detail"]["isa"] for result in results for r in result["rows"] if r["detail"]), "")
    # Names hide generations: of an "AMD EPYC" of family 25 (Zen 3, 4) and 26 (Zen 5) the second has twice the 512-bit products a clock.
    processor = f"{about_cpu('model name')}, family {about_cpu('cpu family')}"
    versions = {p: importlib.metadata.version(p) for p in ("openvino", "nncf", "onnxruntime")} | {"tensorflow": "2.15.1"}
    result = {"cpu": f"{processor}, {isa}{' (capped)' if CAP else ''}, {CORES} cores", "features": cpu_features(), "versions": versions, "rounds": a.rounds, "seconds": a.seconds,
              "calibration_images": count, "graphs": results}
    text = "\n".join(table_of(r) for r in results)
    text += f"\n{result['cpu']} ({', '.join(result['features'])}); {', '.join(f'{k} {v}' for k, v in versions.items())}; {a.rounds} rounds of {a.seconds:g} s.\n"
    out = pathlib.Path(a.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    out.with_suffix(".md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
