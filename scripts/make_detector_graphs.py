"""Makes frozen graphs of whole detectors, as the object-detection API exports them: a loop that resizes the images, the network,
a loop over the images with suppression of each class. Weights are random, of a fixed seed.
usage: make_detector_graphs.py FOLDER [NAME ...]; a folder FOLDER/NAME gets graph.pb and case.json, TensorFlow's answer.

For tests, a few convolutions on about 64 x 64 pixels: small, small_fpn, small_rcnn.
ssd_mobilenet: MobileNetV2 at 300 x 300, 1,917 anchors, 90 classes, which a loop suppresses one after another.
ssd_fpn: MobileNetV2 at 320 x 320, five levels of a feature pyramid with one head of separable convolutions, 12,804 anchors,
90 classes, suppressed by nodes of their own.
faster_rcnn: ResNet50, sides of at least 600 and at most 1,024 pixels, 50 proposals that are cropped out of the features, 90
classes with boxes of their own.
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


def conv(x, rng, channels, size=3, stride=1, relu=True, gain=1.0):
    """Convolution, bias, and Relu6."""
    fan_in = size * size * int(x.shape[-1])
    weights = gain * rng.normal(0, (2 / fan_in) ** 0.5, (size, size, int(x.shape[-1]), channels))
    weights = weights.astype("f4")
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


def mobilenet_v2_body(x, rng):
    """Inverted residuals: the map of stride 8, the expanded one of stride 16, and the last one of stride 32."""
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
        if channels == 32:
            maps.append(x)
    return maps + [conv(x, rng, 1280, 1)]


def mobilenet_v2(x, rng):
    """The maps of strides 16 and 32, and four smaller ones (19, 10, 5, 3, 2 and 1 cells a side)."""
    maps = mobilenet_v2_body(x, rng)[1:]
    for channels in (512, 256, 256, 128):
        maps.append(conv(conv(maps[-1], rng, channels // 2, 1), rng, channels, 3, 2))
    return maps


def bottlenecks(x, rng, channels, count, stride):
    """Residual blocks of 1x1, 3x3 and 1x1 convolutions."""
    for i in range(count):
        y = conv(conv(x, rng, channels, 1), rng, channels, 3, stride if i == 0 else 1)
        y = conv(y, rng, 4 * channels, 1, relu=False, gain=0.3)
        x = tf.nn.relu(y + (conv(x, rng, 4 * channels, 1, stride, relu=False) if i == 0 else x))
    return x


def resnet50_stride_16(x, rng):
    x = tf.nn.max_pool2d(conv(x, rng, 64, 7, 2), 3, 2, "SAME")
    for channels, count, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2)]:
        x = bottlenecks(x, rng, channels, count, stride)
    return x


def doubled(x):
    """Each cell four times, as stacks of itself."""
    n, h, w, c = tf.shape(x)[0], *map(int, x.shape[1:])
    x = tf.stack([x] * 2, 3)
    return tf.reshape(tf.stack([x] * 2, 2), tf.stack([n, 2 * h, 2 * w, c]))


def feature_pyramid(maps, rng, channels, more):
    """Each map with what comes from the coarser ones, then `more` coarser ones."""
    levels = [conv(maps[-1], rng, channels, 1, relu=False)]
    for x in reversed(maps[:-1]):
        levels.insert(0, doubled(levels[0]) + conv(x, rng, channels, 1, relu=False))
    levels = levels[:1] + [conv(x, rng, channels) for x in levels[1:]]
    for _ in range(more):
        levels.append(conv(levels[-1], rng, channels, stride=2))
    return levels


def shared_heads(maps, seed, depth, classes, per_cell):
    """One head for all levels: filters of one seed. [n, anchors, 4] and [n, anchors, classes + 1]."""
    def tower(x, rng, channels, gain):
        for _ in range(depth):
            x = conv(depthwise(x, rng, 1), rng, int(x.shape[-1]), 1)
        y = gain * conv(depthwise(x, rng, 1), rng, channels, 1, relu=False)
        return tf.reshape(y, tf.stack([tf.shape(x)[0], -1, channels // per_cell]))

    offsets = [tower(x, np.random.default_rng(seed), 4 * per_cell, 1) for x in maps]
    logits = [tower(x, np.random.default_rng(seed + 1), (classes + 1) * per_cell, 0.3) for x in maps]
    return tf.concat(offsets, 1), tf.concat(logits, 1)


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
    centre = offsets[..., :2] / 10.0 * anchors[..., 2:] + anchors[..., :2]
    half = tf.exp(tf.minimum(offsets[..., 2:] / 5.0, 2.0)) * anchors[..., 2:] / 2.0
    return tf.concat([centre - half, centre + half], -1)


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


def suppressed_by_nodes(boxes, scores, per_class, total, least, overlap):
    """Of one image: nodes for each class, which take the boxes above the least score, suppress, and then the best of all.
    boxes [n, 1 or classes, 4], scores [n, classes]."""
    found_boxes, found_scores, found_classes = [], [], []
    for c in range(int(scores.shape[1])):
        likely = tf.reshape(tf.where(scores[:, c] > least), [-1])
        own_boxes = tf.gather(boxes[:, min(c, int(boxes.shape[1]) - 1)], likely)
        own_scores = tf.gather(scores[:, c], likely)
        picked = tf.image.non_max_suppression(own_boxes, own_scores, tf.minimum(per_class, tf.shape(own_boxes)[0]), overlap)
        found_boxes.append(tf.gather(own_boxes, picked))
        found_scores.append(tf.gather(own_scores, picked))
        found_classes.append(tf.zeros_like(found_scores[-1]) + float(c + 1))
    all_scores = tf.concat(found_scores, 0)
    values, order = tf.math.top_k(all_scores, tf.minimum(total, tf.size(all_scores)))
    kept = tf.size(values)

    def padded(x, axes):
        return tf.reshape(tf.pad(x, [[0, total - kept]] + [[0, 0]] * (axes - 1)), [total] + [4] * (axes - 1))

    return (padded(tf.gather(tf.concat(found_boxes, 0), order), 2), padded(values, 1),
            padded(tf.gather(tf.concat(found_classes, 0), order), 1), tf.cast(kept, tf.float32))


def named(values, names):
    return [tf.identity(value, name=n).op.name for value, n in zip(values, names)]


DETECTIONS = ["detection_boxes", "detection_scores", "detection_classes", "num_detections"]


def resized_to(image, size):
    resized = tf.map_fn(lambda x: v1.image.resize_bilinear(x[None], [size, size])[0], tf.cast(image, tf.float32))
    return tf.reshape(resized, [-1, size, size, 3]) * (2 / 255) - 1.0


def build_ssd(image, small):
    """Each class suppressed by a loop."""
    rng = np.random.default_rng(SEED)
    size, classes = (64, 3) if small else (300, 90)
    per_class, total = (4, 6) if small else (20, 100)
    maps = (small_backbone if small else mobilenet_v2)(resized_to(image, size), rng)
    per_cell = [2, 3] if small else [3] + [6] * (len(maps) - 1)
    offsets, logits = heads(maps, rng, classes, per_cell)
    boxes = tf.clip_by_value(decode(offsets, anchors_of(maps, per_cell)), 0.0, 1.0)
    scores = tf.sigmoid(logits)[..., 1:]
    found = tf.map_fn(lambda item: suppressed(item[0], item[1], classes, per_class, total), (boxes, scores),
                      dtype=(tf.float32,) * 4)
    return named(found + (boxes, scores), DETECTIONS + ["raw_boxes", "raw_scores"])


def build_ssd_fpn(image, small):
    rng = np.random.default_rng(SEED)
    size, classes = (64, 3) if small else (320, 90)
    maps = (small_backbone if small else mobilenet_v2_body)(resized_to(image, size), rng)
    levels = feature_pyramid(maps, rng, 12 if small else 128, 1 if small else 2)
    per_cell = 2 if small else 6
    offsets, logits = shared_heads(levels, SEED, 1 if small else 4, classes, per_cell)
    boxes = tf.clip_by_value(decode(offsets, anchors_of(levels, [per_cell] * len(levels))), 0.0, 1.0)
    scores = tf.sigmoid(logits)[..., 1:]
    found = tf.map_fn(lambda item: suppressed_by_nodes(item[0][:, None], item[1], 5 if small else 100, 8 if small else 100,
                                                       0.5 if small else 0.6, 0.6), (boxes, scores), dtype=(tf.float32,) * 4)
    return named(found + (boxes, scores), DETECTIONS + ["raw_boxes", "raw_scores"])


def resized_within(image, least, most):
    """[h, w, 3]: its shorter side `least` pixels, its longer at most `most`; and the new height and width."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    large = tf.cast(tf.round(size * (least / tf.reduce_min(size))), tf.int32)
    limited = tf.cast(tf.round(size * (most / tf.reduce_max(size))), tf.int32)
    new = tf.cond(tf.reduce_max(large) > most, lambda: limited, lambda: large)
    return v1.image.resize_bilinear(image[None], new)[0], new


