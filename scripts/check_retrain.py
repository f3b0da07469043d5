"""cytodet.retrain in TensorFlow: what it promises of its steps, and what retraining gives back of what few bits lose.

  steps     on a small network made here: 0 steps, resuming after a kill, divergence, batches, labels, the detector's loss
  cells     the shipped classifier with 4-bit weights, without labels: at least half of what 4 bits lost comes back
  command   python -m cytodet.retrain on it, with labels: its four lines and its files
  detector  the shipped detector with 4-bit weights, --images and --truth: AP drops by at most 0.01 with gptq, and after label-free
            retraining by at most 0.004

Loss of the classifier is the share of images whose best class is not that of the float network, and the distance of the
probabilities.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["steps", "cells", "command"], help="default: steps cells command")
    parser.add_argument("--cytodet", default=str(ROOT / "build/release/cytodet"))
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out/retrain")
    parser.add_argument("--rounding", default="nearest", help="of the classifier that is retrained")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--images", type=pathlib.Path, help="of detector")
    parser.add_argument("--truth", type=pathlib.Path, help="of detector")
    parser.add_argument("--detector-iterations", type=int, default=500)
    parser.add_argument("--detector-rate", type=float, default=1e-4)
    parser.add_argument("--minutes", type=float, default=15, help="of detector: the most that training may take on 2 cores")
    return parser.parse_args()


def expect(right, what):
    if not right:
        sys.exit(f"check_retrain: {what}")


# ------------------------------------------------------------------------------------------------ steps

def small_networks(tf, folder, open_batch):
    """train.pb and float.pb of a convolution, a mean and a matrix product; and their feeds, with labels."""
    random = np.random.RandomState(0)
    filters, matrix = random.randn(3, 3, 3, 16).astype("f4") * .3, random.randn(16, 4).astype("f4") * .5
    step = np.abs(filters).max((0, 1, 2)) / 7

    def graph(quantized):
        with tf.Graph().as_default() as g:
            x = tf.compat.v1.placeholder(tf.float32, [None if open_batch else 1, 8, 8, 3], name="x")
            w = np.round(filters / step) * step if quantized else filters
            m = np.round(matrix / .25) * .25 if quantized else matrix
            if quantized:
                x = tf.quantization.fake_quant_with_min_max_vars(x, tf.constant(-3.0), tf.constant(2.9765625), name="fx")
                ends = [tf.constant(-7 * step), tf.constant(7 * step)]
                w = tf.quantization.fake_quant_with_min_max_vars_per_channel(tf.constant(w, name="w"), *ends, 4, True, name="fw")
            y = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "SAME", name="conv"), tf.constant(random.randn(16).astype("f4") * 0)))
            y = tf.reduce_mean(y, [1, 2])
            if quantized:
                y = tf.quantization.fake_quant_with_min_max_vars(y, tf.constant(0.0), tf.constant(3.0), name="fy")
                m = tf.quantization.fake_quant_with_min_max_vars(tf.constant(m, name="m"), tf.constant(-1.75), tf.constant(1.75), 4, True)
            tf.linalg.matmul(y, m, name="logits")
            return g.as_graph_def()

    for name, quantized in (("train.pb", True), ("float.pb", False)):
        (folder / name).write_bytes(graph(quantized).SerializeToString())
    labelled = []
    for i in range(24):
        x = random.randn(1, 8, 8, 3).astype("f4")
        x[..., i % 3] += 1
        labelled.append({"x": x, "labels": np.asarray([i % 3], "i4")})
    return labelled


def weights_of(tf, path):
    g = tf.compat.v1.GraphDef()
    g.ParseFromString(path.read_bytes())
    return {n.name: tf.make_ndarray(n.attr["value"].tensor) for n in g.node if n.op == "Const"}


def same(a, b, off=0.0):
    return all(np.allclose(a[k], b[k], rtol=off, atol=off) for k in a)


_KILLED = """
import pickle, sys
from cytodet.retrain import retrain
feeds = pickle.load(open(sys.argv[1] + "/feeds.pickle", "rb"))
retrain(sys.argv[1] + "/train.pb", sys.argv[1] + "/killed.pb", feeds, float_graph=sys.argv[1] + "/float.pb", train_iter=60, save_interval=5,
        checkpoints=sys.argv[1] + "/killed", learning_rate=1e-2, progress=lambda step, loss: print(step, flush=True))
