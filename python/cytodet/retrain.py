"""Retraining of a fake-quantized graph by TensorFlow's own gradients, with or without labels.

    from cytodet.retrain import retrain
    report = retrain("train.pb", "trained.pb", feeds, float_graph="float.pb", train_iter=200)

train.pb is what `cytodet quantize --fake-quant` wrote; `cytodet quantize trained.pb -o int8.pb` makes 8-bit layers of the result.
Needs TensorFlow 2 (tested with 2.15), which is not a requirement of this package.
"""
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Optional, Union

import numpy as np

Feed = dict[Any, Any]  # input name -> array
Loss = Callable[[Any, list[Any], Optional[list[Any]], Any], Any]


def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow
    except ImportError as error:
        raise RuntimeError("retraining needs TensorFlow: pip install tensorflow-cpu==2.15.1") from error
    return tensorflow


def _read(tf: Any, graph: str) -> Any:
    found = tf.compat.v1.GraphDef()
    with open(graph, "rb") as file:
        found.ParseFromString(file.read())
    return found


def _constant(tf: Any, node: Any) -> Any:
    return tf.make_ndarray(node.attr["value"].tensor)


def _base(name: str) -> str:
    return name.split(":")[0].lstrip("^")


def _outputs_of(graph: Any) -> list[str]:
    """Nodes that nobody reads, other than constants."""
    read = {_base(i) for node in graph.node for i in node.input}
    return [node.name for node in graph.node if node.name not in read and node.op not in ("Const", "NoOp", "Placeholder")]


class _Layer:
    """A layer whose input and constant filter go through FakeQuant nodes with constant ranges, by the names of those constants."""

    def __init__(self, name: str, rounded_input: str, rounded_filter: str, constants: list[str]) -> None:
        self.name, self.rounded_input, self.rounded_filter = name, rounded_input, rounded_filter
        self.filter, self.filter_ends, self.input_ends = constants[0], constants[1:3], constants[3:5]


def _layers(graph: Any) -> list[_Layer]:
    nodes = {node.name: node for node in graph.node}

    def behind(name: str) -> Any:
        node = nodes.get(_base(name))
        return nodes.get(_base(node.input[0])) if node is not None and node.op == "Reshape" else node

    found = []
    for node in graph.node:
        if node.op not in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
            continue
        x, w = nodes.get(_base(node.input[0])), behind(node.input[1])
        if x is None or w is None or not (x.op.startswith("FakeQuantWithMinMaxVars") and w.op.startswith("FakeQuantWithMinMaxVars")):
            continue
        constants = [_base(i) for i in [*w.input, *x.input[1:]]]
        if all(c in nodes and nodes[c].op == "Const" for c in constants):
            found.append(_Layer(node.name, x.name, w.name, constants))
    return found


def _biases(tf: Any, graph: Any, layers: list[_Layer]) -> list[str]:
    """By the constant's name: vectors that a BiasAdd or Add puts behind a layer."""
    nodes = {node.name: node for node in graph.node}
    behind = {layer.name for layer in layers}
    found = []
    for node in graph.node:
        if node.op in ("BiasAdd", "Add", "AddV2") and len(node.input) >= 2 and _base(node.input[0]) in behind:
            bias = nodes.get(_base(node.input[1]))
            if bias is not None and bias.op == "Const" and _constant(tf, bias).ndim == 1:
                found.append(bias.name)
    return found


def _without(tf: Any, graph: Any, names: set[str]) -> Any:
    """The graph with these constants as placeholders, which input_map replaces."""
    cut = tf.compat.v1.GraphDef()
    cut.CopyFrom(graph)
    for node in cut.node:
        if node.name in names:
            dtype = node.attr["dtype"].type
            node.op = "Placeholder"
            node.ClearField("attr")
            node.attr["dtype"].type = dtype
    return cut


