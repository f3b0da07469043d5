"""Makes frozen graphs of whole detectors, as the object-detection API exports them: a loop that resizes the images, the network,
a loop over the images with suppression of each class. Weights are random, of a fixed seed.
usage: make_detector_graphs.py FOLDER [small | ssd_mobilenet]; a folder FOLDER/NAME gets graph.pb and case.json, TensorFlow's answer.

small: a few convolutions on 64 x 64 pixels, for tests. ssd_mobilenet: MobileNetV2 at 300 x 300, 1,917 anchors, 90 classes.
"""
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
SEED = 7


def conv(x, rng, channels, size=3, stride=1, relu=True):
    """Convolution, bias, and Relu6."""
    fan_in = size * size * int(x.shape[-1])
    weights = rng.normal(0, (2 / fan_in) ** 0.5, (size, size, int(x.shape[-1]), channels)).astype("f4")
    y = tf.nn.bias_add(tf.nn.conv2d(x, weights, stride, "SAME"), rng.normal(0, 0.1, channels).astype("f4"))
    return tf.nn.relu6(y) if relu else y


def depthwise(x, rng, stride):
    weights = rng.normal(0, 0.47, (3, 3, int(x.shape[-1]), 1)).astype("f4")
    y = tf.nn.depthwise_conv2d(x, weights, [1, stride, stride, 1], "SAME")
    return tf.nn.relu6(tf.nn.bias_add(y, rng.normal(0, 0.1, int(x.shape[-1])).astype("f4")))


def small_backbone(x, rng):
    x = conv(x, rng, 8, stride=2)
    x = conv(depthwise(x, rng, 2), rng, 16, 1)
    return [x, conv(depthwise(x, rng, 2), rng, 24, 1)]