def grid_anchors(features, stride, sides):
    """[cells * anchors, 4]: centre y, centre x, height, width in pixels."""
    h, w = tf.shape(features)[1], tf.shape(features)[2]
    y = (tf.cast(tf.range(h), tf.float32) + 0.5) * stride
    x = (tf.cast(tf.range(w), tf.float32) + 0.5) * stride
    shape = np.array([[side * aspect ** -0.5, side * aspect ** 0.5] for side in sides for aspect in (0.5, 1.0, 2.0)], "f4")
    grid_x, grid_y = tf.meshgrid(x, y)
    centres = tf.tile(tf.stack([grid_y, grid_x], -1)[:, :, None], [1, 1, len(shape), 1])
    shapes = tf.tile(shape[None, None], tf.stack([h, w, 1, 1]))
    return tf.reshape(tf.concat([centres, shapes], -1), [-1, 4])


def proposals_of(features, rng, window, count, stride, sides):
    """[n, count, 4] corners in pixels, the most likely of all anchors, those that overlap suppressed, padded with zeros."""
    n = tf.shape(features)[0]
    x = conv(features, rng, min(512, 2 * int(features.shape[-1])))
    each = 3 * len(sides)
    offsets = tf.reshape(conv(x, rng, 4 * each, 1, relu=False), tf.stack([n, -1, 4]))
    objectness = tf.nn.softmax(tf.reshape(0.5 * conv(x, rng, 2 * each, 1, relu=False), tf.stack([n, -1, 2])))[..., 1]
    boxes = decode(offsets, grid_anchors(features, stride, sides))

    def of_image(item):
        own, score, size = item
        size = tf.cast(size, tf.float32)
        clipped = tf.minimum(tf.maximum(own, 0.0), tf.concat([size, size], 0))
        picked = tf.image.non_max_suppression(clipped, score, tf.minimum(count, tf.shape(own)[0]), 0.7, 0.0)
        return tf.reshape(tf.pad(tf.gather(clipped, picked), [[0, count - tf.size(picked)], [0, 0]]), [count, 4])

    return tf.map_fn(of_image, (boxes, objectness, window), dtype=tf.float32)


