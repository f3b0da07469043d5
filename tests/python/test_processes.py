"""The package among processes and signals: import, program, fork, spawn, interrupts, memory."""
import os
import signal
import subprocess
import sys
import time

import pytest

import cytodet
from conftest import IMAGE, MODEL, SLIDE, SOURCE, environment, program


def python(script, *words, **more):
    return subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True, cwd=SOURCE,
                          env=environment(), timeout=300, **more)


def test_import_takes_less_than_a_tenth_of_a_second():
    script = "import time; a = time.perf_counter(); import cytodet; print(time.perf_counter() - a)"
    assert min(float(python(script).stdout) for _ in range(3)) < 0.1


def test_the_module_is_the_program():
    ran = subprocess.run([sys.executable, "-m", "cytodet", "--version"], capture_output=True, text=True)
    assert ran.stdout == f"cytodet {cytodet.__version__}\n" == program("--version")
    ran = subprocess.run([sys.executable, "-m", "cytodet", "detect", "--nothing"], capture_output=True, text=True)
    assert ran.returncode == 2 and ran.stderr.startswith("cytodet: error: ")


def test_names_are_listed():
    assert set(cytodet.__all__) <= set(dir(cytodet)) and "GraphConverter" in cytodet.__all__
    for name in cytodet.__all__:
        assert getattr(cytodet, name).__doc__, name
    with pytest.raises(AttributeError, match="nothing"):
        cytodet.nothing


POOL = """
import multiprocessing, sys, cytodet
def count(path):
    return len(cytodet.load(sys.argv[2], streams=1).detect(path))
def count_with(model):
    return len(model.detect(sys.argv[3]))
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        counts = pool.map(count, [sys.argv[3]] * 2)
        print(counts[0] > 5 and counts[0] == counts[1])
    if sys.argv[1] == "spawn":
        model = cytodet.load(sys.argv[2], streams=1)
        with context.Pool(1) as pool:
            print(pool.map(count_with, [model]) == counts[:1])
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes(method, tmp_path):
    file = tmp_path / "pool.py"
    file.write_text(POOL)
    ran = subprocess.run([sys.executable, file, method, MODEL, IMAGE], capture_output=True, text=True, env=environment(), timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["True"] * (2 if method == "spawn" else 1)


FORK = """
import os, sys, cytodet
model = cytodet.load(sys.argv[1], streams=1)
slide = cytodet.open_slide(sys.argv[2])
model.detect(sys.argv[2])
sys.stdout.flush()
if os.fork() == 0:
    for call in (lambda: model.detect(sys.argv[2]), lambda: cytodet.load(sys.argv[1]), lambda: slide.read(0, 0, 0, 1, 1)):
        try:
            call()
            print("worked")
        except cytodet.UsageError as e:
            print(e)
    sys.stdout.flush()
    os._exit(0)
os.wait()
print(len(model.detect(sys.argv[2])) > 5)
"""


def test_a_fork_behind_work_says_why_it_does_not():
    ran = python(FORK, MODEL, IMAGE)
    lines = ran.stdout.splitlines()
    assert "of which this is a fork; open it in this process" in lines[0]
    assert "threads do not outlive a fork" in lines[1] and "spawn" in lines[1]
    assert "of which this is a fork" in lines[2]
    assert lines[3] == "True", ran.stderr


SENT = """
import multiprocessing, os, sys, cytodet
def use(args):
    opened, attribute = args
    try:
        return str(getattr(opened, attribute) if attribute else opened.detect(sys.argv[2]))
    except cytodet.UsageError as e:
        return str(e)
if __name__ == "__main__":
    model = cytodet.load(sys.argv[1], streams=1)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for line in pool.map(use, [(model, ""), (model, "class_names"), (model, "path")]):
            print(line)
"""


def test_a_model_sent_to_a_fork_says_why_it_is_of_no_use(tmp_path):
    file = tmp_path / "sent.py"
    file.write_text(SENT)
    ran = subprocess.run([sys.executable, file, MODEL, IMAGE], capture_output=True, text=True, env=environment(), timeout=60)
    lines = ran.stdout.splitlines()
    assert len(lines) == 3, ran.stderr
    assert "threads do not outlive a fork" in lines[0] and "threads do not outlive a fork" in lines[1]
    assert lines[2] == str(MODEL)


LONG_RUN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import sys, time, numpy, cytodet
graph = cytodet.Graph(sys.argv[1])
def run(images):
    began = time.process_time()
    try:
        graph.run({"image": numpy.zeros((images, 512, 512, 3), numpy.float32)}, "class_logits_3")
    except KeyboardInterrupt:
        print("interrupted")
    return time.process_time() - began
run(4)
whole = 16 * run(4)
print("working", flush=True)
print(run(64) / whole, flush=True)
"""