"""


def check_kill(retrain, folder, feeds, options):
    """A run that is killed goes on from its last checkpoint, and ends as one that was not."""
    import pickle
    (folder / "feeds.pickle").write_bytes(pickle.dumps(feeds))
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "python"))
    with subprocess.Popen([sys.executable, "-c", _KILLED, str(folder)], env=environment, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            if int(line) == 37:
                run.send_signal(signal.SIGKILL)
                break
    expect(not (folder / "killed.pb").exists() and (folder / "killed/retrain.json").exists(), "the run was not killed between its steps")
    steps = []
    report = retrain(folder / "train.pb", folder / "killed.pb", feeds, checkpoints=str(folder / "killed"),
                     progress=lambda step, _: steps.append(step), **options)
    expect(steps[0] == 36, f"the killed run begins again at step {steps[0]}, and its last checkpoint was of step 35")
    whole = retrain(folder / "train.pb", folder / "whole.pb", feeds, checkpoints=str(folder / "whole"), **options)
    expect(report.losses == whole.losses and (folder / "killed.pb").read_bytes() == (folder / "whole.pb").read_bytes(),
           "a run that was killed and gone on with ends otherwise than one that was not")
    for change, key in (({"learning_rate": 2e-2}, "learning_rate"), ({"seed": 2}, "seed"), ({}, "data")):
        try:
            changed = [dict(f, x=f["x"] + 1) for f in feeds] if not change else feeds
            retrain(folder / "train.pb", folder / "other.pb", changed, checkpoints=str(folder / "whole"), **{**options, **change})
            expect(False, f"checkpoints of another {key} are gone on with")
        except ValueError as error:
            expect(f"another {key}" in str(error), f"of another {key} is said: {error}")


def check_steps(o):
    import tensorflow as tf

    from cytodet import retrain as module
    retrain, folder = module.retrain, o.out / "steps"
    folder.mkdir(parents=True)
    feeds = small_networks(tf, folder, True)
    plain = [{"x": f["x"]} for f in feeds]
    train, float_graph = folder / "train.pb", folder / "float.pb"
    options = {"float_graph": float_graph, "train_iter": 60, "save_interval": 5, "learning_rate": 1e-2}

    still = retrain(train, folder / "still.pb", plain, **{**options, "train_iter": 0})
    expect(still.best_step == 0 and same(weights_of(tf, train), weights_of(tf, folder / "still.pb"), 1e-6), "0 steps change the graph")
    check_kill(retrain, folder, plain, options)
    trained = retrain(train, folder / "trained.pb", plain, events=str(folder / "events"), **options)
    expect(trained.best_loss < .5 * trained.first_loss, f"training leaves {trained.best_loss:.3g} of {trained.first_loss:.3g}")
    again = retrain(train, folder / "again.pb", plain, **options)
    expect(again.losses == trained.losses, "the same seed gives other losses")
    events = list((folder / "events").glob("events.out.tfevents.*"))
    tags = {v.tag for e in tf.compat.v1.train.summary_iterator(str(events[0])) for v in e.summary.value}
    expect(tags == {"loss", "l2_loss", "distillation"}, f"the events have {tags}")

    wild = retrain(train, folder / "wild.pb", plain, **{**options, "learning_rate": 1e3, "save_interval": 1})
    expect(wild.stopped and wild.steps < 60, "a training that diverges is not stopped")
    expect(wild.best_loss <= wild.first_loss and (wild.best_step or same(weights_of(tf, train), weights_of(tf, folder / "wild.pb"), 1e-6)),
           "what is kept of a training that diverges is not its best")

    labelled = retrain(train, folder / "labelled.pb", feeds, loss="cross_entropy", batch_size=4, **{**options, "float_graph": None})
    expect(labelled.best_loss < .7 * labelled.first_loss, f"labels leave {labelled.best_loss:.3g} of {labelled.first_loss:.3g}")
    once = retrain(train, folder / "once.pb", feeds, loss="cross_entropy", batch_size=4, repeat_count=1, buffer_size=6,
                   num_parallel_reads=3, **{**options, "float_graph": None})
    expect(once.steps == 5, f"one round over 20 feeds in batches of 4 takes {once.steps} steps")
    shrunk = retrain(train, folder / "shrunk.pb", plain, weight_decay=10.0, **options)
    norm = [np.square(weights_of(tf, folder / f"{name}.pb")["w"]).sum() for name in ("train", "shrunk")]
    expect(norm[1] < norm[0] or shrunk.best_step == 0, "weight decay does not shrink the filters")
    fixed = folder / "fixed"
    fixed.mkdir()
    small_networks(tf, fixed, False)
    one = {"float_graph": fixed / "float.pb", "train_iter": 4, "save_interval": 1, "batch_size": 4, "learning_rate": 1e-2}
    a = retrain(fixed / "train.pb", fixed / "out.pb", plain, **one)
    b = retrain(train, folder / "stacked.pb", plain, **{**one, "float_graph": float_graph})
    # The loss of a batch is divided by the mean square of all of its answers, that of single feeds by each one's.
    expect(abs(a.best_loss - b.best_loss) < .2 * b.first_loss, "batches of a fixed network are far from those of an open one")
    for wrong, part in (({"loss": "hinge"}, "hinge"), ({"learn": ["x"]}, "learn"), ({"batch_size": 0}, "batch_size"),
                        ({"loss": "cross_entropy"}, "labels")):
        try:
            retrain(train, folder / "wrong.pb", plain, **{**options, **wrong})
            expect(False, f"{wrong} is taken")
        except ValueError as error:
            expect(part in str(error), f"of {wrong} is said: {error}")
    check_detection_loss(tf, module)
    print("steps: as promised")


def check_detection_loss(tf, module):
    """The loss is least where the heads say what the targets do, and the targets are those of the nearest anchors."""
    anchors = np.asarray([[x, 16, 16, 16] for x in range(8, 64, 8)], "f4")
    targets = module.box_targets([[8, 8, 24, 24, 1], [100, 100, 104, 104, 0]], anchors)
    expect(targets[1, 0] == 1 and np.allclose(targets[1, 1:], 0), "a box on an anchor is not its target")
    expect((targets[:, 0] >= 0).sum() == 2, "a box that no anchor overlaps has none")
    expect((module.box_targets([], anchors)[:, 0] == -1).all(), "an image without boxes is not background")
    labels = np.stack([targets, targets])

    def loss(logit, shift):
        with tf.Graph().as_default(), tf.compat.v1.Session() as s:
            one = np.eye(3)[np.maximum(labels[..., 0], 0).astype(int)] * (labels[..., :1] >= 0)
            heads = [tf.constant((2 * one - 1)[:, None] * logit, tf.float32), tf.constant(labels[:, None, :, 1:] + shift, tf.float32)]
            return s.run(module.detection(tf, heads, None, tf.constant(labels)))

    expect(loss(8, 0) < 1e-3 < loss(0, 0) < loss(-4, 0) and loss(8, 0) < loss(8, .05) < loss(8, .5),
           "the detector's loss has another order")


# ------------------------------------------------------------------------------------------------ cells

def scores(program, model, images, out):
    """By image: (class, probability)."""
    import csv
    subprocess.run([program, "classify", "--model", model, images, "--format", "csv", "-o", out, "--quiet", "--top", "3"], check=True)
    with open(out, newline="", encoding="utf-8") as file:
        return {row["filename"]: (row["prediction"], float(row["score"])) for row in csv.DictReader(file)}


def loss_of(scored, wanted):
    other = sum(scored[k][0] != wanted[k][0] for k in wanted) / len(wanted)
    distance = sum(abs(scored[k][1] - wanted[k][1]) if scored[k][0] == wanted[k][0] else 1 for k in wanted) / len(wanted)
    return other, distance


def model_of(graph, like):
    """A model file beside a graph, as another one's."""
    made = json.loads(like.read_text())
    made["graph"] = graph.name
    graph.with_suffix(".json").write_text(json.dumps(made))
    return graph.with_suffix(".json")


