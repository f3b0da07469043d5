"""Makes tests/data/import: small detection networks in the forms in which others export theirs, with random weights, and what a
reference of a few lines of numpy finds with them on one image (ONNX Runtime runs the networks, OpenCV resizes).
usage: make_import_golden.py FOLDER     (environment: scripts/oracle_env int8_peers)

FOLDER/NAME.onnx; FOLDER/cells.png, 64 x 48 pixels; FOLDER/cases.json: {NAME: {"options": words for `cytodet import`, "family", "model":
keys that the model file must have, "detections": [[x0, y0, x1, y1, score, class], ...]}}.
"""
import json
import pathlib
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIDE, CLASSES, STRIDES = 64, 3, (8, 16, 32)
CELLS = [SIDE // s for s in STRIDES]
NAMES = "{0: 'round', 1: \"d'oh\", 2: 'flat'}"


class Net:
    """An image [1, 3, 64, 64], a convolution of 16 channels at each stride, and heads on them."""

    def __init__(self, seed, input_name="images"):
        self.random, self.nodes, self.constants, self.input = np.random.default_rng(seed), [], [], input_name
        x, self.levels = input_name, []
        for i, (stride, channels) in enumerate(((8, 3), (2, 16), (2, 16))):
            w = self.constant(self.random.normal(0, (2 / (channels * stride * stride)) ** 0.5, (16, channels, stride, stride)))
            x = self.node("Relu", [self.node("Conv", [x, w], strides=[stride, stride])])
            self.levels.append(x)

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, op, inputs, outputs=1, **attributes):
        names = [f"{op}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def rows(self, channels, bias, gain, levels=None):
        """[1, cells, channels] of 1x1 convolutions."""
        parts = []
        for x, cells in list(zip(self.levels, CELLS))[:levels]:
            w = self.constant(self.random.normal(0, gain, (channels, 16, 1, 1)))
            y = self.node("Conv", [x, w, self.constant(bias)])
            y = self.node("Reshape", [y, self.constant([1, channels, cells * cells], np.int64)])
            parts.append(self.node("Transpose", [y], perm=[0, 2, 1]))
        return self.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]

    def grid(self):
        """[1, cells, 2] of columns and rows, and [1, cells, 1] of strides."""
        grid = np.concatenate([np.stack(np.meshgrid(range(c), range(c)), -1).reshape(-1, 2) for c in CELLS])
        strides = np.concatenate([np.full(c * c, s) for c, s in zip(CELLS, STRIDES)])
        return self.constant(grid[None]), self.constant(strides[None, :, None])

    def boxes_in_pixels(self, xy, wh):
        """[1, cells, 4], centres and sides, of raw [1, cells, 2] twice."""
        grid, strides = self.grid()
        xy = self.node("Mul", [self.node("Add", [xy, grid]), strides])
        return self.node("Concat", [xy, self.node("Mul", [wh, strides])], axis=2)

    def corners_and_scores(self):
        """[1, cells, 4], two corners in pixels, and [1, cells, classes], of a detector without anchors."""
        raw, scores = self.rows(4, BOX_BIAS, 0.3), self.node("Sigmoid", [self.rows(CLASSES, SCORE_BIAS, 0.9)])
        xy, wh = self.split(raw, 2, 2)
        centre, sides = self.split(self.boxes_in_pixels(xy, self.node("Softplus", [wh])), 2, 2)
        half = self.node("Mul", [sides, self.constant([0.5])])
        return self.node("Concat", [self.node("Sub", [centre, half]), self.node("Add", [centre, half])], axis=2), scores

    def split(self, x, *sizes):
        return self.node("Split", [x, self.constant(sizes, np.int64)], len(sizes), axis=2)

    def best(self, scores, count):
        """Of [1, cells, classes] the `count` best: scores [1, count], cells and classes [1, count] int64."""
        best, at = self.node("TopK", [self.node("Reshape", [scores, self.constant([1, -1], np.int64)]), self.constant([count], np.int64)], 2,
                             axis=1)
        return best, *(self.node(op, [at, self.constant([CLASSES], np.int64)]) for op in ("Div", "Mod"))

    def rows_at(self, boxes, cells, count):
        """[1, count, 4] of [1, cells, 4]."""
        rows = self.node("Unsqueeze", [cells, self.constant([2], np.int64)])
        return self.node("GatherElements", [boxes, self.node("Expand", [rows, self.constant([1, count, 4], np.int64)])], axis=1)

    def column(self, x):
        return self.node("Unsqueeze", [x, self.constant([2], np.int64)])

    def save(self, path, outputs, metadata=None, integers=(), shapes=None, more_inputs=(), dtype=TensorProto.FLOAT):
        """outputs: name -> tensor. dtype: of the image and of outputs that are not integers; the rest is float."""
        for name, tensor in outputs.items():
            op, how = ("Identity", {}) if dtype == TensorProto.FLOAT else ("Cast", {"to": dtype})
            self.nodes.append(helper.make_node(op, [tensor], [name], **how))
        infos = [helper.make_tensor_value_info(n, TensorProto.INT64 if n in integers else dtype, (shapes or {}).get(n)) for n in outputs]
        image = helper.make_tensor_value_info(self.input, dtype, [1, 3, SIDE, SIDE])
        if dtype != TensorProto.FLOAT:
            for node in self.nodes:
                node.input[:] = ["image_in_float" if i == self.input else i for i in node.input]
            self.nodes.insert(0, helper.make_node("Cast", [self.input], ["image_in_float"], to=TensorProto.FLOAT))
        graph = helper.make_graph(self.nodes, "net", [image, *more_inputs], infos, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        for key, value in (metadata or {}).items():
            entry = model.metadata_props.add()
            entry.key, entry.value = key, value
        onnx.save(model, str(path))


ULTRALYTICS = {"names": NAMES, "imgsz": "[64, 64]", "stride": "32", "task": "detect", "author": "Ultralytics", "batch": "1"}
BOX_BIAS, SCORE_BIAS = [0.5, 0.5, 0.8, 0.7], [-1.2, -1.0, -1.4]


def yolov8(path, dtype=TensorProto.FLOAT):
    n = Net(1)
    raw, scores = n.rows(4, BOX_BIAS, 0.3), n.node("Sigmoid", [n.rows(CLASSES, SCORE_BIAS, 0.9)])
    xy, wh = n.split(raw, 2, 2)
    boxes = n.boxes_in_pixels(xy, n.node("Softplus", [wh]))
    n.save(path, {"output0": n.node("Transpose", [n.node("Concat", [boxes, scores], axis=2)], perm=[0, 2, 1])}, ULTRALYTICS, dtype=dtype)


def yolov5(path, heads=False):
    n = Net(2)
    parts = []
    for anchor in range(3):
        raw = n.rows(4, BOX_BIAS, 0.3)
        xy, wh = n.split(raw, 2, 2)
        boxes = n.boxes_in_pixels(xy, n.node("Softplus", [wh]))
        parts.append(n.node("Concat", [boxes, n.node("Sigmoid", [n.rows(1 + CLASSES, [0.5] + SCORE_BIAS, 0.9)])], axis=2))
    joined, outputs = n.node("Concat", parts, axis=1), {}
    if heads:  # what the rows are made of, as [1, anchors, height, width, values]: of them only the shape matters here
        for i, (x, cells) in enumerate(zip(n.levels, CELLS)):
            y = n.node("Conv", [x, n.constant(n.random.normal(0, 0.3, (3 * (5 + CLASSES), 16, 1, 1)))])
            y = n.node("Reshape", [y, n.constant([1, 3, 5 + CLASSES, cells, cells], np.int64)])
            outputs[f"head{i}"] = n.node("Transpose", [y], perm=[0, 1, 3, 4, 2])
    n.save(path, {"output0": joined, **outputs}, {"stride": "32", "names": "['round', \"d'oh\", 'flat']"})


def yolox(path, decoded):
    n = Net(3)
    raw = n.rows(4, [0.5, 0.5, 0.1, 0.2], 0.001)  # pixels are 0..255
    if decoded:
        xy, wh = n.split(raw, 2, 2)
        raw = n.boxes_in_pixels(xy, n.node("Exp", [wh]))
    n.save(path, {"output": n.node("Concat", [raw, n.node("Sigmoid", [n.rows(1 + CLASSES, [0.3] + SCORE_BIAS, 0.004)])], axis=2)})


def queries(path, joined, classes, metadata=None):
    """16 rows: those of the cells of stride 16."""
    n = Net(4 + classes)
    n.levels = n.levels[1:2]
    n_cells = CELLS[1] ** 2
    w = n.constant(n.random.normal(0, 0.3, (4, 16, 1, 1)))
    y = n.node("Reshape", [n.node("Conv", [n.levels[0], w]), n.constant([1, 4, n_cells], np.int64)])
    boxes = n.node("Sigmoid", [n.node("Transpose", [y], perm=[0, 2, 1])])
    w = n.constant(n.random.normal(0, 0.9, (classes, 16, 1, 1)))
    y = n.node("Reshape", [n.node("Conv", [n.levels[0], w]), n.constant([1, classes, n_cells], np.int64)])
    logits = n.node("Transpose", [y], perm=[0, 2, 1])
    if joined:
        n.save(path, {"output0": n.node("Concat", [boxes, n.node("Sigmoid", [logits])], axis=2)}, metadata)
    else:
        n.save(path, {"logits": logits, "pred_boxes": boxes}, metadata)


def after_suppression(n):
    """boxes [n, 4], corners in pixels, scores [n] and classes [n] int64, suppressed in the graph."""
    boxes, scores = n.corners_and_scores()
    by_class = n.node("Transpose", [scores], perm=[0, 2, 1])
    picked = n.node("NonMaxSuppression", [boxes, by_class, n.constant([10], np.int64), n.constant([0.5]), n.constant([0.4])])
    _, classes, rows = (n.node("Squeeze", [part, n.constant([1], np.int64)]) for part in
                        n.node("Split", [picked, n.constant([1, 1, 1], np.int64)], 3, axis=1))
    flat = n.node("Reshape", [by_class, n.constant([-1], np.int64)])
    at = n.node("Add", [n.node("Mul", [classes, n.constant([sum(c * c for c in CELLS)], np.int64)]), rows])
    return (n.node("Gather", [n.node("Squeeze", [boxes, n.constant([0], np.int64)]), rows], axis=0),
            n.node("Gather", [flat, at], axis=0), classes)


def torchvision(path):
    n = Net(9)
    boxes, scores, classes = after_suppression(n)
    n.save(path, {"boxes": boxes, "scores": scores, "labels": n.node("Add", [classes, n.constant([1], np.int64)])},
           integers=("labels",), shapes={"boxes": ["n", 4], "scores": ["n"], "labels": ["n"]})


def yolov7_end_to_end(path):
    """Rows of the image's number, two corners, class and score."""
    n = Net(15)
    boxes, scores, classes = after_suppression(n)
    column = lambda x: n.node("Unsqueeze", [x, n.constant([1], np.int64)])  # noqa: E731
    kinds, scores = column(n.node("Cast", [classes], to=TensorProto.FLOAT)), column(scores)
    image = n.node("Mul", [kinds, n.constant([0.0])])
    n.save(path, {"output": n.node("Concat", [image, boxes, kinds, scores], axis=1)}, {"names": NAMES}, shapes={"output": ["n", 7]})


def deployed_rtdetr(path):
    """The 40 best, their boxes in pixels of the sizes (width, height) that a second input states."""
    n = Net(16)
    boxes, scores = n.corners_and_scores()
    best, cells, kinds = n.best(scores, 40)
    share = n.node("Mul", [n.rows_at(boxes, cells, 40), n.constant([1 / SIDE])])
    sizes = n.node("Cast", ["orig_target_sizes"], to=TensorProto.FLOAT)
    sizes = n.node("Unsqueeze", [n.node("Concat", [sizes, sizes], axis=1), n.constant([1], np.int64)])
    n.save(path, {"labels": kinds, "boxes": n.node("Mul", [share, sizes]), "scores": best}, integers=("labels",),
           more_inputs=[helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["N", 2])])


