#!/usr/bin/env python3
"""Makes tests/data/tiling/merge/blood-mosaic-640-160.txt: what the shipped graph finds in each tile of the shipped slide, by TensorFlow.
One line per detection: tile, class, score, x0, y0, x1, y1 (level-0 pixels), cut by an inner tile edge.
usage: $(scripts/oracle_env tensorflow) scripts/make_merge_golden.py   (also needs pillow and opencv-python-headless)"""
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TILE, OVERLAP, INPUT, EDGE = 640, 160, 512, 4
MEAN, DEVIATION = 255 * np.array([0.485, 0.456, 0.406], np.float32), 255 * np.array([0.229, 0.224, 0.225], np.float32)


def load():
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString((ROOT / "models/efficientdet/efficientdet_d0_blood.pb").read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    return tf.compat.v1.Session(graph=graph)


def anchors():
    """Rows of centre y, centre x, height, width."""
    levels = []
    for level in range(3, 8):
        stride = 2**level
        cells = (np.arange(INPUT // stride) + 0.5) * stride
        for_level = np.zeros((len(cells), len(cells), 9, 4))
        for i in range(9):
            side, aspect = 4 * stride * 2 ** (i // 3 / 3), (1, 2, 0.5)[i % 3]
            for_level[:, :, i, 0], for_level[:, :, i, 1] = cells[:, None], cells[None, :]
            for_level[:, :, i, 2], for_level[:, :, i, 3] = side / aspect**0.5, side * aspect**0.5
        levels.append(for_level.reshape(-1, 4))
    return np.concatenate(levels)


def starts(length):
    return [0] if length <= TILE else [*range(0, length - TILE, TILE - OVERLAP), length - TILE]


def suppress(boxes, scores):
    order, kept = np.argsort(-scores, kind="stable"), []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order) and len(kept) < 100:
        best, order = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[order, :2]), np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = (high - low).clip(0).prod(1)
        order = order[shared / np.maximum(area[best] + area[order] - shared, 1e-9) <= 0.5]
    return kept


def main():
    session, anchor = load(), anchors()
    names = [f"{head}_{level}:0" for head in ("class_logits", "box_deltas") for level in range(3, 8)]
    slide = np.array(Image.open(ROOT / "tests/data/slides/blood-mosaic.tif").convert("RGB"))
    height, width = slide.shape[:2]
    lines = []
    for tile, (x, y) in enumerate((x, y) for y in starts(height) for x in starts(width)):
        shrunk = cv2.resize(slide[y : y + TILE, x : x + TILE], (INPUT, INPUT), interpolation=cv2.INTER_LINEAR)
        out = session.run(names, {"image:0": ((shrunk - MEAN) / DEVIATION)[None]})
        logits = np.concatenate([o.reshape(-1, 3) for o in out[:5]]).astype(np.float64)
        delta = np.concatenate([o.reshape(-1, 4) for o in out[5:]])
        centre, size = delta[:, :2] * anchor[:, 2:] + anchor[:, :2], np.exp(delta[:, 2:]) * anchor[:, 2:]
        boxes = (np.concatenate([centre - size / 2, centre + size / 2], 1)[:, [1, 0, 3, 2]] * (TILE / INPUT)).clip(0, TILE)
        score = 1 / (1 + np.exp(-logits))
        found = []
        for c in range(3):
            candidates = np.where(score[:, c] > 0.05)[0]
            candidates = candidates[np.argsort(-score[candidates, c], kind="stable")[:5000]]
            found += [(score[candidates[k], c], c, *boxes[candidates[k]]) for k in suppress(boxes[candidates], score[candidates, c])]
        for s, c, *box in sorted(found, reverse=True)[:100]:
            inner = (x > 0, y > 0, x + TILE < width, y + TILE < height)
            near = (box[0] < EDGE, box[1] < EDGE, box[2] > TILE - EDGE, box[3] > TILE - EDGE)
            cut = any(i and n for i, n in zip(inner, near))
            lines.append(f"{tile} {c} {s:.4f} {box[0] + x:.1f} {box[1] + y:.1f} {box[2] + x:.1f} {box[3] + y:.1f} {int(cut)}")
    (ROOT / "tests/data/tiling/merge/blood-mosaic-640-160.txt").write_text("\n".join(lines) + "\n")
    print(len(lines), "detections")


main()
