#!/usr/bin/env python3
"""Makes tests/data/tiling/forms: small TIFFs and PNGs of every sample form, stacks, series and pages, with the pixels that tifffile
and Pillow see in them (raw RGB). list.txt: file, expected pixels, selection ("page=1;stretch=12", or "-"), largest difference.
usage: $(scripts/oracle_env slides) scripts/make_tiff_forms_golden.py"""
import struct
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "tiling" / "forms"
W, H = 37, 29
entries = []


def picture():
    y, x = np.mgrid[0:H, 0:W]
    r = 0.5 + 0.4 * np.sin(x / 6.0) * np.cos(y / 9.0)
    return np.stack([r, x / (W - 1), y / (H - 1)], -1)  # 0 to 1


RGB = picture()
GRAY = RGB[:, :, 0]


def gray3(a):
    return np.repeat(a[:, :, None], 3, 2)


def shown(values, low, high):
    """Samples as 8 bits: linear from low to high, no number is white."""
    v, low, high = np.asarray(values, dtype=np.float64), float(low), float(high)
    v = np.where(np.isnan(v), high, v)
    return np.floor(np.clip((v - low) / (high - low), 0, 1) * 255 + 0.5).astype(np.uint8)


def note(name, expected, selection="-", tolerance=1, golden=None):
    golden = golden or (name if selection == "-" else name + "." + selection.replace(";", "_").replace(",", "_")) + ".rgb"
    expected = np.ascontiguousarray(expected if expected.ndim == 3 else gray3(expected), dtype=np.uint8)
    (OUT / golden).write_bytes(expected.tobytes())
    entries.append(f"{name} {golden} {selection} {expected.shape[1]} {expected.shape[0]} {tolerance}")


TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "r": 5}  # of tags


def write_tiff(name, directories, order="<"):
    """directories: lists of (tag, type, values) with the pixels as bytes under tag 273."""
    out = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0))
    link = 4
    for tags in directories:
        tags = dict((t, (k, v)) for t, k, v in tags)
        place, sizes = (324, 325) if 324 in tags else (273, 279)  # of tiles, of strips
        strips = tags[place][1]
        offsets = []
        for s in strips:
            offsets.append(len(out))
            out += s + b"\0" * (len(s) % 2)
        tags[place] = ("I", offsets)
        tags.setdefault(sizes, ("I", [len(s) for s in strips]))
        body = []
        for tag in sorted(tags):
            kind, values = tags[tag]
            if kind == "s":
                data = values.encode("utf-8") + b"\0"
                count = len(data)
            elif kind == "r":
                data = struct.pack(order + f"{len(values) * 2}I", *[n for v in values for n in v])
                count = len(values)
            else:
                data = struct.pack(order + f"{len(values)}{kind}", *values)
                count = len(values)
            if len(data) > 4:
                at = len(out)
                out += data + b"\0" * (len(data) % 2)
                data = struct.pack(order + "I", at)
            body.append(struct.pack(order + "HHI", tag, TYPES[kind], count) + data.ljust(4, b"\0"))
        at = len(out)
        out[link : link + 4] = struct.pack(order + "I", at)
        out += struct.pack(order + "H", len(body)) + b"".join(body)
        link = len(out)
        out += b"\0\0\0\0"
    (OUT / name).write_bytes(bytes(out))


def tags(strips, bits, samples=1, photometric=1, fmt=None, extra=None, planar=1, more=()):
    t = [(256, "I", [W]), (257, "I", [H]), (258, "H", [bits] * samples), (259, "H", [1]), (262, "H", [photometric]),
         (273, "I", strips), (277, "H", [samples]), (278, "I", [H]), (284, "H", [planar])]
    if fmt:
        t.append((339, "H", [fmt] * samples))
    if extra is not None:
        t.append((338, "H", extra))
    return t + list(more)


def packed(values, bits):
    """Rows of values of a number of bits, from the highest bit on, each row ended at a byte."""
    rows = []
    for row in values.reshape(values.shape[0], -1):
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 8)
        rows.append(bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8)))
    return b"".join(rows)


def seen(name, values):
    """tifffile must read what was meant."""
    read = tifffile.imread(OUT / name)
    assert np.array_equal(read, values, equal_nan=np.issubdtype(read.dtype, np.floating)), name


def whole(bits):
    return np.floor(RGB * ((1 << bits) - 1) + 0.5).astype(np.uint64)