def test_an_interrupt_stops_a_graph_between_its_steps():
    child = subprocess.Popen([sys.executable, "-c", LONG_RUN, MODEL.with_suffix(".pb")], stdout=subprocess.PIPE, text=True,
                             env=environment())
    assert child.stdout.readline() == "working\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    words = child.stdout.read().split()
    child.wait(60)
    assert words[0] == "interrupted" and float(words[1]) < 0.8  # of the processor time of the whole run


INTERRUPTED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
import sys, time, cytodet
model = cytodet.load(sys.argv[1])
print("ready", flush=True)
def tell(p):
    if p.input == 1 and p.tiles_done == 3:
        print("working", flush=True)
try:
    model.detect([sys.argv[2]] + [sys.argv[3]] * 200, progress=tell)
except KeyboardInterrupt as e:
    print(time.time(), len(e.results), e.results[0].name.endswith("00007.jpg"), flush=True)
"""


def test_an_interrupt_stops_within_a_second_and_keeps_what_is_done():
    child = subprocess.Popen([sys.executable, "-c", INTERRUPTED, MODEL, IMAGE, SLIDE], stdout=subprocess.PIPE, text=True,
                             env=environment())
    assert child.stdout.readline() == "ready\n" and child.stdout.readline() == "working\n"
    sent = time.time()
    child.send_signal(signal.SIGINT)
    words = child.stdout.read().split()
    child.wait(60)
    assert float(words[0]) - sent < 1.0 and int(words[1]) >= 1 and words[2] == "True"


RUN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
import sys, cytodet
model = cytodet.load(sys.argv[1])
def tell(p):
    if p.input == 1 and p.tiles_done == 3:
        print("working", flush=True)
try:
    print(model.run([sys.argv[2], *sys.argv[4:]], sys.argv[3], resume=True, progress=tell, detect=dict(tiling=dict(tile_px=1024))).waiting)
except KeyboardInterrupt as e:
    print("stopped", e.summary.done >= 1, e.summary.waiting >= 1)
"""


def test_an_interrupted_run_folder_resumes(tmp_path):
    slides = []
    for i in range(3):
        slides.append(tmp_path / f"slide{i}.tif")
        slides[-1].symlink_to(SLIDE)
    words = [sys.executable, "-c", RUN, MODEL, IMAGE, tmp_path / "run", *slides]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())
    assert child.stdout.readline() == "working\n"
    child.send_signal(signal.SIGINT)
    assert child.stdout.read() == "stopped True True\n"
    child.wait(60)
    again = subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=300)
    assert again.stdout.endswith("0\n"), again.stderr


def test_handlers_of_other_signals_run_while_the_library_works():
    script = """
import signal, sys, cytodet
def alarm(*unused):
    raise TimeoutError("too long")
signal.signal(signal.SIGALRM, alarm)
model = cytodet.load(sys.argv[1])
signal.setitimer(signal.ITIMER_REAL, 0.5)
try:
    model.detect([sys.argv[2]] * 50)
except TimeoutError as e:
    print(e, len(e.results) < 50)
"""
    assert python(script, MODEL, SLIDE).stdout == "too long True\n"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc")
def test_a_slide_takes_no_more_memory_than_in_the_program(tmp_path):
    """Peaks of memory beyond what an interpreter with numpy has."""
    script = """
import resource, sys
import numpy, cytodet
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = cytodet.load(sys.argv[1])
found = model.detect(sys.argv[2])
print(base, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(found))
"""
    base, peak, count = map(int, python(script, MODEL, SLIDE).stdout.split())
    from cytodet import program as own

    wrapper = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    theirs = int(python(wrapper, own.find(), "detect", "--model", MODEL, SLIDE, "-o", tmp_path, "--quiet").stdout.split()[-1])
    assert count > 100 and peak - base < 1.1 * theirs
