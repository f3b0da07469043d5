"""Random graphs with conditions, loops, functions, constants and shapes inside them, run by TensorFlow; and a check that
TensorFlow loads what the passes make of them and gives the same answers.

usage: $(scripts/oracle_env tensorflow) scripts/make_control_graphs.py --golden         -> tests/data/graph/control/NNNN/
       $(scripts/oracle_env tensorflow) scripts/make_control_graphs.py --make 3000 DIR [--first 0]
       CYTODET_CONTROL_GRAPHS=DIR CYTODET_CONTROL_WRITE=1 test_graph --gtest_filter='ControlGraphs.*'   writes DIR/NNNN/PASS.pb
       $(scripts/oracle_env tensorflow) scripts/make_control_graphs.py --verify DIR
       $(scripts/oracle_env tensorflow) scripts/make_control_graphs.py --answers DIR NAME.pb...   -> DIR/NAME/{graph.pb,case_N.json}

Graph number N is made from seed N alone. Half are of TensorFlow 1's form (Switch, Merge, Enter, ...), half of TensorFlow 2's (If,
Case, While of library functions). Every graph comes with answers for several sets of flags, so that both ways of its conditions
are taken. Forms that random graphs seldom hold are in control_graph_forms.py.
"""
import argparse
import json
import os
import pathlib
import sys
import threading

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # kernels that know only what every CPU's do
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import control_graph_forms as forms  # noqa: E402
from control_graph_maker import Maker  # noqa: E402

v1 = tf.compat.v1
ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/data/graph/control"
GOLDEN = 100


def run(graph_def, cases, names, optimized=True):
    """The outputs of every case; TensorFlow rewrites the graph first (Grappler) when `optimized`."""
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.graph_options.rewrite_options.disable_meta_optimizer = not optimized
    with tf.Graph().as_default() as g:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=g, config=config) as session:
            known = {n.name for n in graph_def.node}
            return [session.run([n + ":0" for n in names], {k + ":0": v for k, v in feed.items() if k in known}) for feed in cases]


def read(path):
    g = v1.GraphDef()
    g.ParseFromString(pathlib.Path(path).read_bytes())
    return g


def tensor(a):
    a = np.asarray(a)
    data = [float(f"{v:.9g}") for v in a.ravel()] if a.dtype.kind == "f" else a.ravel().tolist()
    return {"dtype": str(a.dtype), "shape": list(a.shape), "data": data}


def array(t):
    return np.asarray(t["data"], t["dtype"]).reshape(t["shape"])


def without_traces(graph_def):
    """What says only where a graph was made."""
    for node in list(graph_def.node) + [n for f in graph_def.library.function for n in f.node_def]:
        node.ClearField("experimental_debug_info")
        for key in ("_output_shapes", "output_shapes"):
            if key in node.attr and key[0] == "_":
                del node.attr[key]
    for f in graph_def.library.function:
        f.arg_attr.clear()
    return graph_def


def make_one(seed, folder):
    maker = Maker(seed)
    v1.enable_control_flow_v2() if maker.v2 else v1.disable_control_flow_v2()
    with tf.Graph().as_default() as g:
        names = maker.build()
        graph_def = g.as_graph_def()
    cases = maker.feeds()
    if maker.chance(0.5):
        kept = names + [k for k in cases[0] if any(n.name == k for n in graph_def.node)]
        graph_def = v1.graph_util.extract_sub_graph(graph_def, kept)
    graph_def = without_traces(graph_def)
    answers = run(graph_def, cases, names)
    if not all(np.isfinite(o).all() for case in answers for o in case):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.pb").write_bytes(graph_def.SerializeToString(deterministic=True))
    write_cases(folder, cases, answers, names)
    return len(graph_def.node)


def make_forms(folder):
    for name, (build, versions) in forms.FORMS.items():
        for version in versions:
            v1.enable_control_flow_v2() if version == 2 else v1.disable_control_flow_v2()
            with tf.Graph().as_default() as g:
                names = build()
                graph_def = without_traces(g.as_graph_def())
            cases = list(forms.feeds())
            own = folder / f"{name}_v{version}"
            own.mkdir(parents=True, exist_ok=True)
            (own / "graph.pb").write_bytes(graph_def.SerializeToString(deterministic=True))
            write_cases(own, cases, run(graph_def, cases, names), names)


def go_on_without(folder, seed, count):
    """Called when TensorFlow did not end: a session cannot be stopped, so the program starts anew behind the graph."""
    print(f"{seed}: TensorFlow does not end", file=sys.stderr, flush=True)
    os.execv(sys.executable, [sys.executable, __file__, "--make", str(count), str(folder), "--first", str(seed + 1)])