def make_bits():
    for bits in (2, 4, 6, 10, 12, 14, 16, 24, 32):
        v = whole(bits)[:, :, 0]
        name = f"gray{bits}.tif"
        data = {16: v.astype("<u2").tobytes(), 32: v.astype("<u4").tobytes()}.get(bits)
        if bits == 24:
            data = b"".join(int(x).to_bytes(3, "little") for x in v.flat)
        write_tiff(name, [tags([data or packed(v, bits)], bits)])
        if bits not in (6, 24):
            seen(name, v.astype(np.uint32 if bits == 32 else np.uint16 if bits > 8 else np.uint8))
        selection = f"stretch={bits}" if bits > 16 else "-"
        note(name, shown(v, 0, (1 << bits) - 1), selection)
    for bits in (4, 10, 12, 14):
        v = whole(bits)
        name = f"rgb{bits}.tif"
        write_tiff(name, [tags([packed(v, bits)], bits, 3, 2)])
        if bits > 8:
            seen(name, v.astype(np.uint16))
        note(name, shown(v, 0, (1 << bits) - 1))
    v = whole(12)[:, :, 0]
    write_tiff("white_is_zero12.tif", [tags([packed(v, 12)], 12, photometric=0)])
    note("white_is_zero12.tif", 255 - shown(v, 0, 4095))
    v = whole(16)[:, :, 0]
    write_tiff("white_is_zero16.tif", [tags([v.astype("<u2").tobytes()], 16, photometric=0)])
    note("white_is_zero16.tif", 255 - shown(v, 0, 65535))
    v = whole(12)[:, :, 0]
    write_tiff("big_endian12.tif", [tags([packed(v, 12)], 12)], ">")
    seen("big_endian12.tif", v.astype(np.uint16))
    note("big_endian12.tif", shown(v, 0, 4095))


