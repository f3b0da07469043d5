"""The example notebook runs and shows pictures."""
import json

import pytest

pytest.importorskip("nbconvert")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

from conftest import SOURCE  # noqa: E402


def test_the_notebook_runs_and_shows_pictures(tmp_path, monkeypatch):
    import nbformat
    from nbconvert.preprocessors import ExecutePreprocessor

    monkeypatch.setenv("CYTODET_SOURCE", str(SOURCE))
    notebook = nbformat.read(str(SOURCE / "examples/python/cells.ipynb"), as_version=4)
    ExecutePreprocessor(timeout=300, kernel_name="python3").preprocess(notebook, {"metadata": {"path": str(tmp_path)}})
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    pictures = [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 3 and all(len(p) > 5000 for p in pictures)
    assert not any(o.output_type == "error" for o in outputs)
    assert "AP50" in json.dumps([o.get("data", {}) for o in outputs])
