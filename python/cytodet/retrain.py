"""Retraining of a fake-quantized graph by TensorFlow's own gradients, with or without labels.

    from cytodet.retrain import retrain
    report = retrain("train.pb", "trained.pb", feeds, float_graph="float.pb", train_iter=200)

train.pb is what `cytodet quantize --fake-quant` wrote; `cytodet quantize trained.pb -o int8.pb` makes 8-bit layers of the result.
`python -m cytodet.retrain --help` does all of it from a command line, by the options of AMCT's resnet-50_v1_retrain.py.

Needs TensorFlow 2 (tested with 2.15), which is not a requirement of this package.
"""
import hashlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import numpy as np

from cytodet import _retrain_feeds, _retrain_graph
from cytodet._retrain_feeds import Feed, box_targets
from cytodet._retrain_losses import LOSSES, Loss, cross_entropy, detection, distillation

__all__ = ["LOSSES", "Feed", "Loss", "Report", "box_targets", "cross_entropy", "detection", "distillation", "retrain"]


class Report:
    """What a retraining did: losses (held-back loss by step), best_step, first_loss, best_loss, stopped (why, where it was), limit
    (the average loss that stops it), steps (that were made)."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}
        self.best_step, self.steps, self.stopped = 0, 0, ""
        self.first_loss = self.best_loss = self.limit = math.nan

    def __repr__(self) -> str:
        end = f", stopped: {self.stopped}" if self.stopped else ""
        return f"<retrain: loss {self.first_loss:.6g} -> {self.best_loss:.6g} at step {self.best_step}{end}>"


class _Trainer:
    def __init__(self, tf: Any, graph: Any, float_graph: Any, outputs: Sequence[str], example: Feed, options: dict[str, Any]) -> None:
        self.tf, self.graph, self.options = tf, graph, options
        self.layers = _retrain_graph.layers(graph)
        if not self.layers:
            raise ValueError("the graph has no fake-quantized layers: make it with cytodet quantize --fake-quant")
        self.labels = options["labels_key"]
        self.filters = {layer.filter for layer in self.layers}
        self.stacks = options["batch_size"] > 1 and _retrain_graph.has_open_batch(graph)
        v1 = tf.compat.v1
        self.session_graph = tf.Graph()
        with self.session_graph.as_default():
            v1.set_random_seed(options["seed"])
            shapes = {k: self._shape_of(k, np.shape(v)) for k, v in example.items()}
            self.inputs = {k: v1.placeholder(np.asarray(v).dtype, shapes[k], name=f"fed/{k}") for k, v in example.items()}
            fed = {k: v for k, v in self.inputs.items() if k != self.labels}
            with tf.name_scope("float"):
                wanted = _retrain_graph.import_graph(tf, float_graph, outputs, {}, fed) if float_graph is not None else None
            self._make_variables()
            got = _retrain_graph.import_graph(tf, self.computed, outputs, self.replaced, fed)
            self.plain_loss = options["loss"](tf, got, [tf.stop_gradient(w) for w in wanted] if wanted else None,
                                              self.inputs.get(self.labels))
            weights = [value for name, value in self.replaced.items() if name in self.filters]
            self.l2_loss = options["weight_decay"] * tf.add_n([tf.nn.l2_loss(w) for w in weights]) if weights else tf.constant(0.0)
            self.loss = self.plain_loss + self.l2_loss
            optimizer = v1.train.RMSPropOptimizer(self.rate(), decay=0.9, momentum=options["momentum"], epsilon=1e-10)
            gradients = [(g, v) for g, v in optimizer.compute_gradients(self.loss, list(self.trained.values())) if g is not None]
            self.step = optimizer.apply_gradients(gradients)
            # Of networks whose batch is fixed: gradients of single feeds, and the step by their mean.
            self.gradients = [tf.convert_to_tensor(g) for g, _ in gradients]
            self.means = [v1.placeholder(g.dtype, g.shape) for g in self.gradients]
            self.step_by_means = optimizer.apply_gradients(zip(self.means, [v for _, v in gradients]))
            self.saver = v1.train.Saver(max_to_keep=3)
            config = v1.ConfigProto(intra_op_parallelism_threads=options["threads"], inter_op_parallelism_threads=1)
            self.session = v1.Session(config=config)
            self.session.run(v1.global_variables_initializer())

    def _shape_of(self, key: Any, shape: Sequence[int]) -> list[Optional[int]]:
        """Of a feed: its own, but for the batch where the network leaves that open."""
        return [None, *shape[1:]] if self.stacks and len(shape) else list(shape)

    def rate(self) -> Any:
        self.learning_rate = self.tf.compat.v1.placeholder_with_default(self.options["learning_rate"], [], name="learning_rate")
        return self.learning_rate

    def _make_variables(self) -> None:
        tf, nodes = self.tf, {node.name: node for node in self.graph.node}
        self.replaced: dict[str, Any] = {}
        self.trained: dict[str, Any] = {}
        self.steps: list[_retrain_graph.LearnedStep] = []
        self.computed = tf.compat.v1.GraphDef()
        self.computed.CopyFrom(self.graph)
        computed = {node.name: node for node in self.computed.node}
        v1 = tf.compat.v1

        def variable(name: str) -> Any:
            value = _retrain_graph.constant(tf, nodes[name])
            # A number moves in steps of its own magnitude, whatever that is.
            scale = float(np.sqrt(np.mean(np.square(value)))) or 1.0
            raw = v1.get_variable("trained/" + name.replace(":", "_"), initializer=tf.constant(value / scale))
            self.trained[name] = raw
            return raw * scale

        def learned(rounded: str, ends: list[str], numbers: float) -> None:
            if any(step.ends == ends for step in self.steps):  # layers that read one value
                return
            step = _retrain_graph.LearnedStep(tf, self.computed, computed[rounded], ends)
            self.steps.append(step)
            self.trained[step.name], self.replaced[step.name] = step.trained(tf, numbers)

        for layer in self.layers:
            if "weights" in self.options["learn"]:
                self.replaced[layer.filter] = variable(layer.filter)
            if "ranges" in self.options["learn"]:
                learned(layer.rounded_input, layer.input_ends, 1e4)
            if "weight_ranges" in self.options["learn"]:
                learned(layer.rounded_filter, layer.filter_ends, _retrain_graph.constant(tf, nodes[layer.filter]).size)
        if "biases" in self.options["learn"]:
            for name in _retrain_graph.biases(tf, self.graph, self.layers):
                self.replaced[name] = variable(name)

    def _feed(self, samples: list[Feed]) -> Feed:
        """Of one run: one sample, or several where the network takes them at once."""
        if len(samples) == 1:
            return {self.inputs[key]: value for key, value in samples[0].items()}
        return {self.inputs[key]: np.concatenate([sample[key] for sample in samples]) for key in samples[0]}

    def mean_loss(self, samples: list[Feed]) -> float:
        return float(np.mean([self.session.run(self.plain_loss, self._feed([_retrain_feeds.loaded(s)])) for s in samples]))

    def train(self, samples: list[Feed], rate: float) -> tuple[float, float]:
        """One step; the loss that the labels or the float network give, and that of the weights' size."""
        if len(samples) == 1 or self.stacks:
            feed = self._feed(samples)
            feed[self.learning_rate] = rate
            _, loss, l2_loss = self.session.run([self.step, self.plain_loss, self.l2_loss], feed)
            return float(loss), float(l2_loss)
        losses, sums = [], None
        for sample in samples:
            loss, l2_loss, found = self.session.run([self.plain_loss, self.l2_loss, self.gradients], self._feed([sample]))
            losses.append(float(loss))
            sums = found if sums is None else [a + b for a, b in zip(sums, found)]
        feed = {mean: value / len(samples) for mean, value in zip(self.means, sums or [])}
        feed[self.learning_rate] = rate
        self.session.run(self.step_by_means, feed)
        return float(np.mean(losses)), float(l2_loss)

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
                shape = _retrain_graph.constant(tf, node).shape
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
            learn: Sequence[str] = ("weights", "biases", "ranges"), train_iter: int = 100, batch_size: int = 1,
            learning_rate: float = 1e-4, momentum: float = 0.9, weight_decay: float = 0.0, save_interval: int = 25, held_back: int = 4,
            repeat_count: int = 0, buffer_size: int = 0, num_parallel_reads: int = 1, checkpoints: Optional[str] = None,
            checkpoint_name: str = "retrain", events: Optional[str] = None, seed: int = 1, threads: int = 0,
            progress: Optional[Callable[[int, float], None]] = None) -> Report:
    """Trains the constants of a fake-quantized graph, and writes the graph with those of the best step.

    graph: path of what `cytodet quantize --fake-quant` wrote. out: path of the result, a graph of the same form; may not be `graph`.
    data: list of feeds, dicts of input name -> array, all of one shape (a batch each); or a folder of feeds: .json as `cytodet
    infer` takes them, or what `cytodet quantize --dump-feeds` writes, labels included. float_graph: path of the network that
    distillation follows. outputs: names to compare (default: nodes that nobody reads; of a model file beside the graph, its own).
    loss: "distillation", which needs no labels; "cross_entropy" on the first output and feeds[labels_key], [n]; "detection", focal
    and box loss on EfficientDet's heads and box_targets(); or a callable (tf, outputs, float outputs or None, labels or None) ->
    scalar tensor.
    learn: of "weights", "biases", "ranges" (of layers' inputs) and "weight_ranges", ranges by learned step sizes (Esser et al. 2020,
    "Learned Step Size Quantization").
    train_iter: steps; with 0 the result is the graph as it is. batch_size: feeds of a step. learning_rate: of RMSProp (decay 0.9,
    `momentum`), falling to 0 as half a cosine; in units of each constant's root mean square. weight_decay: times half the square of
    all trained filters, added to the loss. repeat_count: rounds over the feeds, after which training ends; 0: without end.
    buffer_size: feeds that the next is drawn from; 0: all. num_parallel_reads: threads that read feeds. save_interval: steps between
    measurements on the `held_back` feeds, which are not trained on, and checkpoints. checkpoints: folder; a run that finds its own
    there, of the same graphs, feeds and options, goes on from it. checkpoint_name: begins their files' names. events: folder of
    TensorBoard's event file. seed: of the order. threads: 0: all. progress: callable (step, loss).

    Returns a Report. A loss that is not finite, or ten times what it was, stops the run: the best step so far is written, and
    Report.stopped says why. Raises ValueError for what cannot be trained, OSError for files.
    """
    tf = _retrain_graph.load_tensorflow()
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
    for name, value, least in (("batch_size", batch_size, 1), ("train_iter", train_iter, 0), ("save_interval", save_interval, 1),
                               ("repeat_count", repeat_count, 0), ("buffer_size", buffer_size, 0)):
        if value < least:
            raise ValueError(f"{name} is {value}: must be at least {least}")
    source = _retrain_graph.read(tf, graph)
    feeds = _named_feeds(source, _retrain_feeds.feeds_of(data, labels_key))
    if loss in ("cross_entropy", "detection"):
        if not any(labels_key in feed for feed in feeds):
            raise ValueError(f"{loss} needs labels, and no feed has any")
        feeds = [feed for feed in feeds if labels_key in feed]
    else:
        feeds = feeds if callable(loss) else [{k: v for k, v in feed.items() if k != labels_key} for feed in feeds]
    if len(feeds) < 2:
        raise ValueError(f"{len(feeds)} feeds: at least 2 are needed, one of them to measure on")
    held_count = max(1, min(held_back, len(feeds) // 2))
    held = feeds[::max(1, len(feeds) // held_count)][:held_count]
    kept = {id(f) for f in held}
    trained_on = [f for f in feeds if id(f) not in kept]
    options = {"loss": LOSSES[loss] if isinstance(loss, str) else loss, "labels_key": labels_key, "learn": tuple(learn),
               "learning_rate": float(learning_rate), "momentum": float(momentum), "weight_decay": float(weight_decay),
               "batch_size": int(batch_size), "seed": int(seed), "threads": int(threads)}
    names = list(outputs or _outputs_of_model(graph, source) or _retrain_graph.outputs_of(source))
    trainer = _Trainer(tf, source, _retrain_graph.read(tf, os.fspath(float_graph)) if float_graph else None, names, _retrain_feeds.loaded(feeds[0]), options)
    settings = {"graph": _hash_of([source.SerializeToString(deterministic=True)]), "outputs": names,
                "loss": loss if isinstance(loss, str) else getattr(loss, "__qualname__", "callable"), "learn": list(learn),
                "train_iter": train_iter, "batch_size": batch_size, "learning_rate": learning_rate, "momentum": momentum,
                "weight_decay": weight_decay, "save_interval": save_interval, "held_back": held_back, "repeat_count": repeat_count,
                "buffer_size": buffer_size, "seed": seed}
    if float_graph:
        settings["float_graph"] = _hash_of([_retrain_graph.read(tf, os.fspath(float_graph)).SerializeToString(deterministic=True)])
    if checkpoints:
        settings["data"] = _hash_of(part for feed in feeds for key, value in _retrain_feeds.loaded(feed).items() for part in
                                    (str(key).encode(), str(value.shape).encode(), np.ascontiguousarray(value).tobytes()))
    run = _Run(tf, trainer, trained_on, held, settings, checkpoints, checkpoint_name, events)
    return run.train(out, num_parallel_reads, progress)


def _hash_of(parts: Any) -> str:
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return hashed.hexdigest()


def _named_feeds(source: Any, feeds: list[Feed]) -> list[Feed]:
    """Feeds of arrays alone get the name of the graph's only input."""
    if not feeds or None not in feeds[0]:
        return feeds
    inputs = [node.name for node in source.node if node.op == "Placeholder"]
    if len(inputs) != 1:
        raise ValueError(f"the graph has {len(inputs)} inputs: give feeds by name instead of arrays")
    return [{inputs[0] if key is None else key: value for key, value in feed.items()} for feed in feeds]


def _outputs_of_model(graph: str, source: Any) -> list[str]:
    """What the model file beside the graph says that is fetched, where there is one."""
    path = os.path.splitext(graph)[0] + ".json"
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        model = json.load(file)
    named = [*model.get("class_logits", []), *model.get("box_deltas", [])] or [model.get("output", "")]
    nodes = {node.name for node in source.node}
    return named if all(_retrain_graph.base(name) in nodes for name in named) else []


class _Run:
    """A training from its first step, or from its last checkpoint, to the graph of its best step."""

    def __init__(self, tf: Any, trainer: _Trainer, trained_on: list[Feed], held: list[Feed], settings: dict[str, Any],
                 checkpoints: Optional[str], checkpoint_name: str, events: Optional[str]) -> None:
        self.tf, self.trainer, self.trained_on, self.held, self.settings = tf, trainer, trained_on, held, settings
        self.checkpoints, self.checkpoint_name, self.events = checkpoints, checkpoint_name, events
        self.report = Report()
        self.start, self.best = 0, trainer.trained_graph().SerializeToString()
        self.state_file = os.path.join(checkpoints, "retrain.json") if checkpoints else ""

    def train(self, out: str, readers: int, progress: Optional[Callable[[int, float], None]]) -> Report:
        o, report, trainer = self.settings, self.report, self.trainer
        if not self._resume():
            report.first_loss = report.best_loss = report.losses[0] = trainer.mean_loss(self.held)
            # Single feeds differ much: ten times the largest of them at first, as an average over steps, is no noise any more.
            report.limit = 10 * max([report.first_loss, 1e-6] + [trainer.mean_loss([feed]) for feed in self.trained_on[:64]])
            if self.checkpoints:
                os.makedirs(self.checkpoints, exist_ok=True)
                self._save(0)
        writer = self._event_writer()
        average = math.nan
        groups = _retrain_feeds.groups(_retrain_feeds.order(len(self.trained_on), o["buffer_size"], o["repeat_count"], o["seed"]), o["batch_size"])
        for _ in range(self.start):
            next(groups, None)
        last = report.steps = self.start
        for step, batch in zip(range(self.start + 1, o["train_iter"] + 1), _retrain_feeds.batches(self.trained_on, groups, readers)):
            rate = o["learning_rate"] * 0.5 * (1 + math.cos(math.pi * (step - 1) / o["train_iter"]))
            value, l2_loss = trainer.train(batch, rate)
            report.steps = step
            if progress:
                progress(step, value)
            if writer:
                self._tell(writer, step, value, l2_loss)
            average = value if math.isnan(average) else 0.9 * average + 0.1 * value
            if not math.isfinite(value) or average > report.limit:
                report.stopped = f"the loss is {value:.6g} at step {step}; at first single feeds had at most {report.limit / 10:.6g}"
                break
            if step % o["save_interval"] == 0 or step == o["train_iter"]:
                self._measure(step)
                last = step
        if report.steps != last and not report.stopped:  # the feeds are used up
            self._measure(report.steps)
        if writer:
            writer.close()
        _write(out, self.best)
        return report

    def _measure(self, step: int) -> None:
        report = self.report
        report.losses[step] = self.trainer.mean_loss(self.held)
        if report.losses[step] < report.best_loss:
            report.best_loss, report.best_step = report.losses[step], step
            self.best = self.trainer.trained_graph().SerializeToString()
        if self.checkpoints:
            self._save(step)

    def _event_writer(self) -> Any:
        if not self.events:
            return None
        with self.trainer.session_graph.as_default():
            return self.tf.compat.v1.summary.FileWriter(self.events)

    def _tell(self, writer: Any, step: int, value: float, l2_loss: float) -> None:
        v1 = self.tf.compat.v1
        tags = {"loss": value + l2_loss, "l2_loss": l2_loss, str(self.settings["loss"]): value}
        writer.add_summary(v1.Summary(value=[v1.Summary.Value(tag=tag, simple_value=v) for tag, v in tags.items()]), step)

    def _best_file(self) -> str:
        return os.path.join(str(self.checkpoints), f"{self.checkpoint_name}-best-{self.report.best_step}.pb")

    def _save(self, step: int) -> None:
        """The state is written last, so that a kill at any time leaves the one before it whole."""
        folder, report = str(self.checkpoints), self.report
        with self.trainer.session_graph.as_default():
            self.trainer.saver.save(self.trainer.session, os.path.join(folder, self.checkpoint_name), global_step=step,
                                    write_meta_graph=False)
        _write(self._best_file(), self.best)
        state = {"settings": self.settings, "step": step, "best_step": report.best_step, "best_loss": report.best_loss,
                 "first_loss": report.first_loss, "limit": report.limit, "losses": {str(k): v for k, v in report.losses.items()}}
        _write(self.state_file, json.dumps(state, indent=1).encode())
        for name in os.listdir(folder):
            if name.startswith(f"{self.checkpoint_name}-best-") and name != os.path.basename(self._best_file()):
                os.unlink(os.path.join(folder, name))

    def _resume(self) -> bool:
        """Whether there was something to go on from."""
        if not self.checkpoints or not os.path.exists(self.state_file):
            return False
        with open(self.state_file, encoding="utf-8") as file:
            state = json.load(file)
        now = json.loads(json.dumps(self.settings))
        for key in sorted({*now, *state.get("settings", {})}):
            if now.get(key) != state.get("settings", {}).get(key):
                raise ValueError(f"{self.checkpoints} holds checkpoints of another retraining, with another {key}: name another "
                                 "folder, or remove it")
        with self.trainer.session_graph.as_default():
            self.trainer.saver.restore(self.trainer.session,
                                       os.path.join(self.checkpoints, f"{self.checkpoint_name}-{state['step']}"))
        report = self.report
        report.first_loss, report.best_step, report.best_loss = state["first_loss"], state["best_step"], state["best_loss"]
        report.limit, report.losses = state["limit"], {int(k): v for k, v in state["losses"].items()}
        with open(self._best_file(), "rb") as best:
            self.best = best.read()
        self.start = state["step"]
        return True


if __name__ == "__main__":
    from cytodet import _retrain_command
    sys.exit(_retrain_command.main())