class _LearnedStep:
    """A FakeQuant node as ops whose gradient with respect to its step is that of learned step size quantization (Esser et al. 2020):
    round(x / step) - x / step where x is inside, the lowest or highest code outside. The node becomes
    step * (c + stop_gradient(round(c) - c)), c = clip(x / step, lowest, highest); the zero point stays, so that 0 stays on the grid."""

    def __init__(self, tf: Any, graph: Any, node: Any, ends: list[str]) -> None:
        nodes = {n.name: n for n in graph.node}
        low, high = (_constant(tf, nodes[end]) for end in ends)
        bits = node.attr["num_bits"].i or 8
        first, last = int(node.attr["narrow_range"].b), 2**bits - 1
        self.name, self.ends = node.name + "/step", ends
        self.step = (high - low) / np.float32(last - first)
        zero = np.clip(np.round(first - low / np.where(self.step > 0, self.step, 1)), first, last)
        self.codes = ((first - zero).astype("f4"), (last - zero).astype("f4"))
        x, target = node.input[0], node.name

        def add(kind: str, name: str, inputs: list[str]) -> str:
            made = graph.node.add()
            made.op, made.name = kind, name
            made.input.extend(inputs)
            made.attr["T"].type = tf.float32.as_datatype_enum
            return name

        def constant(name: str, value: Any) -> str:
            made = graph.node.add()
            made.op, made.name = "Const", name
            made.attr["dtype"].type = tf.float32.as_datatype_enum
            made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype=tf.float32))
            return name

        lowest, highest = constant(target + "/lowest", self.codes[0]), constant(target + "/highest", self.codes[1])
        constant(self.name, self.step)
        share = add("RealDiv", target + "/share", [x, self.name])
        inside = add("Minimum", target + "/inside", [add("Maximum", target + "/above", [share, lowest]), highest])
        change = add("StopGradient", target + "/change", [add("Sub", target + "/off", [add("Round", target + "/code", [inside]), inside])])
        code = add("AddV2", target + "/kept", [inside, change])
        node.op = "Mul"
        del node.input[:]
        node.input.extend([code, self.name])
        node.ClearField("attr")
        node.attr["T"].type = tf.float32.as_datatype_enum

    def trained(self, tf: Any, numbers: float) -> tuple[Any, Any]:
        """(variable, step): the step times a factor whose gradient is divided by sqrt(numbers * largest code)."""
        raw = tf.compat.v1.get_variable("trained/" + self.name, initializer=tf.constant(1.0))
        share = 1.0 / math.sqrt(max(1.0, numbers * float(np.max(self.codes[1]))))
        scaled = raw * share
        return raw, (scaled + tf.stop_gradient(raw - scaled)) * tf.constant(self.step.astype("f4"))


def _import(tf: Any, graph: Any, outputs: Sequence[str], replaced: dict[str, Any], inputs: dict[str, Any]) -> list[Any]:
    """Tensors of the outputs, with some constants replaced and some placeholders fed by tensors."""
    mapping = {f"{name}:0": value for name, value in replaced.items()}
    mapping.update({f"{name}:0": value for name, value in inputs.items()})
    found: list[Any] = tf.graph_util.import_graph_def(_without(tf, graph, set(replaced)), input_map=mapping,
                                                      return_elements=[o if ":" in o else o + ":0" for o in outputs], name="")
    return found


def _batches(feeds: list[Feed], seed: int) -> Iterator[Feed]:
    """The feeds over and over, each round in another order."""
    random = np.random.RandomState(seed)
    while True:
        for at in random.permutation(len(feeds)):
            yield feeds[at]


def _feeds_of(data: Union[str, "os.PathLike[str]", Sequence[Feed]]) -> list[Feed]:
    """A list of dicts: the list itself, or of a folder the feeds (.json) as `cytodet infer` takes them, or the arrays (.npy) that
    `cytodet quantize --dump-feeds` writes, of the network's only input."""
    if not isinstance(data, (str, os.PathLike)):
        return list(data)
    arrays = [name for name in sorted(os.listdir(data)) if name.endswith(".npy")]
    if arrays:
        return [{None: np.load(os.path.join(data, name), mmap_mode="r")} for name in arrays]
    types = {"float32": "f4", "float64": "f8", "int32": "i4", "int64": "i8", "uint8": "u1", "int8": "i1", "bool": "?"}
    found = []
    for name in sorted(os.listdir(data)):
        if not name.endswith(".json"):
            continue
        with open(os.path.join(data, name), encoding="utf-8") as file:
            inputs = json.load(file)["inputs"]
        found.append({key: np.asarray(t["data"], types[t["dtype"]]).reshape(t["shape"]) for key, t in inputs.items()})
    return found


def distillation(tf: Any, got: list[Any], wanted: Optional[list[Any]], _: Any) -> Any:
    """Mean over outputs of the squared distance to the float network's, each divided by the mean square of the latter."""
    assert wanted is not None
    terms = [tf.reduce_mean(tf.math.squared_difference(g, w)) / (tf.reduce_mean(tf.square(w)) + 1e-12) for g, w in zip(got, wanted)]
    return tf.add_n(terms) / len(terms)