def mmdetection(path):
    """The 40 best: two corners and a score, and the class apart."""
    n = Net(17)
    boxes, scores = n.corners_and_scores()
    best, cells, kinds = n.best(scores, 40)
    n.save(path, {"dets": n.node("Concat", [n.rows_at(boxes, cells, 40), n.column(best)], axis=2), "labels": kinds}, integers=("labels",),
           shapes={"dets": [1, 40, 5], "labels": [1, 40]})


PRIORS = 25  # in each cell: more rows than there are queries


def ssd(path):
    """Corners as shares, and probabilities of which the first is that of no object, of every prior."""
    n = Net(18)
    count = PRIORS * sum(c * c for c in CELLS)
    values = n.node("Sigmoid", [n.node("Reshape", [n.rows(4 * PRIORS, [0] * 4 * PRIORS, 0.4), n.constant([1, count, 4], np.int64)])])
    low, sides = n.split(values, 2, 2)
    boxes = n.node("Concat", [low, n.node("Add", [low, n.node("Mul", [sides, n.constant([0.3])])])], axis=2)
    logits = n.node("Reshape", [n.rows((1 + CLASSES) * PRIORS, [1, 0, 0, 0] * PRIORS, 0.9), n.constant([1, count, 1 + CLASSES], np.int64)])
    n.save(path, {"scores": n.node("Softmax", [logits], axis=2), "boxes": boxes},
           shapes={"scores": [1, count, 1 + CLASSES], "boxes": [1, count, 4]})