def cropped(features, boxes, size):
    """[n * count, size, size, c]: a crop of twice the size of each box (shares of the image), its maxima."""
    count = int(boxes.shape[1])
    indices = tf.reshape(tf.tile(tf.range(tf.shape(boxes)[0])[:, None], [1, count]), [-1])
    crops = tf.image.crop_and_resize(features, tf.reshape(boxes, [-1, 4]), indices, [2 * size, 2 * size])
    return tf.nn.max_pool2d(crops, 2, 2, "SAME")


def build_faster_rcnn(image, small):
    rng = np.random.default_rng(SEED)
    classes, count, crop = (3, 8, 3) if small else (90, 50, 7)
    least, most = (48, 80) if small else (600, 1024)
    resized, window = tf.map_fn(lambda x: resized_within(x, least, most), tf.cast(image, tf.float32), dtype=(tf.float32, tf.int32))
    resized = tf.ensure_shape(resized, [None, None, None, 3]) * (2 / 255) - 1.0
    features = small_backbone(resized, rng)[0] if small else resnet50_stride_16(resized, rng)
    proposals = proposals_of(features, rng, window, count, 4 if small else 16, (8, 16, 32) if small else (64, 128, 256, 512))
    extent = tf.tile(tf.cast(window, tf.float32), [1, 2])[:, None]
    crops = cropped(features, proposals / extent, crop)
    crops = conv(crops, rng, 24, 3) if small else bottlenecks(crops, rng, 512, 3, 1)
    pooled = tf.reduce_mean(crops, [1, 2])

    def dense(outputs, gain):
        weights = (gain * rng.normal(0, (1 / int(pooled.shape[-1])) ** 0.5, (int(pooled.shape[-1]), outputs))).astype("f4")
        return tf.nn.bias_add(tf.matmul(pooled, weights), rng.normal(0, 0.1, outputs).astype("f4"))

    n = tf.shape(image)[0]
    offsets = tf.reshape(dense(4 * classes, 1.0), tf.stack([n, count, classes, 4]))
    scores = tf.reshape(tf.nn.softmax(dense(classes + 1, 3.0)), tf.stack([n, count, classes + 1]))[..., 1:]
    corners = proposals / extent
    size = corners[..., 2:] - corners[..., :2]
    centred = tf.concat([corners[..., :2] + size / 2, size], -1)
    boxes = tf.clip_by_value(decode(offsets, centred[:, :, None]), 0.0, 1.0)
    found = tf.map_fn(lambda item: suppressed_by_nodes(item[0], item[1], 5 if small else 100, 8 if small else 300,
                                                       0.2 if small else 0.02, 0.6), (boxes, scores), dtype=(tf.float32,) * 4)
    return named(found + (boxes, scores), DETECTIONS + ["raw_boxes", "raw_scores"])


