"""Regions of slides; graphs: looked into, run, optimized, quantized, measured."""
import json
import pickle

import numpy as np
import pytest

import cytodet
from conftest import IMAGE, IMAGES, MODEL, SLIDE, SOURCE, json_of, program, usage

GRAPH = MODEL.with_suffix(".pb")
OPS = SOURCE / "tests/data/graph/ops"


def test_regions_of_a_slide():
    with cytodet.open_slide(SLIDE) as slide:
        assert (slide.width, slide.height) == (4120, 3160) and slide.levels[0].downsample == 1
        region = slide.read(0, 100, 200, 64, 32)
        assert region.shape == (32, 64, 3) and region.dtype == np.uint8
        assert np.array_equal(region, slide.read(0, 90, 190, 100, 60)[10:42, 10:74])
        assert (slide.read(0, -20, -20, 10, 10) == 255).all()
        assert np.array_equal(region, slide.read_scaled((100, 200, 164, 232), 64, 32))
        assert max(slide.thumbnail(300).shape[:2]) == 300
        assert pickle.loads(pickle.dumps(slide)).read(0, 100, 200, 64, 32).tobytes() == region.tobytes()
        usage(lambda: slide.read(99, 0, 0, 5, 5), "level: is 99")
        usage(lambda: slide.read(0, 0, 0, 0, 5), "0 x 5 pixels")
        usage(lambda: slide.read(0, 0.5, 0, 5, 5), "x: is 0.5")
        usage(lambda: slide.read(0, 0, 0, 1 << 40, 5), "w: is 1099511627776")
        usage(lambda: slide.read_scaled((0, 0, 0, 5), 5, 5), "area: is empty")
        with pytest.raises(cytodet.OutOfMemoryError, match=r"blood-mosaic.tif: 2147483647 x 2147483647 pixels are .* GiB, more than memory"):
            slide.read(0, 0, 0, 2**31 - 1, 2**31 - 1)
    usage(lambda: cytodet.open_slide(IMAGE, page=-1), "page")
    with pytest.raises(cytodet.Error, match="none.tif: cannot open"):
        cytodet.open_slide("none.tif")