def cross_entropy(tf: Any, got: list[Any], _: Optional[list[Any]], labels: Any) -> Any:
    """Of the first output, which is logits [n, classes], against labels [n]."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=got[0]))


LOSSES: dict[str, Loss] = {"distillation": distillation, "cross_entropy": cross_entropy}


class Report:
    """What a retraining did: losses (held-back loss by step), best_step, first_loss, best_loss, stopped (why, where it was), limit
    (the average loss that stops it)."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}
        self.best_step, self.stopped = 0, ""
        self.first_loss = self.best_loss = self.limit = math.nan

    def __repr__(self) -> str:
        end = f", stopped: {self.stopped}" if self.stopped else ""
        return f"<retrain: loss {self.first_loss:.6g} -> {self.best_loss:.6g} at step {self.best_step}{end}>"


class _Trainer:
    def __init__(self, tf: Any, graph: Any, float_graph: Any, outputs: Sequence[str], example: Feed, options: dict[str, Any]) -> None:
        self.tf, self.graph, self.options = tf, graph, options
        self.layers = _layers(graph)
        if not self.layers:
            raise ValueError("the graph has no fake-quantized layers: make it with cytodet quantize --fake-quant")
        self.labels = options["labels_key"]
        v1 = tf.compat.v1
        self.session_graph = tf.Graph()
        with self.session_graph.as_default():
            v1.set_random_seed(options["seed"])
            self.inputs = {k: v1.placeholder(np.asarray(v).dtype, np.shape(v), name=f"fed/{k}") for k, v in example.items()}
            fed = {k: v for k, v in self.inputs.items() if k != self.labels}
            with tf.name_scope("float"):
                wanted = _import(tf, float_graph, outputs, {}, fed) if float_graph is not None else None
            self._make_variables()
            got = _import(tf, self.computed, outputs, self.replaced, fed)
            self.loss = options["loss"](tf, got, [tf.stop_gradient(w) for w in wanted] if wanted else None,
                                        self.inputs.get(self.labels))
            optimizer = v1.train.RMSPropOptimizer(self.rate(), decay=0.9, momentum=options["momentum"], epsilon=1e-10)
            gradients = optimizer.compute_gradients(self.loss, list(self.trained.values()))
            self.step = optimizer.apply_gradients([(g, v) for g, v in gradients if g is not None])
            self.saver = v1.train.Saver(max_to_keep=3)
            config = v1.ConfigProto(intra_op_parallelism_threads=options["threads"], inter_op_parallelism_threads=1)
            self.session = v1.Session(config=config)
            self.session.run(v1.global_variables_initializer())

    def rate(self) -> Any:
        self.learning_rate = self.tf.compat.v1.placeholder_with_default(self.options["learning_rate"], [], name="learning_rate")
        return self.learning_rate

    def _make_variables(self) -> None:
        tf, nodes = self.tf, {node.name: node for node in self.graph.node}
        self.replaced: dict[str, Any] = {}
        self.trained: dict[str, Any] = {}
        self.steps: list[_LearnedStep] = []
        self.computed = tf.compat.v1.GraphDef()
        self.computed.CopyFrom(self.graph)
        computed = {node.name: node for node in self.computed.node}
        v1 = tf.compat.v1

        def variable(name: str) -> Any:
            value = _constant(tf, nodes[name])
            # A number moves in steps of its own magnitude, whatever that is.
            scale = float(np.sqrt(np.mean(np.square(value)))) or 1.0
            raw = v1.get_variable("trained/" + name.replace(":", "_"), initializer=tf.constant(value / scale))
            self.trained[name] = raw
            return raw * scale

        def learned(rounded: str, ends: list[str], numbers: float) -> None:
            if any(step.ends == ends for step in self.steps):  # layers that read one value
                return
            step = _LearnedStep(tf, self.computed, computed[rounded], ends)
            self.steps.append(step)
            self.trained[step.name], self.replaced[step.name] = step.trained(tf, numbers)

        for layer in self.layers:
            if "weights" in self.options["learn"]:
                self.replaced[layer.filter] = variable(layer.filter)
            if "ranges" in self.options["learn"]:
                learned(layer.rounded_input, layer.input_ends, 1e4)
            if "weight_ranges" in self.options["learn"]:
                learned(layer.rounded_filter, layer.filter_ends, _constant(tf, nodes[layer.filter]).size)
        if "biases" in self.options["learn"]:
            for name in _biases(tf, self.graph, self.layers):
                self.replaced[name] = variable(name)

    def _feed(self, sample: Feed) -> Feed:
        return {self.inputs[key]: value for key, value in sample.items()}

    def mean_loss(self, samples: list[Feed]) -> float:
        return float(np.mean([self.session.run(self.loss, self._feed(s)) for s in samples]))

    def train(self, sample: Feed, rate: float) -> float:
        feed = self._feed(sample)
        feed[self.learning_rate] = rate
        return float(self.session.run([self.step, self.loss], feed)[1])

    def trained_graph(self) -> Any:
        tf = self.tf
        values = dict(zip(self.replaced, self.session.run(list(self.replaced.values()))))
        for step in self.steps:
            for end, code in zip(step.ends, step.codes):
                values[end] = values[step.name] * code
        result = tf.compat.v1.GraphDef()
        result.CopyFrom(self.graph)
        for node in result.node:
            if node.name in values:
                shape = _constant(tf, node).shape
                node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values[node.name].reshape(shape), dtype=tf.float32))
        return result


