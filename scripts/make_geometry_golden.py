#!/usr/bin/env python3
"""Makes tests/data/tiling/geometry: where OpenSlide and tifffile find the same pixels of slides whose level 0 is not what a viewer shows: one that
was scanned in a part of its canvas, one whose pixels are not square, one whose levels are padded.
usage: $(scripts/oracle_env slides) scripts/make_geometry_golden.py"""
import json
from pathlib import Path

import numpy as np
import openslide
import tifffile

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
OUT = DATA / "tiling" / "geometry"
SIDE = 96  # of a patch
COUNT = 12


def patches(width, height):
    random = np.random.default_rng(3)
    return [(int(random.integers(0, width - SIDE)), int(random.integers(0, height - SIDE))) for _ in range(COUNT)]


def mean(rgb):
    return [round(float(v), 3) for v in np.asarray(rgb)[..., :3].reshape(-1, 3).mean(0)]


def entry(slide, corner, size, mpp, read):
    x0, y0 = corner
    return {
        "slide": slide,
        "bounds": [x0, y0, *size],
        "mpp": mpp,
        "patches": [{"viewer": [x, y, SIDE, SIDE], "slide": [x0 + x, y0 + y, SIDE, SIDE], "mean": mean(read(x, y))} for x, y in patches(*size)],
    }


def bounded(name):
    s = openslide.OpenSlide(str(DATA / name))
    x0, y0, w, h = (int(s.properties["openslide.bounds-" + k]) for k in ("x", "y", "width", "height"))
    return entry(name, (x0, y0), (w, h), None, lambda x, y: s.read_region((x0 + x, y0 + y), 0, (SIDE, SIDE)).convert("RGB"))


def plain(name):
    with tifffile.TiffFile(DATA / name) as f:
        page = f.pages[0]
        pixels = page.asarray()
        unit = {2: 25400, 3: 10000}[int(page.tags["ResolutionUnit"].value)]
        mpp = [unit * page.tags[k].value[1] / page.tags[k].value[0] for k in ("XResolution", "YResolution")]
    return entry(name, (0, 0), (pixels.shape[1], pixels.shape[0]), mpp, lambda x, y: pixels[y : y + SIDE, x : x + SIDE])


def make_padded(path):
    """Levels of whole tiles, as some scanners write: level 1 is half of level 0 and one column and row of tiles more."""
    with tifffile.TiffFile(DATA / "slides/blood-mosaic.tif") as f:
        full = f.pages[0].asarray()[640:1024, 640:1056] // 8 * 8
    half = np.full((208, 224, 3), 255, np.uint8)
    half[:192, :208] = full.reshape(192, 2, 208, 2, 3).mean((1, 3)).round().astype(np.uint8)
    with tifffile.TiffWriter(path) as w:
        how = {"photometric": "rgb", "tile": (16, 16), "compression": "zlib", "predictor": True, "metadata": None}
        w.write(full, resolution=(40000, 40000), resolutionunit="CENTIMETER", **how)
        w.write(half, subfiletype=1, **how)


def padded(name):
    make_padded(DATA / name)
    with tifffile.TiffFile(DATA / name) as f:
        full, half = f.pages[0].asarray(), f.pages[1].asarray()
    random = np.random.default_rng(4)
    side = SIDE // 2
    g = entry(name, (0, 0), (full.shape[1], full.shape[0]), [0.25, 0.25], lambda x, y: full[y : y + SIDE, x : x + SIDE])
    places = [(int(random.integers(0, 208 - side)), int(random.integers(0, 192 - side))) for _ in range(COUNT)]
    g["level1"] = [
        {"level": [x, y, side, side], "slide": [2 * x, 2 * y, SIDE, SIDE], "mean": mean(half[y : y + side, x : x + side])} for x, y in places
    ]
    return g


def make_two_parts(path):
    """A Leica slide of two scanned parts of 640 x 480 pixels, at (100, 200) and (2000, 2400) of a canvas of 4000 x 4000."""
    with tifffile.TiffFile(DATA / "field/13-scn-bounds/slide.scn") as f:
        macro, scan = f.pages[0].asarray(), f.pages[1].asarray()
        text = f.pages[0].tags["ImageDescription"].value
    start, end = text.index('<image name="scan"'), text.index(" </collection>")
    first = text[start:end]
    for whole, part in (("1280", "640"), ("960", "480"), ('sizeX="640" sizeY="480" r="1"', 'sizeX="320" sizeY="240" r="1"'), ("640000", "320000"), ("480000", "240000")):
        first = first.replace(whole, part)
    second = first.replace('"scan"', '"scan2"').replace("uuid:4", "uuid:5").replace('ifd="1"', 'ifd="3"').replace('ifd="2"', 'ifd="4"')
    second = second.replace('offsetX="1000000" offsetY="1200000"', 'offsetX="50000" offsetY="100000"')
    with tifffile.TiffWriter(path, bigtiff=True) as w:
        how = {"photometric": "rgb", "tile": (240, 240), "compression": "jpeg", "metadata": None}
        w.write(macro[::4, ::4], description=text[:start] + first + second + text[end:], **how)
        for part in (scan[:480, :640], scan[480:, 640:]):
            w.write(part, **how)
            w.write(part[::2, ::2], **how)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    make_two_parts(OUT / "two_parts.scn")
    golden = [bounded("field/13-scn-bounds/slide.scn"), plain("field/19-nonsquare-mpp/x05_y025.tif"), plain("slides/blood-mosaic.tif"), padded("tiling/geometry/padded.tif")]
    (OUT / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