def cases(count):
    """Small graphs of one op each, on all types, with TensorFlow's answers."""
    found = []
    for folder in sorted(OPS.iterdir()):
        case = json_of(folder / "case.json")
        types = {t["dtype"] for part in ("inputs", "outputs") for t in case[part].values()}
        if case["inputs"] and types.isdisjoint({"string", "complex64", "complex128", "resource", "variant"}):
            found.append(pytest.param(folder, case, id=folder.name))
    return found[:: max(1, len(found) // count)]


def tensor(t):
    dtype = t["dtype"].lstrip("q").replace("bfloat16", "float32")
    return np.array([float(v) if isinstance(v, str) else v for v in t["data"]], dtype).reshape(t["shape"])


TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2}


@pytest.mark.parametrize("folder, case", cases(25))
def test_graphs_answer_as_tensorflow(folder, case):
    feeds = {name: tensor(t) for name, t in case["inputs"].items()}
    for plain in (False, True):
        with cytodet.Graph(folder / "graph.pb", plain=plain) as graph:
            for _ in range(2):  # compiled, then as it was compiled
                answers = graph.run(feeds, list(case["outputs"]))
                for name, wanted in case["outputs"].items():
                    assert answers[name].dtype == tensor(wanted).dtype
                    slack = TOLERANCE.get(wanted["dtype"], 3 if wanted["dtype"].startswith("q") else 1e-4)
                    np.testing.assert_allclose(answers[name].astype(np.float64), tensor(wanted).astype(np.float64), rtol=1e-4,
                                               atol=slack)


def test_a_graph_is_looked_into(tmp_path):
    graph = cytodet.Graph(GRAPH)
    assert graph.description == json.loads(program("inspect", GRAPH, "--json"))
    assert graph.inputs[0].name == "image" and graph.inputs[0].dtype == "float32" and len(graph.inputs[0].shape) == 4
    assert [o.name for o in graph.outputs] == graph.description["outputs"]
    assert graph.ops["Conv2D"] > 50 and graph.macs > 1e9 and graph.parameters > 1e6
    assert {"name", "op", "inputs", "outputs", "macs"} <= set(graph.nodes[0])


def test_a_network_as_a_graph_gives_what_the_model_gives(model, pixels):
    graph = cytodet.Graph(GRAPH)
    height, width = model.input_size
    value = np.random.default_rng(1).normal(size=(1, height, width, 3)).astype(np.float32)
    by_model, by_graph = model.network(value), graph.run({"image": value}, list(model.network(value)))
    for name, output in by_model.items():
        np.testing.assert_allclose(output, by_graph[name], atol=1e-3)


@pytest.mark.parametrize("opened, options", [(cytodet.Model, {"streams": 1, "threads": 2, "score": 0.3}),
                                             (cytodet.Slide, {"stretch": "none"}), (cytodet.Graph, {"threads": 2})])
def test_what_is_opened_is_closed_and_opened_again(opened, options):
    path = {cytodet.Model: MODEL, cytodet.Slide: IMAGE, cytodet.Graph: GRAPH}[opened]
    with opened(path, **options) as first:
        second = pickle.loads(pickle.dumps(first))
        assert isinstance(second, opened) and second._options == first._options and options.items() <= first._options.items()
        assert second.path == str(path)
    name = opened.__name__.lower()
    usage(first._opened, f"the {name} is closed", "load it again" if opened is cytodet.Model else "open it again")
    first.close()
    second._opened()


def test_feeds_that_do_not_fit_are_refused():
    graph = cytodet.Graph(GRAPH)
    name, output = "image", "class_logits_3"
    good = np.zeros((1, 512, 512, 3), np.float32)
    usage(lambda: graph.run({name: good.astype(np.float64)}, output), "is fed float64, but the graph takes float32; feed float32")
    usage(lambda: graph.run({name: np.zeros((1, 512, 512, 4), np.float32)}, output), str(GRAPH),
          "is fed [1,512,512,4], but the graph takes")
    usage(lambda: graph.run({"nothing": good}, output), "node nothing: there is no such node in the graph")
    usage(lambda: graph.run({name: good}, "no_such"), "node no_such: there is no such node in the graph")
    usage(lambda: graph.run({}, output), name, "is not fed")
    usage(lambda: graph.run({name: good}), "training/targets", "is not fed")
    usage(lambda: graph.run(good), "feeds: is ndarray, and the graph has 2 inputs", "image, training/targets")
    usage(lambda: graph.run({name: np.array(["a"])}), "feed numbers or bools")
    usage(lambda: graph.run({name: [[1], [2, 3]]}), "feed an array")
    graph.close()
    usage(lambda: graph.run({name: good}), "the graph is closed")
    usage(lambda: cytodet.Graph(GRAPH, threads=0), "threads")
    usage(lambda: cytodet.Graph(GRAPH, sizes={"imagee": (1, 2, 3, 3)}), "imagee")


def test_optimized_graphs_are_the_programs(tmp_path):
    report = cytodet.optimize(GRAPH, tmp_path / "ours.pb", check=False)
    program("optimize", GRAPH, "-o", tmp_path / "theirs.pb", "--no-check")
    assert (tmp_path / "ours.pb").read_bytes() == (tmp_path / "theirs.pb").read_bytes()
    assert 0 < report.nodes_after <= report.nodes_before
    usage(lambda: cytodet.optimize(GRAPH, GRAPH), "efficientdet_d0_blood.pb")
    usage(lambda: cytodet.optimize(GRAPH, tmp_path / "o.pb", passes=["fold_constant"]), "fold_constants")


def test_calibrated_and_quantized_graphs_are_the_programs(model, tmp_path):
    told = []
    report = cytodet.calibrate(model, IMAGES, tmp_path / "ranges.json", max_images=3, progress=told.append)
    assert report.images == 3 and report.ranges > 100 and told[-1].inputs_done == told[-1].inputs == 3
    program("calibrate", MODEL, "--images", IMAGES, "--max-images", 3, "-o", tmp_path / "theirs.json", "--quiet")
    assert json_of(tmp_path / "ranges.json") == json_of(tmp_path / "theirs.json")
    made = cytodet.quantize(model, tmp_path / "ours.pb", ranges=tmp_path / "ranges.json", check=False)
    assert made.layers >= made.int8_layers > 100
    program("quantize", MODEL, "--ranges", tmp_path / "ranges.json", "-o", tmp_path / "also.pb", "--no-check", "--quiet")
    assert (tmp_path / "ours.pb").read_bytes() == (tmp_path / "also.pb").read_bytes()
    with cytodet.load(tmp_path / "ours.json") as int8:
        assert len(int8.detect(IMAGE)) > 5
    usage(lambda: cytodet.quantize(model, tmp_path / "x.pb"), "images")


def test_arrays_calibrate_as_their_files(model, tmp_path):
    names = sorted(IMAGES.glob("*.jpg"))[:2]
    (tmp_path / "images").mkdir()
    arrays = []
    for name in names:
        (tmp_path / "images" / name.name).write_bytes(name.read_bytes())
        with cytodet.open_slide(name) as slide:
            arrays.append(slide.read(0, 0, 0, slide.width, slide.height))
    cytodet.calibrate(model, tmp_path / "images", tmp_path / "files.json")
    report = cytodet.calibrate(MODEL, (a for a in arrays), tmp_path / "arrays.json")
    assert report.images == 2
    files, ours = json_of(tmp_path / "files.json"), json_of(tmp_path / "arrays.json")
    assert files.keys() == ours.keys() and {k for k in files if files[k] != ours[k]} <= {"data", "images", "name"}
    made = cytodet.quantize(MODEL, tmp_path / "int8.pb", images=arrays, check=False)
    assert made.int8_layers > 100
    usage(lambda: cytodet.calibrate(model, [], tmp_path / "x.json"), "images: is empty")
    usage(lambda: cytodet.calibrate(model, arrays[0], tmp_path / "x.json"), "images: is one array")

    def stop(p):
        raise KeyError("enough")

    with pytest.raises(KeyError):
        cytodet.calibrate(model, arrays, tmp_path / "stopped.json", progress=stop)
    assert not (tmp_path / "stopped.json").exists()


def test_quantizing_on_a_folder_tells_of_its_calibration_and_may_be_stopped(tmp_path):
    def stop(p):
        raise KeyError("enough")

    with pytest.raises(KeyError):
        cytodet.quantize(MODEL, tmp_path / "int8.pb", images=IMAGES, max_images=3, check=False, progress=stop)
    assert not (tmp_path / "int8.pb").exists()
    told = []
    cytodet.quantize(MODEL, tmp_path / "int8.pb", images=IMAGES, max_images=3, check=False, progress=told.append)
    assert told[-1].inputs_done == told[-1].inputs == 3


def test_settings_reach_the_calibration_on_arrays(tmp_path):
    with cytodet.open_slide(IMAGE) as slide:
        images = [slide.read(0, 0, 0, slide.width, slide.height)]
    cut = {"method": "percentile", "percentile": 60}
    cytodet.quantize(MODEL, tmp_path / "ours.pb", images=images, settings=cut, check=False)
    cytodet.calibrate(MODEL, images, tmp_path / "cut.json", **cut)
    cytodet.quantize(MODEL, tmp_path / "theirs.pb", ranges=tmp_path / "cut.json", check=False)
    assert (tmp_path / "ours.pb").read_bytes() == (tmp_path / "theirs.pb").read_bytes()


def test_speed_is_measured():
    speed = cytodet.bench(MODEL, seconds=0.2, streams=1, layers=True, rounds=1)
    assert speed["ms_per_image"] > 0 and speed["streams"] == 1 and len(speed["layers"]) > 100
    with pytest.raises(cytodet.Error, match="none.json"):
        cytodet.bench("none.json")
    usage(lambda: cytodet.bench(MODEL, hint="speed"), "speed")