def mobilenet_v2(x, rng):
    """Inverted residuals; the maps of strides 16 and 32, and four smaller ones (19, 10, 5, 3, 2 and 1 cells a side)."""
    x = conv(x, rng, 32, stride=2)
    maps = []
    for expand, channels, count, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                            (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(count):
            inside = conv(x, rng, expand * int(x.shape[-1]), 1) if expand > 1 else x
            if channels == 160 and i == 0:
                maps.append(inside)
            y = conv(depthwise(inside, rng, stride if i == 0 else 1), rng, channels, 1, relu=False)
            x = x + y if i > 0 else y
    maps.append(conv(x, rng, 1280, 1))
    for channels in (512, 256, 256, 128):
        maps.append(conv(conv(maps[-1], rng, channels // 2, 1), rng, channels, 3, 2))
    return maps


def heads(maps, rng, classes, boxes):
    """[n, anchors, 4] and [n, anchors, classes + 1]."""
    offsets, logits = [], []
    for x, per_cell in zip(maps, boxes):
        n = tf.shape(x)[0]
        offsets.append(tf.reshape(conv(x, rng, 4 * per_cell, 1, relu=False), tf.stack([n, -1, 4])))
        logit = 0.2 * conv(x, rng, (classes + 1) * per_cell, 1, relu=False)  # so that few scores are 1 and none are equal
        logits.append(tf.reshape(logit, tf.stack([n, -1, classes + 1])))
    return tf.concat(offsets, 1), tf.concat(logits, 1)


def anchors_of(maps, boxes):
    """Centre y, centre x, height, width of each, in shares of the image."""
    all_anchors = []
    for level, (x, per_cell) in enumerate(zip(maps, boxes)):
        h, w = int(x.shape[1]), int(x.shape[2])
        for cell_y in range(h):
            for cell_x in range(w):
                for k in range(per_cell):
                    side = 0.2 + 0.14 * level
                    aspect = [1, 2, 0.5, 3, 1 / 3, 1.2][k] ** 0.5
                    all_anchors.append([(cell_y + 0.5) / h, (cell_x + 0.5) / w, side / aspect, side * aspect])
    return np.array(all_anchors, "f4")


def decode(offsets, anchors):
    centre = offsets[..., :2] / 10.0 * anchors[:, 2:] + anchors[:, :2]
    half = tf.exp(tf.minimum(offsets[..., 2:] / 5.0, 2.0)) * anchors[:, 2:] / 2.0
    return tf.clip_by_value(tf.concat([centre - half, centre + half], -1), 0.0, 1.0)


def suppressed(boxes, scores, classes, per_class, total):
    """Of one image: each class by itself, then the best of all, padded with zeros."""
    def one_class(c):
        picked = tf.image.non_max_suppression(boxes, scores[:, c], per_class, 0.6, 0.5)
        found = tf.shape(picked)[0]
        padding = [[0, per_class - found]]
        return (tf.pad(tf.gather(boxes, picked), padding + [[0, 0]]), tf.pad(tf.gather(scores[:, c], picked), padding))

    all_boxes, all_scores = tf.map_fn(one_class, tf.range(classes), dtype=(tf.float32, tf.float32))
    values, best = tf.math.top_k(tf.reshape(all_scores, [-1]), total)
    ids = tf.cast(best // per_class + 1, tf.float32)
    kept = tf.reduce_sum(tf.cast(values > 0, tf.float32))
    ids = tf.cond(kept > 0, lambda: ids * tf.cast(values > 0, tf.float32), lambda: tf.zeros([total]))
    return tf.gather(tf.reshape(all_boxes, [-1, 4]), best), values, ids, kept


def build(name):
    rng = np.random.default_rng(SEED)
    size, classes = (64, 3) if name == "small" else (300, 90)
    per_class, total = (4, 6) if name == "small" else (20, 100)
    image = v1.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor")
    resized = tf.map_fn(lambda x: v1.image.resize_bilinear(x[None], [size, size])[0], tf.cast(image, tf.float32))
    resized = tf.reshape(resized, [-1, size, size, 3])
    maps = (small_backbone if name == "small" else mobilenet_v2)(resized * (2 / 255) - 1.0, rng)
    per_cell = [3] + [6] * (len(maps) - 1) if name != "small" else [2, 3]
    offsets, logits = heads(maps, rng, classes, per_cell)
    boxes, scores = decode(offsets, anchors_of(maps, per_cell)), tf.sigmoid(logits)[..., 1:]
    found = tf.map_fn(lambda item: suppressed(item[0], item[1], classes, per_class, total), (boxes, scores),
                      dtype=(tf.float32,) * 4)
    names = ["detection_boxes", "detection_scores", "detection_classes", "num_detections"]
    return [tf.identity(value, name=n).op.name for value, n in zip(found, names)] + ["raw_boxes", "raw_scores"], \
        [tf.identity(boxes, name="raw_boxes"), tf.identity(scores, name="raw_scores")]


def as_json(array):
    return {"dtype": array.dtype.name, "shape": list(array.shape),
            "data": [float(f"{v:.9g}") if array.dtype == np.float32 else int(v) for v in array.ravel()]}


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or ["small", "ssd_mobilenet"]:
        with tf.Graph().as_default() as graph:
            v1.disable_control_flow_v2()
            outputs, _ = build(name)
            definition = v1.graph_util.extract_sub_graph(graph.as_graph_def(), outputs)
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "graph.pb").write_bytes(definition.SerializeToString(deterministic=True))
            shape = (2, 24, 40, 3) if name == "small" else (1, 480, 640, 3)
            image = np.random.default_rng(1).integers(0, 256, shape).astype("u1")
            if name == "small":
                image[1, 5:20, 10:30] //= 4
            with v1.Session() as session:
                answers = session.run([o + ":0" for o in outputs], {"image_tensor:0": image})
        case = {"inputs": {"image_tensor:0": as_json(image)},
                "outputs": {o + ":0": as_json(a.astype("f4")) for o, a in zip(outputs, answers)}}
        (folder / name / "case.json").write_text(json.dumps(case) + "\n")
        print(name, len(definition.node), "nodes;", "detections:", answers[3].tolist())


main()
