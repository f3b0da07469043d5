"""cytodet.distributed by clients of the test: no cluster is needed to lose tasks, answers and callers."""
import json
import pathlib
import shutil
import subprocess

import pytest

import cytodet
from cytodet import distributed, program

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/efficientdet/efficientdet_d0_blood.json"


class Future:
    def __init__(self, call):
        self.call = call

    status = "finished"

    def result(self, timeout):
        return self.call()


class Client:
    """Runs tasks when they are asked for; `fate` of the n-th task, from 0, may raise before or after it."""

    def __init__(self, before=lambda n: None, after=lambda n: None):
        self.before, self.after, self.tasks = before, after, 0

    def submit(self, f, *arguments, pure):
        assert not pure
        n, self.tasks = self.tasks, self.tasks + 1

        def call():
            self.before(n)
            answer = f(*arguments)
            self.after(n)
            return answer
        return Future(call)


def dies(*numbers):
    def fate(n):
        if n in numbers:
            raise RuntimeError(f"worker of task {n} died")
    return fate


@pytest.fixture
def slides(tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    for file in sorted((ROOT / "tests/data/bccd").glob("*.jpg"))[:3]:
        shutil.copy(file, folder)
    (folder / "broken.jpg").write_text("broken")
    return folder


@pytest.fixture
def whole(tmp_path, slides):
    subprocess.run([program.find(), "detect", "--model", MODEL, slides, "-o", tmp_path / "whole", "--quiet", "--streams", "1"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return results(tmp_path / "whole")


def results(folder):
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "run.json"}
    run = json.loads((folder / "run.json").read_text())
    return files, [(s["name"], s["state"], s["reason"], s["detections"]) for s in run["inputs"]]


def run(client, slides, out, **options):
    return distributed.run(client, slides, out, model=MODEL, options=["--streams", "1"], **options)


def test_joined_run_is_that_of_one_machine(tmp_path, slides, whole):
    done = run(Client(), slides, tmp_path / "out")
    assert (done.slides, done.missing, done.attempts) == (4, [], 4)
    assert results(tmp_path / "out") == whole
    assert not (tmp_path / "out.parts").exists()


def test_lost_tasks_and_answers_are_made_up_for(tmp_path, slides, whole):
    client = Client(before=dies(0, 2), after=dies(1))
    done = run(client, slides, tmp_path / "out")
    assert done.attempts == 6  # the answer of task 1 is lost, its slide is done
    assert results(tmp_path / "out") == whole


def test_a_caller_that_died_goes_on(tmp_path, slides, whole):
    with pytest.raises(cytodet.Error, match="no worker finished it"):
        run(Client(before=dies(*range(2, 100))), slides, tmp_path / "out", retries=1)
    client = Client()
    done = run(client, slides, tmp_path / "out")
    assert done.attempts == 2
    assert results(tmp_path / "out") == whole


def test_parts_are_of_one_graph_and_its_regions(tmp_path):
    graph, model, regions = tmp_path / "net.pb", tmp_path / "model.json", tmp_path / "regions.json"
    model.write_text(json.dumps({"graph": "net.pb"}))
    regions.write_text("[]")
    graph.write_text("one")
    keys = set()

    def key(words=()):
        keys.add(distributed._key(["detect", "--model", str(model), "slides", *words], []))
        return len(keys)
    assert key() == 1 and key() == 1
    graph.write_text("another")
    assert key() == 2
    options = ["--roi", str(regions)]
    assert key(options) == 3 and key(options) == 3
    regions.write_text("[1]")
    assert key(options) == 4
    model.write_text(json.dumps({"graph": "saved"}))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/saved_model.pb").write_text("one")
    assert key() == 5
    (tmp_path / "saved/saved_model.pb").write_text("another")
    assert key() == 6
    beside = ["detect", "--model", str(graph), "slides"]
    before = distributed._key(beside, [])
    (tmp_path / "net.json").write_text("{}")
    assert distributed._key(beside, []) != before


def test_missing_slides_may_be_left_out(tmp_path, slides):
    done = run(Client(before=dies(1, 4, 5, 6, 7)), slides, tmp_path / "out", retries=2, allow_missing=True)
    assert len(done.missing) == 1
    state = json.loads((tmp_path / "out/run.json").read_text())
    assert state["shard"]["missing"] == [2]
    assert len(state["inputs"]) == 3


def test_a_cluster_without_workers_is_given_up(tmp_path, slides, monkeypatch):
    class Waiting(Future):
        status = "pending"

        def result(self, timeout):
            raise TimeoutError

    class Empty(Client):
        def submit(self, *arguments, pure):
            return Waiting(None)

        def scheduler_info(self):
            return {"workers": {}}

    monkeypatch.setattr(distributed, "_PATIENCE", 0.1)
    with pytest.raises(cytodet.Error, match="no worker is left"):
        run(Empty(), slides, tmp_path / "out")


def test_what_cannot_be_is_refused(tmp_path, slides):
    with pytest.raises(cytodet.UsageError, match="--shard, which run"):
        distributed.run(Client(), slides, tmp_path / "out", model=MODEL, options=["--shard", "1/2"])
    with pytest.raises(cytodet.Error, match="none.json"):
        distributed.run(Client(), slides, tmp_path / "out", model=tmp_path / "none.json", retries=0)
    with pytest.raises(cytodet.Error, match="matches no file"):
        run(Client(), tmp_path / "*.svs", tmp_path / "out")