def named(path):
    """Corners as shares of the input, a score and a class for each."""
    n = Net(10)
    n.levels = n.levels[1:2]
    cells = CELLS[1] ** 2

    def rows(channels, gain):
        w = n.constant(n.random.normal(0, gain, (channels, 16, 1, 1)))
        y = n.node("Reshape", [n.node("Conv", [n.levels[0], w]), n.constant([1, channels, cells], np.int64)])
        return n.node("Transpose", [y], perm=[0, 2, 1])

    boxes = n.node("Mul", [n.node("Sigmoid", [rows(4, 0.3)]), n.constant([0.4, 0.4, 0.4, 0.4])])
    boxes = n.node("Add", [boxes, n.constant([0, 0, 0.5, 0.5])])
    scores = n.node("Sigmoid", [rows(CLASSES, 0.9)])
    n.save(path, {"det_boxes": boxes, "det_scores": n.node("ReduceMax", [scores], axes=[2], keepdims=0),
                  "det_classes": n.node("ArgMax", [scores], axis=2, keepdims=0)}, integers=("det_classes",))


def end_to_end(path):
    """Rows of two corners, score and class: the 40 best of all cells and classes, as YOLOv10 gives them."""
    n = Net(12)
    boxes, scores = n.corners_and_scores()
    flat = n.node("Reshape", [scores, n.constant([1, -1], np.int64)])
    best, at = n.node("TopK", [flat, n.constant([40], np.int64)], 2, axis=1)
    row = n.node("Unsqueeze", [n.node("Div", [at, n.constant([CLASSES], np.int64)]), n.constant([2], np.int64)])
    kind = n.node("Cast", [n.node("Mod", [at, n.constant([CLASSES], np.int64)])], to=TensorProto.FLOAT)
    picked = n.node("GatherElements", [boxes, n.node("Expand", [row, n.constant([1, 40, 4], np.int64)])], axis=1)
    rest = [n.node("Unsqueeze", [x, n.constant([2], np.int64)]) for x in (best, kind)]
    n.save(path, {"output0": n.node("Concat", [picked, *rest], axis=2)}, ULTRALYTICS, shapes={"output0": [1, 40, 6]})