def _write(path: str, content: bytes) -> None:
    """Aside, then in place."""
    folder = os.path.dirname(os.path.abspath(path))
    handle, partial = tempfile.mkstemp(dir=folder, prefix="cytodet-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def retrain(graph: Union[str, "os.PathLike[str]"], out: Union[str, "os.PathLike[str]"],
            data: Union[str, "os.PathLike[str]", Sequence[Feed]], *, float_graph: Union[str, "os.PathLike[str]", None] = None,
            outputs: Optional[Sequence[str]] = None, loss: Union[str, Loss] = "distillation", labels_key: str = "labels",
            learn: Sequence[str] = ("weights", "biases", "ranges"), train_iter: int = 100, learning_rate: float = 1e-4,
            momentum: float = 0.9, save_interval: int = 25, held_back: int = 4, checkpoints: Optional[str] = None,
            events: Optional[str] = None, seed: int = 1, threads: int = 0,
            progress: Optional[Callable[[int, float], None]] = None) -> Report:
    """Trains the constants of a fake-quantized graph, and writes the graph with those of the best step.

    graph: path of what `cytodet quantize --fake-quant` wrote. out: path of the result, a graph of the same form; may not be `graph`.
    data: list of feeds, dicts of input name -> array, all of one shape (a batch each); or a folder of feeds: .json as `cytodet
    infer` takes them, or .npy of `cytodet quantize --dump-feeds`. float_graph: path of the network that distillation follows. outputs: names to compare (default: nodes that
    nobody reads). loss: "distillation", which needs no labels; "cross_entropy" on the first output and feeds[labels_key]; or a
    callable (tf, outputs, float outputs or None, labels or None) -> scalar tensor.
    learn: of "weights", "biases", "ranges" (of layers' inputs) and "weight_ranges", ranges by learned step sizes (Esser et al. 2020,
    "Learned Step Size Quantization").
    train_iter: steps; with 0 the result is the graph as it is. learning_rate: of RMSProp (decay 0.9, `momentum`), falling to 0 as
    half a cosine; in units of each constant's root mean square. save_interval: steps between measurements on the `held_back` feeds,
    which are not trained on, and checkpoints. checkpoints: folder; a run that finds one of its own there goes on from it.
    events: folder of TensorBoard's event file. seed: of the order. threads: 0: all. progress: callable (step, loss).

    Returns a Report. A loss that is not finite, or ten times what it was, stops the run: the best step so far is written, and
    Report.stopped says why. Raises ValueError for what cannot be trained, OSError for files.
    """
    tf = _tensorflow()
    graph, out = os.fspath(graph), os.fspath(out)
    if os.path.exists(out) and os.path.samefile(graph, out):
        raise ValueError(f"{out} is the graph that is trained: choose another name")
    unknown = set(learn) - {"weights", "biases", "ranges", "weight_ranges"}
    if unknown:
        raise ValueError(f"learn holds {', '.join(sorted(unknown))}: known are weights, biases, ranges and weight_ranges")
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"loss is {loss}: known are {', '.join(LOSSES)}")
        if loss == "distillation" and float_graph is None:
            raise ValueError("distillation needs float_graph, the network that is followed")
        loss = LOSSES[loss]
    source = _read(tf, graph)
    feeds = _feeds_of(data)
    if feeds and None in feeds[0]:
        inputs = [node.name for node in source.node if node.op == "Placeholder"]
        if len(inputs) != 1:
            raise ValueError(f"the graph has {len(inputs)} inputs: give feeds by name instead of arrays")
        feeds = [{inputs[0]: feed[None]} for feed in feeds]
    if len(feeds) < 2:
        raise ValueError(f"{len(feeds)} feeds: at least 2 are needed, one of them to measure on")
    held = feeds[::max(1, len(feeds) // max(1, min(held_back, len(feeds) // 2)))][:max(1, min(held_back, len(feeds) // 2))]
    kept = {id(f) for f in held}
    trained_on = [f for f in feeds if id(f) not in kept]
    options = {"loss": loss, "labels_key": labels_key, "learn": tuple(learn), "learning_rate": float(learning_rate),
               "momentum": float(momentum), "seed": int(seed), "threads": int(threads)}
    trainer = _Trainer(tf, source, _read(tf, os.fspath(float_graph)) if float_graph else None, outputs or _outputs_of(source),
                       feeds[0], options)
    return _run(tf, trainer, trained_on, held, out, train_iter, float(learning_rate), save_interval, checkpoints, events, seed, progress)


def _run(tf: Any, trainer: _Trainer, trained_on: list[Feed], held: list[Feed], out: str, train_iter: int, learning_rate: float,
         save_interval: int, checkpoints: Optional[str], events: Optional[str], seed: int,
         progress: Optional[Callable[[int, float], None]]) -> Report:
    report = Report()
    start, best = 0, trainer.trained_graph().SerializeToString()
    state_file = os.path.join(checkpoints, "retrain.json") if checkpoints else ""
    report.first_loss = report.best_loss = trainer.mean_loss(held)
    report.losses[0] = report.first_loss
    if checkpoints:
        os.makedirs(checkpoints, exist_ok=True)
        start, best = _resume(trainer, checkpoints, state_file, report, best)
    writer = None
    if events:
        with trainer.session_graph.as_default():
            writer = tf.compat.v1.summary.FileWriter(events)
    # Single feeds differ much: ten times the largest of them at first, as an average over steps, is no noise any more.
    if start == 0:
        report.limit = 10 * max([report.first_loss, 1e-6] + [trainer.mean_loss([feed]) for feed in trained_on[:64]])
    limit = report.limit
    average = math.nan
    batches = _batches(trained_on, seed)
    for _ in range(start):
        next(batches)
    for step in range(start + 1, train_iter + 1):
        value = trainer.train(next(batches), learning_rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / train_iter)))
        if progress:
            progress(step, value)
        if writer:
            writer.add_summary(tf.compat.v1.Summary(value=[tf.compat.v1.Summary.Value(tag="loss", simple_value=value)]), step)
        average = value if math.isnan(average) else 0.9 * average + 0.1 * value
        if not math.isfinite(value) or average > limit:
            report.stopped = f"the loss is {value:.6g} at step {step}; at first single feeds had at most {limit / 10:.6g}"
            break
        if step % save_interval == 0 or step == train_iter:
            report.losses[step] = trainer.mean_loss(held)
            if report.losses[step] < report.best_loss:
                report.best_loss, report.best_step = report.losses[step], step
                best = trainer.trained_graph().SerializeToString()
            if checkpoints:
                _save(trainer, checkpoints, state_file, report, best, step)
    if writer:
        writer.close()
    _write(out, best)
    return report