def check_cells(o):
    from cytodet.retrain import retrain
    out = o.out / "cells"
    out.mkdir(parents=True)
    model, cells = ROOT / "models/classification/blood_cells.json", ROOT / "tests/data/cells"
    make = [o.cytodet, "quantize", model, "--images", cells / "calibration", "--weight-bits", "4", "--rounding", o.rounding,
            "--max-images", "100000", "--quiet"]
    subprocess.run([*make, "-o", out / "before.pb"], check=True)
    subprocess.run([*make, "-o", out / "train.pb", "--fake-quant", "--dump-feeds", out / "feeds"], check=True)
    options = {"float_graph": model.with_suffix(".pb"), "learning_rate": o.rate}
    still = retrain(out / "train.pb", out / "still.pb", out / "feeds", train_iter=0, **options)
    report = retrain(out / "train.pb", out / "trained.pb", out / "feeds", train_iter=o.iterations, checkpoints=str(out / "checkpoints"),
                     **options)
    print(report)
    for name in ("still", "trained"):
        trained = model_of(out / f"{name}.pb", out / "train.json")
        subprocess.run([o.cytodet, "quantize", trained, "-o", out / f"{name}_int8.pb", "--quiet"], check=True)
    wanted = scores(o.cytodet, model, cells / "val", out / "float.csv")
    losses = {name: loss_of(scores(o.cytodet, out / f"{file}.json", cells / "val", out / f"{file}.csv"), wanted)
              for name, file in (("4 bits", "before"), ("0 steps", "still_int8"), ("retrained", "trained_int8"))}
    for name, (other, distance) in losses.items():
        print(f"cells, {name}: {100 * other:.2f} % of {len(wanted)} images have another best class, probabilities off by {distance:.4f}")
    before, after = losses["4 bits"], losses["retrained"]
    expect(after[0] <= .5 * before[0] and after[1] <= .5 * before[1], "less than half of what 4 bits lost comes back")
    expect(abs(losses["0 steps"][1] - before[1]) <= .002 and still.best_step == 0, "0 steps are not post-training quantization")


