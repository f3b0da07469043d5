"""The model for SAHI."""
import pytest

pytest.importorskip("sahi")

from conftest import MODEL, SLIDE, IMAGE  # noqa: E402

import cytodet  # noqa: E402


def test_sahi_finds_what_the_model_finds(model, pixels):
    from sahi.predict import get_prediction, get_sliced_prediction

    from cytodet.sahi import CytodetDetectionModel

    wrapped = CytodetDetectionModel(model_path=str(MODEL), confidence_threshold=0.3)
    assert wrapped.num_categories == 3 and not wrapped.has_mask
    found = model.detect(pixels)
    predictions = get_prediction(pixels, wrapped).object_prediction_list
    assert len(predictions) == int((found.scores >= 0.3).sum()) > 5
    assert predictions[0].bbox.to_xyxy() == pytest.approx(found.boxes[0].tolist(), abs=0.01)
    with cytodet.open_slide(SLIDE) as slide:
        region = slide.read(0, 0, 0, 1280, 960)
    sliced = get_sliced_prediction(region, wrapped, slice_height=640, slice_width=640, verbose=0)
    assert len(sliced.object_prediction_list) > 20
    assert max(p.bbox.maxx for p in sliced.object_prediction_list) > 700
    assert IMAGE.exists()