def heat_maps(path, seed, sizes, logits):
    """Maps of 8 x 8 cells, channels first: scores, and perhaps sizes and offsets in cells."""
    n = Net(seed)

    def head(channels, bias, gain):
        w = n.constant(n.random.normal(0, gain, (channels, 16, 1, 1)))
        return n.node("Conv", [n.levels[0], w, n.constant(bias)])

    hm = head(CLASSES, SCORE_BIAS, 0.9)
    outputs = {"hm": hm if logits else n.node("Sigmoid", [hm])}
    if sizes:
        outputs["wh"] = n.node("Softplus", [head(2, [0.8, 0.9], 0.3)])
    outputs["reg"] = n.node("Sigmoid", [head(2, [0, 0], 0.5)])
    n.save(path, outputs)


# ---- the reference

def letterbox(image, placement):
    """The image in the input, and how a point of the input goes back: (scale x, scale y, left, top)."""
    height, width = image.shape[:2]
    if placement == "stretch":
        return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), (SIDE / width, SIDE / height, 0, 0)
    r = min(SIDE / height, SIDE / width)
    new = (round(width * r), round(height * r))
    resized = cv2.resize(image, new, interpolation=cv2.INTER_LINEAR) if new != (width, height) else image
    left, top = (round((SIDE - new[0]) / 2 - 0.1), round((SIDE - new[1]) / 2 - 0.1)) if placement == "center" else (0, 0)
    return (resized, new, left, top), (r, r, left, top)