# ------------------------------------------------------------------------------------------------ command

def check_command(o):
    out, cells = o.out / "command", ROOT / "tests/data/cells"
    configuration = o.out / "retrain.cfg"
    configuration.write_text("""# all layers in 4 bits
batch_num: 2
retrain_data_quant_config: { ulq_quantize: { clip_max_min: { clip_max: 6.0 clip_min: -6.0 } } }
retrain_weight_quant_config { arq_retrain { channel_wise: true dst_type: INT4 } }
""")
    words = [sys.executable, "-m", "cytodet.retrain", "--config_defination", configuration, "--train_set", cells / "val",
             "--train_keyword", "_0", "--eval_set", cells / "val", "--eval_keyword", "_1", "--eval_model", ROOT / "models/classification/blood_cells.json", "--batch_size", "8",
             "--train_iter", "40", "--save_interval", "20", "--loss", "cross_entropy", "--rounding", "nearest", "-o", out]
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "python"), CYTODET=o.cytodet)

    def run(more=()):
        return subprocess.run([*map(str, words), *map(str, more)], env=environment, capture_output=True, text=True)

    first = run()
    expect(first.returncode == 0, f"the command fails: {first.stderr}")
    lines = first.stdout.splitlines()
    print("\n".join(lines))
    expect(len(lines) == 4 and all(line.startswith(begin) for line, begin in zip(lines, (
        "The origin model top 1 accuracy = ", "The origin model top 5 accuracy = ", "The model after retrain top 1 accuracy = ",
        "The model after retrain top 5 accuracy = "))), f"the command prints {lines}")
    have = {p.name for p in out.iterdir()}
    wanted = {"checkpoint", "config.json", "record.txt", "blood_cells.pb", "blood_cells_quantized.pb", "blood_cells_retrain-0.index",
              "blood_cells_retrain-40.index"}
    expect(wanted <= have and any(name.startswith("events.out.tfevents.") for name in have),
           f"of its files are missing: {wanted - have}")
    again = run()
    expect(again.returncode == 0 and again.stdout == first.stdout, f"the command again: {again.stderr}{again.stdout}")
    (o.out / "bad.cfg").write_text("batch_num: 2\nretrain_wheight_quant_config { }\n")
    for more, code, part in ((["--config_defination", o.out / "bad.cfg"], 1, "line 2"),
                             (["--train_set", o.out / "none"], 1, "no such file"), (["-o", ROOT / "scripts"], 2, "no retraining made"), (["--batch_size", "x"], 2, "batch_size"),
                             (["--learning_rate", "1"], 1, "another learning_rate")):
        wrong = run(more)
        expect(wrong.returncode == code and part in wrong.stderr and len([l for l in wrong.stderr.splitlines() if ": error: " in l]) == 1,
               f"of {more} is said ({wrong.returncode}): {wrong.stderr}")
    print("command: as promised")