# What builds each, and whether it is for tests.
DETECTORS = {"small": (build_ssd, True), "small_fpn": (build_ssd_fpn, True), "small_rcnn": (build_faster_rcnn, True),
             "ssd_mobilenet": (build_ssd, False), "ssd_fpn": (build_ssd_fpn, False), "faster_rcnn": (build_faster_rcnn, False)}


def as_json(array):
    return {"dtype": array.dtype.name, "shape": list(array.shape),
            "data": [float(f"{v:.9g}") if array.dtype == np.float32 else int(v) for v in array.ravel()]}


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or DETECTORS:
        build, small = DETECTORS[name]
        with tf.Graph().as_default() as graph:
            v1.disable_control_flow_v2()
            outputs = build(v1.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor"), small)
            definition = v1.graph_util.extract_sub_graph(graph.as_graph_def(), outputs)
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "graph.pb").write_bytes(definition.SerializeToString(deterministic=True))
            shape = (2, 24, 40, 3) if small else (1, 480, 640, 3)
            image = np.random.default_rng(1).integers(0, 256, shape).astype("u1")
            if small:
                image[1, 5:20, 10:30] //= 4
            with v1.Session() as session:
                answers = session.run([o + ":0" for o in outputs], {"image_tensor:0": image})
        case = {"inputs": {"image_tensor:0": as_json(image)},
                "outputs": {o + ":0": as_json(a.astype("f4")) for o, a in zip(outputs, answers)}}
        (folder / name / "case.json").write_text(json.dumps(case) + "\n")
        print(name, len(definition.node), "nodes;", "detections:", answers[3].tolist())


main()