def network_input(image, placement="top_left", fill=None, scale=255.0, mean=(0, 0, 0), deviation=(1, 1, 1), bgr=False):
    placed, back = letterbox(image, placement)
    normal = lambda pixels: (pixels.astype(np.float64) / scale - mean) / deviation  # noqa: E731
    if placement == "stretch":
        x = normal(placed[:, :, ::-1] if bgr else placed)
    else:
        resized, new, left, top = placed
        x = np.zeros((SIDE, SIDE, 3)) if fill is None else normal(np.full((SIDE, SIDE, 3), fill))
        x[top:top + new[1], left:left + new[0]] = normal(resized[:, :, ::-1] if bgr else resized)
    return x.transpose(2, 0, 1)[None].astype(np.float32), back


def corners(boxes):
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


def to_image(boxes, back, image):
    sx, sy, left, top = back
    height, width = image.shape[:2]
    boxes = (boxes - [left, top, left, top]) / [sx, sy, sx, sy]
    return np.clip(boxes, 0, [width, height, width, height])


def suppressed(boxes, scores, iou):
    """Of one class; boxes clipped to what the network sees, as the program suppresses them."""
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        a = boxes[i]
        for j in kept:
            b = boxes[j]
            w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            inside = max(0, w) * max(0, h)
            if inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside) > iou:
                break
        else:
            kept.append(i)
    return kept


def detections(boxes, scores, least, iou, back, image):
    """boxes [n, 4], corners in the input; scores [n, classes]."""
    found = []
    sx, sy, left, top = back
    seen = [image.shape[1] * sx + 2 * left, image.shape[0] * sy + 2 * top]  # what lies around a centred image belongs to it at first
    clipped = np.clip(boxes, 0, seen * 2)
    whole = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    for c in range(scores.shape[1]):
        rows = np.flatnonzero((scores[:, c] > least) & whole)
        for i in suppressed(clipped[rows], scores[rows, c], iou) if iou < 1 else range(len(rows)):
            box = to_image(boxes[rows[i]][None], back, image)[0]
            if box[2] > box[0] and box[3] > box[1]:
                found.append([*box.tolist(), float(scores[rows[i], c]), c])
    return sorted(found, key=lambda d: -d[4])


def peaks(scores, least):
    """[classes, h, w] -> (class, y, x) of scores over `least` that no neighbour exceeds."""
    padded = np.pad(scores, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    around = np.max([padded[:, y:y + scores.shape[1], x:x + scores.shape[2]] for y in range(3) for x in range(3)], axis=0)
    return np.argwhere((scores >= around) & (scores > least))


def from_maps(scores, least, offset, sides, back, image):
    """sides: (c, y, x) -> width and height in pixels of the input, and whether the centre is what counts."""
    found = []
    sx, sy, left, top = back
    height, width = image.shape[:2]
    stride = SIDE / scores.shape[2]
    for c, y, x in peaks(scores, least):
        cx, cy = (x + offset[0, y, x]) * stride, (y + offset[1, y, x]) * stride
        w, h, centre_counts = sides(y, x)
        box = (np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) - [left, top, left, top]) / [sx, sy, sx, sy]
        if centre_counts:
            if not (0 <= (box[0] + box[2]) / 2 <= width and 0 <= (box[1] + box[3]) / 2 <= height):
                continue
        else:
            box = np.clip(box, 0, [width, height, width, height])
        if box[2] > box[0] and box[3] > box[1]:
            found.append([*box.tolist(), float(scores[c, y, x]), int(c)])
    return sorted(found, key=lambda d: -d[4])