# ------------------------------------------------------------------------------------------------ detector

def ap_of(o, model, out):
    subprocess.run([o.cytodet, "evaluate", "--model", model, "--truth", o.truth, "--images", o.images, "-o", out, "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    return json.loads(pathlib.Path(out).read_text())["stats"]["AP"]


def check_detector(o):
    from cytodet.retrain import retrain
    expect(o.images and o.truth, "detector needs --images and --truth")
    out = o.out / "detector"
    out.mkdir(parents=True)
    model = ROOT / "models/efficientdet/efficientdet_d0_blood.json"
    make = [o.cytodet, "quantize", model, "--images", o.images, "--weight-bits", "4", "--rounding", "gptq", "--quiet"]
    subprocess.run([*make, "-o", out / "before.pb"], check=True)
    subprocess.run([*make, "-o", out / "train.pb", "--fake-quant", "--dump-feeds", out / "feeds"], check=True)
    begun, cpu = time.time(), time.process_time()
    report = retrain(out / "train.pb", out / "trained.pb", out / "feeds", float_graph=model.with_suffix(".pb"),
                     train_iter=o.detector_iterations, learning_rate=o.detector_rate, save_interval=100, held_back=8,
                     checkpoints=str(out / "checkpoints"), threads=2,
                     progress=lambda step, loss: print(f"step {step}: loss {loss:.3g}", flush=True) if step % 50 == 0 else None)
    took, cpu = (time.time() - begun) / 60, (time.process_time() - cpu) / 60
    print(f"{report}, {took:.1f} minutes, {cpu:.1f} of a core")
    subprocess.run([o.cytodet, "quantize", model_of(out / "trained.pb", out / "train.json"), "-o", out / "after.pb", "--quiet"], check=True)
    ap = {name: ap_of(o, path, out / f"{name}.ap.json") for name, path in
          (("float", model), ("gptq", out / "before.json"), ("retrained", out / "after.json"))}
    print("detector: " + ", ".join(f"{name} AP {value:.4f}" for name, value in ap.items()))
    expect(ap["float"] - ap["gptq"] <= .01, "4-bit weights lose more than 0.01")
    expect(ap["float"] - ap["retrained"] <= .004, "after retraining more than 0.004 are lost")
    expect(cpu <= 2 * o.minutes, f"training took {cpu:.1f} minutes of a core, more than {o.minutes:g} on two")


def main():
    o = arguments()
    shutil.rmtree(o.out, ignore_errors=True)
    o.out.mkdir(parents=True)
    o.out = o.out.resolve()
    for part in o.parts:
        known = {"steps": check_steps, "cells": check_cells, "command": check_command, "detector": check_detector}
        expect(part in known, f"unknown part {part}; known: {', '.join(known)}")
        known[part](o)
    return 0


if __name__ == "__main__":
    sys.exit(main())
