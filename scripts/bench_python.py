"""See scripts/bench_python. Rounds alternate between both ways; medians are printed."""
import ctypes
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib

source, rounds = sys.argv[1], int(sys.argv[2])

IMPORT = "import time; a = time.perf_counter(); import cytodet; print(1000 * (time.perf_counter() - a))"
FIRST = "import time; a = time.perf_counter(); import cytodet; cytodet.load; print(1000 * (time.perf_counter() - a))"
NUMPY = "import time; a = time.perf_counter(); import numpy; print(1000 * (time.perf_counter() - a))"


def least(script):
    return min(float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
               for _ in range(7))


print(f"import cytodet: {least(IMPORT):.1f} ms; with the library and numpy, at first use: {least(FIRST):.1f} ms; "
      f"import numpy alone: {least(NUMPY):.1f} ms (least of 7)")

import numpy as np  # noqa: E402

import cytodet  # noqa: E402
from cytodet import program  # noqa: E402


class Image(ctypes.Structure):  # cytodet_image
    _fields_ = [("struct_size", ctypes.c_size_t), ("data", ctypes.c_void_p), ("width", ctypes.c_int64), ("height", ctypes.c_int64),
                ("stride", ctypes.c_int64), ("format", ctypes.c_int32), ("mpp_x", ctypes.c_double), ("mpp_y", ctypes.c_double),
                ("name", ctypes.c_char_p)]


model_file = f"{source}/models/efficientdet/efficientdet_d0_blood.json"
with cytodet.open_slide(f"{source}/tests/data/slides/blood-mosaic.tif") as slide:
    pixels = slide.read(0, 1000, 1000, 512, 512)
# A network that takes a fraction of a millisecond, so that what the package adds is not lost in the network's own variation.
networks = tempfile.TemporaryDirectory()
small_file = f"{networks.name}/small.json"
subprocess.run([program.find(), "import", f"{source}/tests/data/import/yolov8.onnx", "-o", small_file], capture_output=True, check=True)
model = cytodet.load(small_file, streams=1)

mapped = {line.split()[-1] for line in open("/proc/self/maps") if "libcytodet" in line}
library = ctypes.CDLL(next(iter(mapped)))
for name in ("cytodet_model_open", "cytodet_detect_images", "cytodet_settings_parse"):
    getattr(library, name).restype = ctypes.c_void_p
settings = ctypes.c_void_p(library.cytodet_settings_parse(b'{"streams": 1}', None))
handle = ctypes.c_void_p(library.cytodet_model_open(os.fsencode(small_file), settings, None))
image = Image(ctypes.sizeof(Image), pixels.ctypes.data, 512, 512, 0, 1, 0, 0, None)
free = library.cytodet_results_free
free.argtypes = [ctypes.c_void_p]
free.restype = None


def by_library():
    free(library.cytodet_detect_images(handle, ctypes.byref(image), 1, None, None, None))


def by_package():
    model.detect(pixels)


times = {by_library: [], by_package: []}
for _ in range(10):
    by_library(), by_package()
for _ in range(rounds):
    for call, seconds in times.items():
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
ours, theirs = (1000 * np.array(times[c]) for c in (by_package, by_library))
print(f"detect of a 512 x 512 array by a small network, {rounds} rounds each: library {np.median(theirs):.2f} ms (least {theirs.min():.2f}), package "
      f"{np.median(ours):.2f} ms (least {ours.min():.2f}); the package adds {np.median(ours - theirs):.3f} ms (median of the "
      f"differences), {ours.min() - theirs.min():.3f} ms (of the least)")

# ---- memory on a large slide

SIDE, TILE = 20000, 512


def write_slide(path, tile):
    """A tiled TIFF of SIDE x SIDE pixels, deflated, that shows one tile again and again: all its entries lead to the same bytes."""
    data = zlib.compress(np.ascontiguousarray(tile).tobytes(), 1)
    count = ((SIDE + TILE - 1) // TILE) ** 2
    head, bits = 8, 8 + 6
    offsets = bits + len(data) + len(data) % 2
    sizes = offsets + 4 * count
    entries = [(256, 4, 1, SIDE), (257, 4, 1, SIDE), (258, 3, 3, head), (259, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, 3), (284, 3, 1, 1),
               (322, 3, 1, TILE), (323, 3, 1, TILE), (324, 4, count, offsets), (325, 4, count, sizes)]
    with open(path, "wb") as file:
        file.write(struct.pack("<2sHI", b"II", 42, sizes + 4 * count) + struct.pack("<3H", 8, 8, 8) + data + b"\0" * (len(data) % 2))
        file.write(struct.pack("<I", bits) * count + struct.pack("<I", len(data)) * count)
        file.write(struct.pack("<H", len(entries)))
        for tag, kind, n, value in entries:
            file.write(struct.pack("<HHIHH" if kind == 3 and n == 1 else "<HHII", tag, kind, n, value, *([0] if kind == 3 and n == 1 else [])))
        file.write(struct.pack("<I", 0))


PEAK = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
DETECT = "import sys, cytodet; print(len(cytodet.load(sys.argv[1]).detect(sys.argv[2], tile=2048, overlap=128)), file=sys.stderr)"
NOTHING = "import cytodet; cytodet.load"


def peak(*words):
    """Peak of the resident memory of a process, MiB."""
    ran = subprocess.run([sys.executable, "-c", PEAK, *map(str, words)], capture_output=True, text=True, check=True)
    return int(ran.stdout.split()[-1]) / 1024


with tempfile.TemporaryDirectory() as folder:
    slide = f"{folder}/slide.tif"
    write_slide(slide, pixels)
    theirs = peak(program.find(), "detect", "--model", model_file, slide, "-o", f"{folder}/out", "--tile", 2048, "--overlap", 128, "--quiet")
    ours, bare = peak(sys.executable, "-c", DETECT, model_file, slide), peak(sys.executable, "-c", NOTHING)
print(f"peak of memory on a slide of {SIDE} x {SIDE} pixels: program {theirs:.0f} MiB, package {ours:.0f} MiB, of which Python, numpy and "
      f"the libraries {bare:.0f} MiB")