def make(folder, first, count):
    made = skipped = nodes = 0
    for seed in range(first, first + count):
        watch = threading.Timer(90, go_on_without, (folder, seed, first + count - seed - 1))
        watch.daemon = True
        watch.start()
        try:
            n = make_one(seed, folder / f"{seed:04d}")
        except Exception as e:  # a graph that TensorFlow itself does not run
            print(f"{seed}: {type(e).__name__} {str(e)[:300]}", file=sys.stderr)
            n = None
        watch.cancel()
        made, skipped, nodes = made + (n is not None), skipped + (n is None), nodes + (n or 0)
    print(f"{made} graphs, {nodes / max(made, 1):.0f} nodes on average; {skipped} that TensorFlow does not run")


def answers_of(path, folder):
    """A graph from elsewhere, its maps shrunk to 12 pixels: flags both ways, numbers from -1 to 2."""
    graph_def, rng = read(path), np.random.default_rng(5)
    used = {i.lstrip("^").split(":")[0] for n in graph_def.node for i in n.input}
    names = [n.name for n in graph_def.node if n.name not in used and n.op not in ("Placeholder", "NoOp", "Const", "Exit") and not n.name.endswith("pred_id")]
    kinds = {}
    for n in graph_def.node:
        if n.op in ("Placeholder", "PlaceholderWithDefault"):
            for d in n.attr["shape"].shape.dim:
                d.size = 12 if d.size > 50 else d.size
            kinds[n.name] = (n.attr["dtype"].type, [max(d.size, 2) if d.size < 0 else d.size for d in n.attr["shape"].shape.dim])
    cases = []
    for i in range(4):
        feed = {}
        for name, (dtype, shape) in kinds.items():
            if dtype == tf.bool.as_datatype_enum:
                feed[name] = np.full(shape, i % 2 == 1)
            elif dtype == tf.int32.as_datatype_enum:
                feed[name] = np.full(shape, i - 1, "i4")
            else:
                feed[name] = (rng.normal(0, 1, shape) * (i + 1)).astype("f4").round(3)
        cases.append(feed)
    folder = folder / path.stem
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.pb").write_bytes(graph_def.SerializeToString(deterministic=True))
    write_cases(folder, cases, run(graph_def, cases, names), names)


def write_cases(folder, cases, answers, names):
    for i, (feed, outputs) in enumerate(zip(cases, answers)):
        case = {"inputs": {k + ":0": tensor(v) for k, v in feed.items()}, "outputs": {n + ":0": tensor(o) for n, o in zip(names, outputs)}}
        (folder / f"case_{i}.json").write_text(json.dumps(case))


def verify(folder):
    """Every file beside graph.pb must load and give graph.pb's answers. Where only TensorFlow's own rewriting of the file loses them
    (its optimizer has such faults around Switch), that is told apart."""
    files = bad = rewritten = 0
    for graph in sorted(folder.iterdir()):
        cases = [json.loads(p.read_text()) for p in sorted(graph.glob("case_*.json"))]
        feeds = [{k.split(":")[0]: array(t) for k, t in c["inputs"].items()} for c in cases]
        names = [n.split(":")[0] for n in cases[0]["outputs"]]
        for path in sorted(graph.glob("*.pb")):
            if path.name == "graph.pb":
                continue
            files += 1
            problem = difference_of(path, feeds, names, cases)
            if problem and not difference_of(path, feeds, names, cases, optimized=False):
                rewritten += 1
                print(f"{graph.name} {path.stem}: right as it is, behind TensorFlow's optimizer: {problem}")
            elif problem:
                bad += 1
                print(f"{graph.name} {path.stem}: {problem}")
    print(f"{files} files, {bad} that TensorFlow refuses or answers otherwise, {rewritten} that its optimizer makes it answer otherwise")
    return 1 if bad or not files else 0


def difference_of(path, feeds, names, cases, optimized=True):
    try:
        answers = run(read(path), feeds, names, optimized)
    except Exception as e:
        return " ".join(str(e).split())[:400]
    for i, (case, outputs) in enumerate(zip(cases, answers)):
        for name, got in zip(names, outputs):
            want = array(case["outputs"][name + ":0"])
            if got.shape != want.shape or not np.allclose(got, want, rtol=1e-4, atol=1e-5):
                return f"case {i} output {name} is {got.ravel()[:6]}, was {want.ravel()[:6]}"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--make", nargs=2, metavar=("N", "DIR"))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--verify", metavar="DIR")
    parser.add_argument("--answers", nargs="+", metavar=("DIR", "NAME.pb"))
    options = parser.parse_args()
    if options.answers:
        for path in options.answers[1:]:
            answers_of(pathlib.Path(path), pathlib.Path(options.answers[0]))
    if options.golden:
        make(OUT, 0, GOLDEN)
        make_forms(OUT)
    if options.make:
        make(pathlib.Path(options.make[1]), options.first, int(options.make[0]))
    if options.verify:
        sys.exit(verify(pathlib.Path(options.verify)))


if __name__ == "__main__":
    main()
