"""Scores of detections, as COCO counts them."""
from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np

from cytodet import _binding, _settings
from cytodet._errors import usage
from cytodet._result import Result
from cytodet._settings import PathLike


class ClassScores(NamedTuple):
    """Figures of a class. annotations: number of those that count. A figure of -1: nothing to score."""

    name: str
    annotations: int
    ap: float
    ap50: float
    ap75: float
    ar: float


class Scores:
    """stats: float64 [12] in the order of COCOeval.stats: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl (as many
    AR as max_dets has numbers); -1: nothing to score. figures: the same by name. classes: list of ClassScores. warnings: texts."""

    def __init__(self, raw: Dict[str, Any]) -> None:
        self.figures: Dict[str, float] = raw["figures"]
        self.stats: np.ndarray = np.array(list(self.figures.values()), np.float64)
        self.classes: List[ClassScores] = [ClassScores(*c) for c in raw["classes"]]
        self.warnings: List[str] = raw["warnings"]

    def __getitem__(self, figure: str) -> float:
        return self.figures[figure]

    def __repr__(self) -> str:
        return "<cytodet.Scores " + ", ".join(f"{k} {v:.4f}" for k, v in list(self.figures.items())[:3]) + ">"


class GroundTruth:
    """COCO ground truth: a file, or its content as a dict. images, annotations: how many there are. Error: it is none; the text
    names the element."""

    def __init__(self, source: Union[PathLike, Mapping[str, Any]]) -> None:
        if isinstance(source, Mapping):
            self._handle = _binding.GroundTruth.parse(json.dumps(source, default=_settings.plain))
        else:
            self._handle = _binding.GroundTruth.open(_settings.path_bytes(source, "truth"))
        self.images: int = self._handle.images
        self.annotations: int = self._handle.annotations


def evaluate(truth: Union[GroundTruth, PathLike, Mapping[str, Any]], results: Any, *, max_dets: Sequence[int] = (1, 10, 100),
             pooled: bool = False, roi: Optional[PathLike] = None) -> Scores:
    """COCO's figures for boxes, as pycocotools' COCOeval computes them.

    truth: a GroundTruth, a COCO file, or its content. results: a Result or a list of them, whose images are found in the ground truth
    by the ends of their names; a COCO results file; or a list of COCO results [{"image_id", "category_id", "bbox", "score"}].
    Images of the ground truth without detections count as missed. max_dets: detections per image and class that are scored; AP is
    at the last. pooled: all classes as one. roi: only what lies in these regions of interest counts.
    Error: a file that cannot be read, an image or class that the ground truth lacks.
    """
    if not isinstance(truth, GroundTruth):
        truth = GroundTruth(truth)
    handle = truth._handle
    text = _settings.text_of(_settings.nested({
        "max_dets": [int(n) for n in max_dets], "pooled": pooled,
        "roi": None if roi is None else os.fsdecode(_settings.path_bytes(roi, "roi"))}))
    if isinstance(results, Result):
        results = [results]
    if isinstance(results, (str, bytes, os.PathLike)):
        return Scores(handle.evaluate_file(_settings.path_bytes(results, "results"), text))
    if not isinstance(results, (list, tuple)):
        raise usage("results", f"is {type(results).__name__}", "give Results, a COCO results file, or a list of COCO results")
    if results and all(isinstance(r, Result) for r in results):
        first = results[0]
        for r in results:
            if (r.class_names, r.category_ids) != (first.class_names, first.category_ids):
                raise usage(r.name, "has other classes than " + first.name, "evaluate results of one model")
        done = [r._columns() for r in results if r.state == "done"]
        return Scores(handle.evaluate_detections(done, list(first.class_names), text))
    return Scores(handle.evaluate_json(json.dumps(results, default=_settings.plain), text))