def make_depth():
    """12 bits in 16, and other values that use a fraction of their bits."""
    v = whole(12).astype("<u2")
    tifffile.imwrite(OUT / "camera12.tif", v, photometric="rgb", rowsperstrip=8)
    note("camera12.tif", shown(v, 0, 65535))
    note("camera12.tif", shown(v, 0, 4095), "stretch=12")
    note("camera12.tif", shown(v, 0, 4095), "stretch=auto", golden="camera12.tif.stretch=12.rgb")
    note("camera12.tif", shown(v, 100, 3000), "stretch=100,3000")
    small = whole(5).astype(np.uint8)
    tifffile.imwrite(OUT / "dark8.tif", small, photometric="rgb", tile=(16, 16))
    note("dark8.tif", small)
    note("dark8.tif", shown(small, 0, 31), "stretch=auto")
    stated = (whole(12)[:, :, 0] // 2).astype("<u2")
    write_tiff("stated.tif", [tags([stated.tobytes()], 16, more=[(281, "H", [4095])])])
    note("stated.tif", shown(stated, 0, 4095), "stretch=auto")
    Image.fromarray(whole(12)[:, :, 0].astype(np.uint16)).save(OUT / "camera12.png")
    v = whole(12)[:, :, 0]
    note("camera12.png", shown(v, 0, 4095), "stretch=auto")
    note("camera12.png", shown(v, 0, 65535))


def make_kinds():
    """Signed and floating-point samples, with values of black and white that are told."""
    for bits in (8, 16, 32):
        top = (1 << (bits - 1)) - 1
        v = np.floor((GRAY * 2 - 1) * top).astype(f"<i{bits // 8}")
        tifffile.imwrite(OUT / f"signed{bits}.tif", v, photometric="minisblack")
        note(f"signed{bits}.tif", shown(v, -top, top), f"stretch={-top},{top}")
    note("signed16.tif", shown(v := tifffile.imread(OUT / "signed16.tif"), v.min(), v.max()), "stretch=auto")
    for bits in (16, 32, 64):
        v = GRAY.astype(f"<f{bits // 8}")
        v[3:6, 4:9] = np.nan
        v[10, 10] = np.inf
        v[11, 10] = -np.inf
        tifffile.imwrite(OUT / f"float{bits}.tif", v, photometric="minisblack")
        note(f"float{bits}.tif", shown(v, 0, 1), "stretch=0,1")
    v = RGB.astype("<f4")
    tifffile.imwrite(OUT / "float_rgb.tif", v, photometric="rgb")
    note("float_rgb.tif", shown(v, 0, 1), "stretch=auto")
    tifffile.imwrite(OUT / "complex.tif", GRAY.astype(np.complex64), photometric="minisblack")
    tifffile.imwrite(OUT / "undefined.tif", (GRAY * 255).astype(np.uint8), photometric="minisblack",
                     extratags=[])
    write_tiff("undefined.tif", [tags([shown(GRAY, 0, 1).tobytes()], 8, fmt=4)])
    note("undefined.tif", shown(GRAY, 0, 1))


def over_white(colours, alpha, associated):
    a = alpha[..., None].astype(float)
    c = colours.astype(float)
    return np.floor(np.minimum(255, (c if associated else c * a) + 255 * (1 - a)) + 0.5)


def make_extra():
    """Samples beyond the colours."""
    rgb8, alpha = shown(RGB, 0, 1), RGB[:, :, 1]
    a8 = shown(alpha, 0, 1)
    write_tiff("rgb_unspecified.tif", [tags([np.dstack([rgb8, a8]).tobytes()], 8, 4, 2, extra=[0])])
    note("rgb_unspecified.tif", rgb8)
    write_tiff("rgb_unassociated.tif", [tags([np.dstack([rgb8, a8]).tobytes()], 8, 4, 2, extra=[2])])
    note("rgb_unassociated.tif", over_white(rgb8, a8 / 255.0, False), tolerance=2)
    pre = np.floor(rgb8 * (a8 / 255.0)[..., None] + 0.5).astype(np.uint8)
    write_tiff("rgb_associated.tif", [tags([np.dstack([pre, a8]).tobytes()], 8, 4, 2, extra=[1])])
    note("rgb_associated.tif", over_white(pre, a8 / 255.0, True), tolerance=2)
    gray8 = rgb8[:, :, 0]
    write_tiff("gray_alpha.tif", [tags([np.dstack([gray8, a8]).tobytes()], 8, 2, 1, extra=[2])])
    note("gray_alpha.tif", over_white(gray3(gray8), a8 / 255.0, False), tolerance=1)
    write_tiff("gray_samples.tif", [tags([rgb8.tobytes()], 8, 3, 1, extra=[0, 0])])
    seen("gray_samples.tif", rgb8)
    note("gray_samples.tif", rgb8[:, :, 1], "channel=1")
    note("gray_samples.tif", rgb8[:, :, ::-1], "channel=2,1,0")
    planes = [np.ascontiguousarray(rgb8[:, :, c]).tobytes() for c in range(3)]
    write_tiff("gray_planar.tif", [tags(planes, 8, 3, 1, extra=[0, 0], planar=2)])
    note("gray_planar.tif", rgb8[:, :, 2], "channel=2")
    deep = whole(12)
    planes = [np.ascontiguousarray(deep[:, :, c]).astype("<u2").tobytes() for c in range(3)]
    write_tiff("rgb_planar12.tif", [tags(planes, 16, 3, 2, planar=2)])
    note("rgb_planar12.tif", shown(deep, 0, 4095), "stretch=auto")


def make_photometric():
    rgb8 = shown(RGB, 0, 1)
    full = rgb8.astype(float)
    y = 0.299 * full[..., 0] + 0.587 * full[..., 1] + 0.114 * full[..., 2]
    ycc = np.stack([y, (full[..., 2] - y) / 1.772 + 128, (full[..., 0] - y) / 1.402 + 128], -1)
    ycc = np.floor(np.clip(ycc, 0, 255) + 0.5).astype(np.uint8)
    reference = (532, "r", [(0, 1), (255, 1), (128, 1), (255, 1), (128, 1), (255, 1)])
    write_tiff("ycbcr_plain.tif", [tags([ycc.tobytes()], 8, 3, 6, more=[(530, "H", [1, 1]), reference])])
    note("ycbcr_plain.tif", rgb8, tolerance=3)
    for name, photometric in (("cielab.tif", 8), ("icclab.tif", 9), ("mask.tif", 4), ("loglum.tif", 32844), ("odd.tif", 777)):
        samples = 3 if photometric in (8, 9) else 1
        data = rgb8 if samples == 3 else rgb8[:, :, 0]
        write_tiff(name, [tags([np.ascontiguousarray(data).tobytes()], 8, samples, photometric)])


def make_stacks():
    """ImageJ and pages."""
    rgb8 = shown(RGB, 0, 1)
    channels = np.ascontiguousarray(np.moveaxis(rgb8, -1, 0))
    tifffile.imwrite(OUT / "ij_composite.tif", channels, imagej=True, metadata={"axes": "CYX", "mode": "composite"})
    note("ij_composite.tif", rgb8)
    note("ij_composite.tif", rgb8[:, :, 1], "channel=1")
    note("ij_composite.tif", rgb8[:, :, 2], "page=2")
    luts = [np.zeros((3, 256), np.uint8) for _ in range(3)]
    for k, lut in zip((2, 0, 1), luts):  # channel 0 is blue, 1 red, 2 green
        lut[k] = np.arange(256)
    turned = np.ascontiguousarray(channels[[2, 0, 1]])
    tifffile.imwrite(OUT / "ij_luts.tif", turned, imagej=True, metadata={"axes": "CYX", "mode": "composite", "LUTs": luts})
    note("ij_luts.tif", rgb8)
    luts[0][:] = np.arange(256)
    tifffile.imwrite(OUT / "ij_dyes.tif", turned, imagej=True, metadata={"axes": "CYX", "mode": "composite", "LUTs": luts})
    tifffile.imwrite(OUT / "ij_grayscale.tif", channels, imagej=True, metadata={"axes": "CYX", "mode": "grayscale"})
    stack = np.stack([np.roll(rgb8, k, 1) for k in range(5)])
    tifffile.imwrite(OUT / "ij_slices.tif", stack, imagej=True, metadata={"axes": "ZYXS"})
    note("ij_slices.tif", stack[2])
    note("ij_slices.tif", stack[4], "plane=4")
    tifffile.imwrite(OUT / "ij_frames.tif", stack, imagej=True, metadata={"axes": "TYXS"})
    note("ij_frames.tif", stack[3], "time=3")
    # Only the first image has a directory, as where a file is over 4 GB.
    planes = [np.roll(whole(12)[:, :, 0], k, 0) for k in range(4)]
    text = "ImageJ=1.53t\nimages=4\nslices=2\nframes=2\nhyperstack=true\n"
    body = b"".join(p.astype(">u2").tobytes() for p in planes)
    size = W * H * 2
    write_tiff("ij_contiguous.tif", [tags([body], 16, more=[(270, "s", text), (279, "I", [size])])], ">")
    note("ij_contiguous.tif", shown(planes[3], 0, 4095), "time=1;plane=1;stretch=12")
    note("ij_contiguous.tif", shown(planes[2], 0, 4095), "page=2;stretch=12")
    short = "ImageJ=1.53t\nimages=9\nslices=9\n"
    write_tiff("ij_cut.tif", [tags([body], 16, more=[(270, "s", short), (279, "I", [size])])], ">")
    with tifffile.TiffWriter(OUT / "fields.tif") as t:
        for k in range(4):
            t.write(stack[k], photometric="rgb", metadata=None, tile=(16, 16))
        for k in range(4):
            t.write(stack[k][::2, ::2], photometric="rgb", metadata=None, tile=(16, 16), subfiletype=1)
    with tifffile.TiffWriter(OUT / "fields_with_levels.tif") as t:
        for k in range(3):
            t.write(stack[k], photometric="rgb", metadata=None, tile=(16, 16))
            t.write(stack[k][::2, ::2], photometric="rgb", metadata=None, tile=(16, 16), subfiletype=1)
    note("fields_with_levels.tif", stack[2], "page=4")
    with tifffile.TiffWriter(OUT / "planes_jpeg2000.svs") as t:
        for k in range(3):
            t.write(stack[k], photometric="rgb", metadata=None, tile=(16, 16), compression="aperio_jp2000_rgb",
                    description=f"Aperio Image Library v11\r\n37x29 (16x16) J2K|MPP = 0.5|OffsetZ = {k - 1}")
    note("fields.tif", stack[3], "page=3")
    note("fields.tif", stack[2][::2, ::2], "page=6")
    with tifffile.TiffWriter(OUT / "thumbnail_first.tif") as t:
        t.write(rgb8[::4, ::4], photometric="rgb", metadata=None)
        t.write(rgb8, photometric="rgb", metadata=None)
        t.write(rgb8[:20, :20], photometric="rgb", metadata=None)
    note("thumbnail_first.tif", rgb8)
    note("thumbnail_first.tif", rgb8[::4, ::4], "page=0")
    with tifffile.TiffWriter(OUT / "label_reduced.tif") as t:  # a label of the slide's proportions, marked as reduced, and a level
        t.write(255 - rgb8[::2, ::2], photometric="rgb", description="Label", metadata=None, subfiletype=1)
        t.write(rgb8, photometric="rgb", metadata=None)
        t.write(rgb8[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
        t.write(np.repeat(rgb8, 2, 0), photometric="rgb", description="Some writer\nmacro 37x58", metadata=None)
    note("label_reduced.tif", rgb8)
    only = '''<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:1"/></OME>'''
    tifffile.imwrite(OUT / "set_gray.ome.tif", rgb8[:, :, 0], photometric="minisblack", description=only, metadata=None, ome=False)
    tifffile.imwrite(OUT / "set_rgb.ome.tif", rgb8, photometric="rgb", description=only, metadata=None, ome=False)
    note("set_gray.ome.tif", rgb8[:, :, 0], "page=0")
    note("set_rgb.ome.tif", rgb8)
    mask = packed((rgb8[:, :, 0] > 99).astype(int), 1)
    write_tiff("with_mask.tif", [tags([rgb8.tobytes()], 8, 3, 2), tags([mask], 1, photometric=4, more=[(254, "I", [4])])])
    note("with_mask.tif", rgb8)
    with tifffile.TiffWriter(OUT / "series.ome.tif", ome=True) as t:
        t.write(rgb8[:10, :12], photometric="rgb", metadata={"axes": "YXS", "Name": "label image"})
        t.write(stack, photometric="rgb", metadata={"axes": "ZYXS", "Name": "slide"})
        t.write(channels, photometric="minisblack", metadata={"axes": "CYX", "Name": "dyes", "Channel": {"Name": ["DAPI", "FITC", "Cy3"]}})
    note("series.ome.tif", stack[1], "series=1;plane=1")
    note("series.ome.tif", rgb8[:, :, 2], "series=2;channel=Cy3")
    note("series.ome.tif", rgb8[:10, :12], "series=0")
    five = np.stack([np.roll(rgb8[:, :, 0], k, 0) for k in range(5)])
    tifffile.imwrite(OUT / "five.ome.tif", five, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    note("five.ome.tif", np.stack([five[4], five[0], five[2]], -1), "channel=4,0,2")


def tile_tags(values, bits, photometric, extra=None, more=()):
    """Tiles of 16 x 16 that stand out to the right and below, filled there with what must not be seen."""
    values = values.reshape(H, W, -1)
    filled = np.full((32, 48, values.shape[2]), (1 << bits) // 3, np.uint64)
    filled[:H, :W] = values
    tiles = []
    for y in range(0, 32, 16):
        for x in range(0, 48, 16):
            tile = filled[y : y + 16, x : x + 16]
            tiles.append(tile.astype("<u2").tobytes() if bits == 16 else packed(tile, bits))
    kept = [t for t in tags([], bits, values.shape[2], photometric, extra=extra, more=more) if t[0] not in (273, 278)]
    return kept + [(322, "H", [16]), (323, "H", [16]), (324, "I", tiles)]


def make_tiles():
    """Every form that libtiff turns into RGB, in tiles that stand out over the picture."""
    for bits in (1, 2, 4, 8, 12, 16):
        v = whole(bits)[:, :, 0]
        for name, photometric in ((f"tiles_gray{bits}.tif", 1), (f"tiles_white_is_zero{bits}.tif", 0)):
            write_tiff(name, [tile_tags(v, bits, photometric)])
            expected = shown(v, 0, (1 << bits) - 1)
            note(name, expected if photometric else 255 - expected)
    for bits in (1, 2, 4, 8):
        v, n = whole(bits)[:, :, 0].astype(int), 1 << bits
        colours = (np.random.default_rng(bits).random((3, n)) * 256).astype(int) * 257
        write_tiff(f"tiles_palette{bits}.tif", [tile_tags(v, bits, 3, more=[(320, "H", list(colours.flatten()))])])
        note(f"tiles_palette{bits}.tif", np.moveaxis(colours // 257, 0, -1)[v])
    for bits in (8, 12, 16):
        v = whole(bits)
        write_tiff(f"tiles_rgb{bits}.tif", [tile_tags(v, bits, 2)])
        note(f"tiles_rgb{bits}.tif", shown(v, 0, (1 << bits) - 1))
        with_alpha = np.dstack([v, v[:, :, 1]])
        alpha = v[:, :, 1] / ((1 << bits) - 1)
        write_tiff(f"tiles_rgba{bits}.tif", [tile_tags(with_alpha, bits, 2, extra=[2])])
        note(f"tiles_rgba{bits}.tif", over_white(shown(v, 0, (1 << bits) - 1), alpha, False), tolerance=2)
    rgb8 = shown(RGB, 0, 1).astype(int)
    black = 40 * np.ones((H, W, 1), int)
    cmyk = np.dstack([255 - rgb8, black])
    write_tiff("tiles_cmyk.tif", [tile_tags(cmyk, 8, 5)])
    note("tiles_cmyk.tif", np.floor(rgb8 * (255 - 40) / 255 + 0.5), tolerance=1)
    y = 0.299 * rgb8[..., 0] + 0.587 * rgb8[..., 1] + 0.114 * rgb8[..., 2]
    ycc = np.floor(np.clip(np.stack([y, (rgb8[..., 2] - y) / 1.772 + 128, (rgb8[..., 0] - y) / 1.402 + 128], -1), 0, 255) + 0.5)
    write_tiff("tiles_ycbcr.tif", [tile_tags(ycc.astype(int), 8, 6, more=[(530, "H", [1, 1])])])
    note("tiles_ycbcr.tif", rgb8, tolerance=3)


def make_microscopes():
    """Zeiss LSM, MetaMorph STK, QPTIFF: as their layouts are described, with no file of theirs at hand."""
    rgb8 = shown(RGB, 0, 1)
    small = np.ascontiguousarray(rgb8[::4, ::4, 0])
    thumbnail = [(254, "I", [1]), (256, "I", [small.shape[1]]), (257, "I", [small.shape[0]]), (258, "H", [8]), (259, "H", [1]),
                 (262, "H", [1]), (273, "I", [small.tobytes()]), (277, "H", [1]), (278, "I", [small.shape[0]])]
    info = struct.pack("<7i", 0x00400494, 500, W, H, 2, 2, 1) + bytes(100)
    directories = []
    for z in range(2):
        planes = [np.ascontiguousarray(np.roll(rgb8[:, :, c], z, 1)).tobytes() for c in range(2)]
        more = [(34412, "B", list(info))] if z == 0 else []
        directories += [tags(planes, 8, 2, 1, planar=2, more=more), thumbnail]
    write_tiff("zeiss.lsm", directories)
    note("zeiss.lsm", np.roll(rgb8[:, :, 1], 1, 1), "channel=1;plane=1")
    body = b"".join(np.roll(rgb8[:, :, 0], k, 1).tobytes() for k in range(3))
    uic2 = (33629, "r", [(k, 1) for k in range(3)])
    write_tiff("metamorph.stk", [tags([body], 8, more=[(279, "I", [W * H]), uic2])])
    note("metamorph.stk", np.roll(rgb8[:, :, 0], 2, 1), "page=2")
    xml = "<PerkinElmer-QPI-ImageDescription><ImageType>{}</ImageType><Name>{}</Name></PerkinElmer-QPI-ImageDescription>"
    overview = np.ascontiguousarray(np.tile(rgb8, (3, 2, 1)))
    with tifffile.TiffWriter(OUT / "bright.qptiff") as t:
        for kind, image, tile, flag in [("FullResolution", rgb8, (16, 16), 0), ("Thumbnail", rgb8[::4, ::4], None, 0),
                                        ("ReducedResolution", rgb8[::2, ::2], (16, 16), 1), ("Overview", overview, None, 0),
                                        ("Label", rgb8[:20, :20], None, 0)]:
            t.write(image, photometric="rgb", metadata=None, tile=tile, subfiletype=flag, description=xml.format(kind, ""))
    note("bright.qptiff", rgb8)
    with tifffile.TiffWriter(OUT / "dyes.qptiff") as t:
        for c, name in enumerate(("DAPI", "FITC", "Cy3")):
            t.write(np.ascontiguousarray(rgb8[:, :, c]), photometric="minisblack", metadata=None, tile=(16, 16),
                    description=xml.format("FullResolution", name))
        for c in range(3):
            t.write(np.ascontiguousarray(rgb8[::2, ::2, c]), photometric="minisblack", metadata=None, tile=(16, 16), subfiletype=1,
                    description=xml.format("ReducedResolution", ""))
    note("dyes.qptiff", rgb8[:, :, 1], "channel=FITC")
    note("dyes.qptiff", rgb8[:, :, ::-1], "channel=Cy3,FITC,DAPI")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    for make in (make_bits, make_depth, make_kinds, make_extra, make_photometric, make_stacks, make_tiles, make_microscopes):
        make()
    (OUT / "list.txt").write_text("\n".join(entries) + "\n")


if __name__ == "__main__":
    main()