def _save(trainer: _Trainer, checkpoints: str, state_file: str, report: Report, best: bytes, step: int) -> None:
    with trainer.session_graph.as_default():
        trainer.saver.save(trainer.session, os.path.join(checkpoints, "retrain"), global_step=step, write_meta_graph=False)
    _write(os.path.join(checkpoints, "best.pb"), best)
    state = {"step": step, "best_step": report.best_step, "best_loss": report.best_loss, "first_loss": report.first_loss, "limit": report.limit,
             "losses": {str(k): v for k, v in report.losses.items()}}
    _write(state_file, json.dumps(state).encode())


def _resume(trainer: _Trainer, checkpoints: str, state_file: str, report: Report, best: bytes) -> tuple[int, bytes]:
    """The step to go on from, and the best graph so far."""
    if not os.path.exists(state_file):
        return 0, best
    with open(state_file, encoding="utf-8") as file:
        state = json.load(file)
    if not math.isclose(state["first_loss"], report.first_loss, rel_tol=1e-3):
        raise ValueError(f"{checkpoints} holds checkpoints of another retraining: name another folder, or remove it")
    with trainer.session_graph.as_default():
        trainer.saver.restore(trainer.session, os.path.join(checkpoints, f"retrain-{state['step']}"))
    report.best_step, report.best_loss, report.limit = state["best_step"], state["best_loss"], state["limit"]
    report.losses = {int(k): v for k, v in state["losses"].items()}
    with open(os.path.join(checkpoints, "best.pb"), "rb") as file:
        return state["step"], file.read()
