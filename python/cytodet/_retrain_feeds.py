"""What a network is retrained on: feeds in memory or in a folder, their order and batches, the targets of a detector's heads."""
import collections
import concurrent.futures
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, Union

import numpy as np

Feed = dict[Any, Any]  # input name -> array


def order(feeds: int, buffer_size: int, repeat_count: int, seed: int) -> Iterator[int]:
    """Indices of feeds, `repeat_count` rounds of all of them (0: without end), each round in another order: drawn from a buffer of
    `buffer_size` feeds, as tf.data shuffles (0: of all)."""
    random = np.random.RandomState(seed)
    done = 0
    while repeat_count == 0 or done < repeat_count:
        done += 1
        if not 0 < buffer_size < feeds:
            yield from map(int, random.permutation(feeds))
            continue
        buffer = list(range(buffer_size))
        for coming in range(buffer_size, feeds):
            at = random.randint(buffer_size)
            yield buffer[at]
            buffer[at] = coming
        random.shuffle(buffer)
        yield from buffer


def groups(order: Iterator[int], size: int) -> Iterator[list[int]]:
    """Batches of `size` indices; the last one of what is left."""
    group: list[int] = []
    for at in order:
        group.append(at)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def loaded(feed: Feed) -> Feed:
    return {key: np.asarray(value() if callable(value) else value) for key, value in feed.items()}


def batches(feeds: list[Feed], groups: Iterator[list[int]], readers: int) -> Iterator[list[Feed]]:
    """The feeds of the groups, read by `readers` threads ahead of their use."""
    with concurrent.futures.ThreadPoolExecutor(max(1, readers)) as pool:
        waiting: collections.deque[list[concurrent.futures.Future[Feed]]] = collections.deque()
        for group in groups:
            waiting.append([pool.submit(loaded, feeds[at]) for at in group])
            if len(waiting) > max(1, readers):
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]


def feeds_of(data: Union[str, "os.PathLike[str]", Sequence[Feed]], labels_key: str = "labels") -> list[Feed]:
    """A list of dicts: the list itself, or of a folder the feeds (.json) as `cytodet infer` takes them, or the arrays (.npy) that
    `cytodet quantize --dump-feeds` writes, of the network's only input, whose key is None; with their labels where there are such.
    Values are arrays, or functions that make them."""
    if not isinstance(data, (str, os.PathLike)):
        return list(data)
    labels: dict[str, Any] = {}
    anchors = None
    if os.path.exists(os.path.join(data, "labels.json")):
        with open(os.path.join(data, "labels.json"), encoding="utf-8") as file:
            labels = json.load(file)
        if os.path.exists(os.path.join(data, "priors.npy")):
            anchors = np.load(os.path.join(data, "priors.npy"))
    arrays = [name for name in sorted(os.listdir(data)) if name.endswith(".npy") and name != "priors.npy"]
    if arrays:
        found: list[Feed] = [{None: np.load(os.path.join(data, name), mmap_mode="r")} for name in arrays]
        for name, feed in zip(arrays, found):
            if "class" in labels.get(name, {}):
                feed[labels_key] = np.asarray([labels[name]["class"]], "i4")
            elif "boxes" in labels.get(name, {}) and anchors is not None:
                feed[labels_key] = Targets(labels[name]["boxes"], anchors)
        return found
    types = {"float32": "f4", "float64": "f8", "int32": "i4", "int64": "i8", "uint8": "u1", "int8": "i1", "bool": "?"}
    found = []
    for name in sorted(os.listdir(data)):
        if not name.endswith(".json") or name == "labels.json":
            continue
        with open(os.path.join(data, name), encoding="utf-8") as file:
            inputs = json.load(file)["inputs"]
        found.append({key: np.asarray(t["data"], types[t["dtype"]]).reshape(t["shape"]) for key, t in inputs.items()})
    return found


class Targets:
    """box_targets() of one image, made when they are needed."""

    def __init__(self, boxes: list[list[float]], anchors: Any) -> None:
        self.boxes, self.anchors = boxes, anchors

    def __call__(self) -> Any:
        return box_targets(self.boxes, self.anchors)[None]


def box_targets(boxes: Sequence[Sequence[float]], anchors: Any, positive_iou: float = 0.5) -> Any:
    """What the heads of a detector should say of an image, [anchors, 5]: the class of the box that an anchor (centre x and y, width,
    height) overlaps most, -1 for the background, and that box as (ty, tx, th, tw) of the anchor. A box (x0, y0, x1, y1, class) that
    no anchor overlaps by `positive_iou` is given the anchor that is nearest to it."""
    targets = np.zeros((len(anchors), 5), "f4")
    targets[:, 0] = -1
    if not len(boxes):
        return targets
    wanted = np.asarray(boxes, "f4").reshape(-1, 5)
    low, high = anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2
    common = np.ones((len(anchors), len(wanted)), "f4")
    for axis in (0, 1):
        first, last = np.maximum(low[:, axis, None], wanted[:, axis]), np.minimum(high[:, axis, None], wanted[:, 2 + axis])
        common *= np.maximum(last - first, 0)
    areas = (wanted[:, 2] - wanted[:, 0]) * (wanted[:, 3] - wanted[:, 1])
    iou = common / np.maximum(np.prod(anchors[:, 2:], axis=1)[:, None] + areas[None] - common, 1e-9)
    box_of = np.where(iou.max(axis=1) >= positive_iou, iou.argmax(axis=1), -1)
    box_of[iou.argmax(axis=0)] = np.arange(len(wanted))
    inside = box_of >= 0
    of, at = wanted[box_of[inside]], anchors[inside]
    size = np.maximum(of[:, 2:4] - of[:, :2], 1e-3)
    centre = (of[:, :2] + of[:, 2:4]) / 2
    targets[inside, 0] = of[:, 4]
    targets[inside, 1:3] = ((centre - at[:, :2]) / at[:, 2:])[:, ::-1]
    targets[inside, 3:5] = np.log(size / at[:, 2:])[:, ::-1]
    return targets
