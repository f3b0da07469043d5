"""cytodet finds cells on images and whole slides, on an ordinary CPU.

    import cytodet
    model = cytodet.load("model.json")
    found = model.detect("slide.tif")        # or a numpy array, uint8 [height, width, 3]
    found.boxes, found.scores, found.classes  # numpy columns
    found.to_pandas(), found.to_coco(), found.to_geojson(), found.to_supervision()

Boxes are x0, y0, x1, y1 in level-0 pixels: x to the right, y down, 0 the left edge of the first pixel. What goes wrong is raised as
cytodet.Error, whose text is the line that the program prints. Names are loaded when they are first used, so that `import cytodet`
takes a few milliseconds.
"""
import importlib

_HOMES = {
    "Error": "_errors", "UsageError": "_errors", "StoppedError": "_errors", "OutOfMemoryError": "_errors",
    "Progress": "_progress",
    "Model": "_model", "load": "_model", "RunSummary": "_model",
    "Result": "_result", "Results": "_result",
    "Slide": "_slide", "Level": "_slide", "open_slide": "_slide",
    "Graph": "_graph", "TensorInfo": "_graph",
    "GroundTruth": "_evaluate", "Scores": "_evaluate", "ClassScores": "_evaluate", "evaluate": "_evaluate",
    "optimize": "_tools", "calibrate": "_tools", "quantize": "_tools", "bench": "_tools", "OptimizeReport": "_tools",
    "CalibrateReport": "_tools", "QuantizeReport": "_tools",
    "GraphConverter": "graph_converter",
    "__version__": "_version",
}

__all__ = sorted(name for name in _HOMES if not name.startswith("_"))


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'cytodet' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cytodet.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOMES])
