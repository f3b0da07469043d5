"""What was found."""
from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from cytodet import _binding, _errors, _settings
from cytodet._settings import PathLike

_STATES = ("done", "failed", "skipped")  # values of cytodet_state


class Result:
    """What was found in one image or slide. Rows are detections, the highest score first; columns may be changed and filtered.

    boxes: float64 [n, 4], x0, y0, x1, y1 in level-0 pixels. scores: float32 [n], 0 to 1. classes: int32 [n], from 0; names in
    `class_names`, COCO's ids in `category_ids`, the scores from which they count in `operating_scores`.
    name: path of the file, or name of the image. width, height: level-0 pixels. mpp: micrometres per level-0 pixel, across and
    down; 0: not known. tiles, tiles_run, bad_tiles: of the grid, those that were run, those of them that are damaged.
    state: "done"; "failed", then `error` is a cytodet.Error; "skipped", then `skip_reason` says why. warnings: texts.
    """

    def __init__(self, name: str, boxes: Any, scores: Any, classes: Any, class_names: Sequence[str],
                 category_ids: Optional[Sequence[int]] = None, width: int = 0, height: int = 0,
                 mpp: Tuple[float, float] = (0.0, 0.0)) -> None:
        """Detections from anywhere as a result: boxes [n, 4] in pixels, scores [n], classes [n] as places in class_names.

        UsageError: columns of other shapes.
        """
        self.name = name
        self.boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        self.scores = np.asarray(scores, np.float32).reshape(-1)
        self.classes = np.asarray(classes, np.int32).reshape(-1)
        self.class_names = tuple(class_names)
        self.category_ids = tuple(range(1, len(self.class_names) + 1) if category_ids is None else map(int, category_ids))
        self.operating_scores: Tuple[float, ...] = (0.4,) * len(self.class_names)
        self.width, self.height, self.mpp = int(width), int(height), mpp
        self.tiles = self.tiles_run = self.bad_tiles = 0
        self.state, self.skip_reason = "done", ""
        self.error: Optional[_errors.Error] = None
        self.warnings: List[str] = []
        self._check()

    @classmethod
    def _of(cls, raw: Dict[str, Any], class_names: Tuple[str, ...], category_ids: Tuple[int, ...],
            operating_scores: Tuple[float, ...]) -> "Result":
        r = cls.__new__(cls)
        r.boxes, r.scores, r.classes = raw["columns"]
        r.class_names, r.category_ids, r.operating_scores = class_names, category_ids, operating_scores
        for key in ("name", "width", "height", "mpp", "tiles", "tiles_run", "bad_tiles", "skip_reason", "warnings"):
            setattr(r, key, raw[key])
        r.state = _STATES[raw["state"]]
        r.error = _errors.make(*raw["error"]) if raw["error"] else None
        return r

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        what = f"{len(self)} detections" if self.state == "done" else self.state
        return f"<cytodet.Result {self.name}: {self.width} x {self.height} pixels, {what}>"

    def __getitem__(self, rows: Any) -> "Result":
        """The detections of a mask, slice or list of rows: found[found.scores > 0.5]."""
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        r = Result.__new__(Result)
        r.__dict__.update(self.__dict__)
        r.boxes, r.scores, r.classes = self.boxes[rows], self.scores[rows], self.classes[rows]
        return r

    def counted(self) -> "Result":
        """The detections that count as cells: those from the operating score of their class on (docs/operating_point.md). Pictures,
        counts and exports of the program hold these; AP looks at all."""
        return self[self.scores >= np.asarray(self.operating_scores, np.float64)[self.classes]]

    @property
    def labels(self) -> List[str]:
        """Name of the class of each detection."""
        return [self.class_names[c] for c in self.classes]

    def to_coco(self, image_id: int = 1) -> List[Dict[str, Any]]:
        """COCO results: [{"image_id", "category_id", "bbox": [x, y, width, height], "score"}] in level-0 pixels."""
        return [{"image_id": image_id, "category_id": self.category_ids[c], "bbox": [x0, y0, x1 - x0, y1 - y0], "score": s}
                for (x0, y0, x1, y1), s, c in zip(self.boxes.tolist(), self.scores.tolist(), self.classes.tolist())]

    def to_geojson(self, origin: str = "bounds") -> Dict[str, Any]:
        """A FeatureCollection of all rows as QuPath opens it: level-0 pixels, two decimals, from the corner of what was scanned (origin
        "bounds") or of the slide's canvas ("slide"). `cytodet export` writes that of counted()."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "cells.geojson")
            self.save(path, origin=origin)
            with open(path, encoding="utf-8") as file:
                collection: Dict[str, Any] = json.load(file)
        return collection

    def to_pandas(self) -> Any:
        """A DataFrame with the columns image, class, score, x0, y0, x1, y1 (level-0 pixels), category_id."""
        import pandas as pd

        return pd.DataFrame({
            "image": self.name, "class": pd.Categorical.from_codes(self.classes, pd.Index(self.class_names))
            if len(set(self.class_names)) == len(self.class_names) else self.labels,
            "score": self.scores, "x0": self.boxes[:, 0], "y0": self.boxes[:, 1], "x1": self.boxes[:, 2], "y1": self.boxes[:, 3],
            "category_id": np.asarray(self.category_ids, np.int64)[self.classes],
        })

    def to_supervision(self) -> Any:
        """supervision.Detections: xyxy in level-0 pixels, confidence, class_id from 0, data["class_name"]."""
        import supervision as sv

        return sv.Detections(xyxy=self.boxes.astype(np.float32), confidence=self.scores.copy(), class_id=self.classes.astype(int),
                             data={"class_name": np.array(self.labels, dtype=str)})

    def save(self, path: PathLike, *, image_id: int = 1, origin: Optional[str] = None, crops: Optional[int] = None) -> None:
        """Writes all rows, also those below the operating point, in the form that the file's name says: .geojson, .geojson.gz, .csv,
        .excel.csv, .coco.json, .heatmap.png, .crops.png, .summary.json, other .json (box list). found.counted().save(...) writes
        the cells alone, as `cytodet export` and run folders do. The png forms need the image's file. Error: a form that is not
        known, a file that cannot be written."""
        settings = _settings.nested({"image_id": image_id, "origin": origin, "crops": crops})
        _binding.write_detections(self._columns(), list(self.class_names), _settings.path_bytes(path), _settings.text_of(settings))

    def _check(self) -> None:
        n = len(self.scores)
        if len(self.boxes) != n or len(self.classes) != n:
            raise _errors.usage(self.name, f"has {len(self.boxes)} boxes, {n} scores and {len(self.classes)} classes",
                                "give one of each per detection")
        if len(self.category_ids) != len(self.class_names):
            raise _errors.usage(self.name, f"has {len(self.category_ids)} category ids for {len(self.class_names)} classes")
        if n and not (0 <= self.classes.min() and self.classes.max() < len(self.class_names)):
            raise _errors.usage(self.name, "has a class outside of class_names", f"give 0 to {len(self.class_names) - 1}")

    def _columns(self) -> Tuple[Any, ...]:
        """For the binding."""
        self.boxes = np.asarray(self.boxes, np.float64).reshape(-1, 4)
        self.scores, self.classes = np.asarray(self.scores, np.float32), np.asarray(self.classes, np.int32)
        self._check()
        return (self.name, self.width, self.height, np.ascontiguousarray(self.boxes), np.ascontiguousarray(self.scores),
                np.ascontiguousarray(self.classes), list(self.category_ids))


class Results(List[Result]):
    """The results of several inputs, in their order: a list. stopped: inputs that were not finished are missing."""

    def __init__(self, results: Iterable[Result] = (), stopped: bool = False) -> None:
        super().__init__(results)
        self.stopped = stopped

    def to_coco(self) -> List[Dict[str, Any]]:
        """COCO results of all; image_id is 1, 2, ... in the order of the list."""
        return [row for i, r in enumerate(self) for row in r.to_coco(i + 1)]

    def to_pandas(self) -> Any:
        """The rows of all in one DataFrame."""
        import pandas as pd

        return pd.concat([r.to_pandas() for r in self], ignore_index=True) if self else pd.DataFrame()