def grid_decoded(boxes):
    grid = np.concatenate([np.stack(np.meshgrid(range(c), range(c)), -1).reshape(-1, 2) for c in CELLS])
    strides = np.concatenate([np.full(c * c, s) for c, s in zip(CELLS, STRIDES)])[:, None]
    return np.concatenate([(boxes[:, :2] + grid) * strides, np.exp(boxes[:, 2:]) * strides], 1)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(11)
    image = cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8), (64, 48), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "cells.png"), image[:, :, ::-1])
    cases = {}
    classes = ["--classes", "round,d'oh,flat"]

    def run(name, **how):
        x, back = network_input(image, **how)
        session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        image_input, *sizes = session.get_inputs()
        feeds = {image_input.name: x.astype(np.float16) if image_input.type == "tensor(float16)" else x}
        feeds.update({s.name: np.array([[SIDE, SIDE]], np.int64) for s in sizes})
        return [o[0] if o.ndim == 3 else o for o in session.run(None, feeds)], back

    def rows_found(boxes, scores, kinds, back, least=0.3):
        """boxes [n, 4], corners in the input, each with a score and a class, that the network has suppressed."""
        found = [[*to_image(b[None], back, image)[0].tolist(), float(s), int(c)] for b, s, c in zip(boxes, scores, kinds) if s > least]
        return sorted((d for d in found if d[2] > d[0] and d[3] > d[1]), key=lambda d: -d[4])

    def case(name, family, options, model, found, least=0.3):
        options = [*options, "--score", str(least)]
        assert 3 <= len(found) <= 100, (name, len(found))
        cases[name] = {"family": family, "options": options, "model": model, "detections": [[round(v, 4) for v in d] for d in found]}

    yolo = dict(placement="center", fill=114)
    yolov8(folder / "yolov8.onnx")
    (out,), back = run("yolov8", **yolo)
    case("yolov8", "yolov8", [], {"input": {"placement": "center", "fill": 114, "width": 64}, "classes": ["round", "d'oh", "flat"]},
         detections(corners(out[:4].T), out[4:].T, 0.3, 0.5, back, image))
    yolov8(folder / "yolov8_float16.onnx", TensorProto.FLOAT16)
    (out,), back = run("yolov8_float16", **yolo)
    out = out.astype(np.float32)
    case("yolov8_float16", "yolov8", [], {}, detections(corners(out[:4].T), out[4:].T, 0.3, 0.5, back, image))
    for name, heads in (("yolov5", False), ("yolov5_heads", True)):
        yolov5(folder / f"{name}.onnx", heads)
        (out, *_), back = run(name, **yolo)
        case(name, "yolov5", [], {"objectness": True, "suppressed": False, "outputs": {"joined": "output0"}},
             detections(corners(out[:, :4]), out[:, 5:] * out[:, 4:5], 0.45, 0.5, back, image), 0.45)
    yolov7_end_to_end(folder / "yolov7_end_to_end.onnx")
    (out,), back = run("yolov7_end_to_end", **yolo)
    case("yolov7_end_to_end", "yolov7_end_to_end", [], {"joined_form": "image_class_score", "suppressed": True},
         rows_found(out[:, 1:5], out[:, 6], out[:, 5], back))
    deployed_rtdetr(folder / "rtdetr_deployed.onnx")
    (labels, boxes, scores), back = run("rtdetr_deployed", placement="stretch")
    case("rtdetr_deployed", "rtdetr_deployed", classes, {"input": {"size_node": "orig_target_sizes", "placement": "stretch"}},
         rows_found(boxes, scores[0], labels[0], back))
    mmdetection(folder / "mmdetection.onnx")
    (out, labels), back = run("mmdetection")
    stated = ["--divisor", "255", "--mean", "0,0,0", "--deviation", "1,1,1"]
    case("mmdetection", "mmdetection", [*classes, *stated], {"joined_form": "score", "outputs": {"joined": "dets", "classes": "labels"}},
         rows_found(out[:, :4], out[:, 4], labels[0], back))
    ssd(folder / "ssd.onnx")
    (scores, boxes), back = run("ssd")
    case("ssd", "ssd", [*classes, *stated, "--box-form", "xyxy", "--box-unit", "share"],
         {"background": "first", "score_form": "probability", "suppressed": False},
         detections(boxes * SIDE, scores[:, 1:], 0.8, 0.5, back, image), 0.8)
    for name, decoded, options in (("yolox", True, classes), ("yolox_raw", False, ["--family", "yolox", *classes])):
        yolox(folder / f"{name}.onnx", decoded)
        (out,), back = run(name, fill=114, scale=1.0, bgr=True)
        boxes = out[:, :4] if decoded else grid_decoded(out[:, :4])
        case(name, "yolox", options, {} if decoded else {"grid": "yolox"},
             detections(corners(boxes), out[:, 5:] * out[:, 4:5], 0.3, 0.5, back, image))
    queries(folder / "detr.onnx", False, CLASSES + 1)
    (logits, boxes), back = run("detr", mean=[0.485, 0.456, 0.406], deviation=[0.229, 0.224, 0.225])
    shares = np.exp(logits - logits.max(1, keepdims=True))
    case("detr", "detr", classes, {"background": "last", "score_form": "softmax"},
         detections(corners(boxes * SIDE), (shares / shares.sum(1, keepdims=True))[:, :CLASSES], 0.3, 1, back, image))
    queries(folder / "rtdetr.onnx", False, CLASSES)
    (logits, boxes), back = run("rtdetr", placement="stretch")
    case("rtdetr", "rtdetr", classes, {"score_form": "sigmoid", "input": {"placement": "stretch"}},
         detections(corners(boxes * SIDE), 1 / (1 + np.exp(-logits)), 0.3, 1, back, image))
    queries(folder / "rtdetr_joined.onnx", True, CLASSES, dict(ULTRALYTICS))
    (out,), back = run("rtdetr_joined", placement="stretch")
    case("rtdetr_joined", "rtdetr_joined", [], {"box_unit": "share"},
         detections(corners(out[:, :4] * SIDE), out[:, 4:], 0.3, 1, back, image))
    torchvision(folder / "torchvision.onnx")
    (boxes, scores, labels), back = run("torchvision")
    found = [[*to_image(b[None], back, image)[0].tolist(), float(s), int(c) - 1] for b, s, c in zip(boxes, scores, labels)]
    case("torchvision", "torchvision", classes, {"box_form": "xyxy"},
         sorted((d for d in found if d[2] > d[0] and d[3] > d[1]), key=lambda d: -d[4]))
    named(folder / "named.onnx")
    (boxes, scores, labels), back = run("named")
    found = [[*to_image(b[None] * SIDE, back, image)[0].tolist(), float(s), int(c)] for b, s, c in zip(boxes, scores[0], labels[0])
             if s > 0.3]
    case("named", "boxes", [*classes, "--box-form", "xyxy", "--box-unit", "share", "--class-numbers", "channels", "--divisor", "255",
                            "--mean", "0,0,0", "--deviation", "1,1,1"], {},
         sorted((d for d in found if d[2] > d[0] and d[3] > d[1]), key=lambda d: -d[4]))
    end_to_end(folder / "yolo_end_to_end.onnx")
    (out,), back = run("yolo_end_to_end", **yolo)
    found = [[*to_image(r[None, :4], back, image)[0].tolist(), float(r[4]), int(r[5])] for r in out if r[4] > 0.3]
    case("yolo_end_to_end", "yolo_end_to_end", [], {"joined_form": "score_and_class", "suppressed": True},
         [d for d in found if d[2] > d[0] and d[3] > d[1]])
    heat_maps(folder / "centernet.onnx", 13, True, False)
    (hm, wh, reg), back = run("centernet", mean=[0.408, 0.447, 0.470], deviation=[0.289, 0.274, 0.278], bgr=True)
    hm, wh, reg = hm[0], wh[0], reg[0]
    case("centernet", "centernet", classes, {"outputs": {"heat_map": "hm", "size": "wh", "offset": "reg"}, "score_form": "probability"},
         from_maps(hm, 0.3, reg, lambda y, x: (wh[0, y, x] * 8, wh[1, y, x] * 8, False), back, image))
    heat_maps(folder / "centres.onnx", 14, False, True)
    (hm, reg), back = run("centres")
    hm, reg = 1 / (1 + np.exp(-hm[0])), reg[0]
    case("centres", "centres", [*classes, "--radius", "6", "--divisor", "255", "--mean", "0,0,0", "--deviation", "1,1,1"],
         {"radius": 6.0, "score_form": "sigmoid"}, from_maps(hm, 0.3, reg, lambda y, x: (12, 12, True), back, image))
    (folder / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    print({name: len(c["detections"]) for name, c in cases.items()})


if __name__ == "__main__":
    main()
