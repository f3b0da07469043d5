"""A model for SAHI's sliced inference (pip install sahi): SAHI cuts the image and joins the boxes, cytodet runs the network.

    from sahi.predict import get_sliced_prediction
    from cytodet.sahi import CytodetDetectionModel
    model = CytodetDetectionModel(model_path="model.json", confidence_threshold=0.3)
    get_sliced_prediction("slide.png", model, slice_height=640, slice_width=640)

cytodet.Model.detect() does all of this itself, on slides of any size; this class is for code that has SAHI in it already.
"""
from __future__ import annotations

from typing import Any, List, Optional

import numpy as np

from sahi.models.base import DetectionModel
from sahi.prediction import ObjectPrediction

from cytodet import _model


class CytodetDetectionModel(DetectionModel):
    """sahi.models.base.DetectionModel on a cytodet model file; options are SAHI's, `device` is not used."""

    required_packages: List[str] = []

    def set_device(self, device: Optional[str] = None) -> None:
        self.device = "cpu"

    def load_model(self) -> None:
        self.set_model(_model.Model(self.model_path))

    def set_model(self, model: Any, **unused: Any) -> None:
        self.model = model
        self.category_mapping = {str(c): name for c, name in enumerate(model.class_names)}

    def unload_model(self) -> None:
        self.model = None

    @property
    def num_categories(self) -> int:
        return len(self.model.class_names)

    @property
    def category_names(self) -> List[str]:
        return list(self.model.class_names)

    @property
    def has_mask(self) -> bool:
        return False

    def perform_inference(self, image: np.ndarray) -> None:
        """image: uint8 [height, width, 3], RGB; it becomes one input of the network."""
        self._original_predictions = self.model.detect(image, mode="image")

    def _create_object_prediction_list_from_original_predictions(self, shift_amount_list: Any = ((0, 0),),
                                                                 full_shape_list: Any = None) -> None:
        shift, full = shift_amount_list or [0, 0], full_shape_list
        shift = shift[0] if isinstance(shift[0], (list, tuple)) else shift
        full = full[0] if full and isinstance(full[0], (list, tuple)) else full
        found = self._original_predictions
        predictions = [
            ObjectPrediction(bbox=box, category_id=int(c), category_name=found.class_names[c], score=float(s), shift_amount=shift,
                             full_shape=full)
            for box, s, c in zip(found.boxes.tolist(), found.scores, found.classes)
            if s >= self.confidence_threshold and box[0] < box[2] and box[1] < box[3]]
        self._object_prediction_list_per_image = [predictions]
