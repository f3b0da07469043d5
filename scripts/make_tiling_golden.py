#!/usr/bin/env python3
"""Makes tests/data/tiling/{formats,regions,svs,kfb}: small images of every pixel form, Aperio and KFB slides, and regions of the shipped slides, with the pixels that
Pillow, tifffile and OpenSlide see (raw RGB). usage: $(scripts/oracle_env slides) scripts/make_tiling_golden.py"""
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import openslide
import tifffile
from PIL import Image, TiffImagePlugin

ROOT = Path(__file__).resolve().parent.parent / "tests" / "data"
FORMATS, REGIONS, SVS, KFB = (ROOT / "tiling" / name for name in ("formats", "regions", "svs", "kfb"))
W, H = 37, 29


def picture(width=W, height=H):
    y, x = np.mgrid[0:height, 0:width]
    r = 128 + 100 * np.sin(x / 6.0) * np.cos(y / 9.0)
    g = 255.0 * x / (width - 1)
    b = 255.0 * y / (height - 1)
    return np.stack([r, g, b], -1).round().astype(np.uint8)


RGB = picture()
GRAY = RGB[:, :, 0]
DEEP = (RGB.astype(np.uint16) * 257 + np.arange(W, dtype=np.uint16)[None, :, None]).clip(0, 65535).astype(np.uint16)
ALPHA = RGB[:, :, 1]
entries = []


def gray3(a):
    return np.repeat(a[:, :, None], 3, 2)


def over_white(rgb, alpha):
    a = alpha[:, :, None].astype(float) / 255
    return (rgb * a + 255 * (1 - a)).round().astype(np.uint8)


def down16(a):
    return ((a.astype(np.uint32) + 128) // 257).astype(np.uint8)


def note(name, expected, tolerance=0):
    expected = np.ascontiguousarray(expected, dtype=np.uint8)
    (FORMATS / (name + ".rgb")).write_bytes(expected.tobytes())
    entries.append(f"{name} {expected.shape[1]} {expected.shape[0]} {tolerance}")


def png(name, colour_type, depth, rows, extra=b"", interlaced=False):
    """rows: list of (width, height, bytes per row list) passes, already packed."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    raw = b"".join(b"\0" + r for r in rows)
    body = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, depth, colour_type, 0, 0, int(interlaced)))
    (FORMATS / name).write_bytes(body + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def make_png():
    for name, image, expected in [
        ("gray.png", Image.fromarray(GRAY), gray3(GRAY)),
        ("rgb.png", Image.fromarray(RGB), RGB),
        ("rgba.png", Image.fromarray(np.dstack([RGB, ALPHA])), over_white(RGB, ALPHA)),
        ("gray_alpha.png", Image.fromarray(np.dstack([GRAY, ALPHA]), "LA"), over_white(gray3(GRAY), ALPHA)),
        ("gray16.png", Image.fromarray(DEEP[:, :, 0]), gray3(down16(DEEP[:, :, 0]))),
        ("bits1.png", Image.fromarray(GRAY > 128), gray3(((GRAY > 128) * 255).astype(np.uint8))),
    ]:
        image.save(FORMATS / name)
        note(name, expected, 1)
    palette = Image.fromarray(RGB).quantize(16)
    palette.save(FORMATS / "palette.png")
    note("palette.png", np.array(palette.convert("RGB")))
    palette.save(FORMATS / "palette_clear.png", transparency=3)
    note("palette_clear.png", over_white(np.array(palette.convert("RGB")), np.where(np.array(palette) == 3, 0, 255)))
    png("rgb16.png", 2, 16, [DEEP[y].astype(">u2").tobytes() for y in range(H)])
    note("rgb16.png", down16(DEEP), 1)
    gamma = struct.pack(">I", 4) + b"gAMA" + struct.pack(">I", 100000) + struct.pack(">I", zlib.crc32(b"gAMA" + struct.pack(">I", 100000)))
    png("gamma.png", 2, 8, [RGB[y].tobytes() for y in range(H)], gamma)
    note("gamma.png", RGB)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rgba = np.dstack([RGB, ALPHA])
    rows = [rgba[y, x0::dx].tobytes() for x0, y0, dx, dy in passes for y in range(y0, H, dy)]
    png("interlaced_rgba.png", 6, 8, rows, interlaced=True)
    note("interlaced_rgba.png", over_white(RGB, ALPHA), 1)


def make_bmp():
    for name, image in [("rgb.bmp", Image.fromarray(RGB)), ("gray.bmp", Image.fromarray(GRAY)), ("palette.bmp", Image.fromarray(RGB).quantize(16)), ("bits1.bmp", Image.fromarray(GRAY > 128))]:
        image.save(FORMATS / name)
        note(name, np.array(Image.open(FORMATS / name).convert("RGB")))
    top_down = bytearray((FORMATS / "rgb.bmp").read_bytes())
    top_down[22:26] = struct.pack("<i", -H)
    (FORMATS / "top_down.bmp").write_bytes(top_down)
    note("top_down.bmp", RGB[::-1])
    row = (W * 3 + 3) // 4 * 4
    data = b"".join(RGB[y, :, ::-1].tobytes().ljust(row, b"\0") for y in range(H - 1, -1, -1))
    (FORMATS / "os2.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 26 + len(data), 0, 0, 26) + struct.pack("<IHHHH", 12, W, H, 1, 24) + data)
    note("os2.bmp", RGB)


def make_jpeg():
    for name, image, options in [
        ("rgb420.jpg", Image.fromarray(RGB), {}),
        ("rgb444.jpg", Image.fromarray(RGB), {"subsampling": 0}),
        ("gray.jpg", Image.fromarray(GRAY), {}),
        ("progressive.jpg", Image.fromarray(RGB), {"progressive": True}),
    ]:
        image.save(FORMATS / name, quality=92, **options)
        note(name, np.array(Image.open(FORMATS / name).convert("RGB")), 2)
    Image.fromarray(RGB).convert("CMYK").save(FORMATS / "cmyk.jpg", quality=95)
    note("cmyk.jpg", np.array(Image.open(FORMATS / "cmyk.jpg").convert("RGB")), 2)
    turned = Image.fromarray(RGB)
    exif = turned.getexif()
    exif[0x0112] = 6  # stays as it is stored: truth is given in stored pixels
    turned.save(FORMATS / "exif_turned.jpg", quality=92, exif=exif)
    note("exif_turned.jpg", np.array(Image.open(FORMATS / "exif_turned.jpg").convert("RGB")), 2)


def oriented(rgb, o):
    """How a viewer shows stored pixels under orientation tag o."""
    return {1: rgb, 2: rgb[:, ::-1], 3: rgb[::-1, ::-1], 4: rgb[::-1], 5: rgb.transpose(1, 0, 2), 6: rgb[::-1].transpose(1, 0, 2),
            7: rgb[::-1, ::-1].transpose(1, 0, 2), 8: rgb[:, ::-1].transpose(1, 0, 2)}[o]


def make_tiff():
    def write(name, data, expected, tolerance=0, **options):
        tifffile.imwrite(FORMATS / name, data, metadata=None, **options)
        note(name, expected, tolerance)

    write("strip.tif", RGB, RGB, photometric="rgb", rowsperstrip=7)
    write("big_endian.tif", RGB, RGB, photometric="rgb", byteorder=">", rowsperstrip=29)
    write("lzw.tif", RGB, RGB, photometric="rgb", compression="lzw", predictor=True)
    write("deflate.tif", RGB, RGB, photometric="rgb", compression="zlib", tile=(16, 16))
    write("packbits.tif", RGB, RGB, photometric="rgb", compression="packbits")
    write("zstd_bigtiff.tif", RGB, RGB, photometric="rgb", compression="zstd", tile=(16, 16), bigtiff=True)
    write("planar.tif", RGB.transpose(2, 0, 1), RGB, photometric="rgb", planarconfig="separate", tile=(16, 16))
    write("gray.tif", GRAY, gray3(GRAY), photometric="minisblack", tile=(16, 32))
    write("white_is_zero.tif", GRAY, gray3(255 - GRAY), photometric="miniswhite")
    write("gray16.tif", DEEP[:, :, 0], gray3(down16(DEEP[:, :, 0])), 1, photometric="minisblack")
    write("rgb16.tif", DEEP, down16(DEEP), 1, photometric="rgb", tile=(16, 16))
    write("rgba.tif", np.dstack([RGB, ALPHA]), over_white(RGB, ALPHA), 1, photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16))
    cmyk = np.dstack([255 - RGB, np.full((H, W), 30, np.uint8)])
    k = 255 - 30
    write("cmyk.tif", cmyk, (RGB.astype(int) * k // 255).astype(np.uint8), 1, photometric="separated")
    for o in range(1, 9):
        write(f"orientation{o}.tif", RGB, oriented(RGB, o), photometric="rgb", tile=(16, 16), extratags=[(274, "H", 1, o, True)])
    palette = Image.fromarray(RGB).quantize(16)
    palette.save(FORMATS / "palette.tif")
    note("palette.tif", np.array(palette.convert("RGB")))
    Image.fromarray(GRAY > 128).save(FORMATS / "fax4.tif", compression="group4")
    note("fax4.tif", gray3(((GRAY > 128) * 255).astype(np.uint8)))
    for name, photometric, options in [("jpeg_ycbcr.tif", "rgb", {"subsampling": (2, 2)}), ("jpeg_rgb.tif", "rgb", {"compressionargs": {"outcolorspace": "rgb"}}), ("jpeg_gray.tif", "minisblack", {})]:
        data = GRAY if photometric == "minisblack" else RGB
        tifffile.imwrite(FORMATS / name, data, metadata=None, photometric=photometric, compression="jpeg", tile=(16, 16), **options)
        seen = tifffile.imread(FORMATS / name)
        note(name, gray3(seen) if seen.ndim == 2 else seen, 3)
    Image.fromarray(RGB).save(FORMATS / "jpeg_strip_tables.tif", compression="jpeg", quality=90)
    note("jpeg_strip_tables.tif", np.array(Image.open(FORMATS / "jpeg_strip_tables.tif").convert("RGB")), 3)
    Image.fromarray(RGB[:1, :1]).save(FORMATS / "one.png")
    note("one.png", RGB[:1, :1])
    write("column.tif", RGB[:, :1], RGB[:, :1], photometric="rgb")
    write("row.tif", RGB[:1], RGB[:1], photometric="rgb")
    large = picture(2 * W, 2 * H)  # a pyramid as OME-TIFFs hold it: SubIFDs, and the pixels' size in XML
    with tifffile.TiffWriter(FORMATS / "ome.tif", ome=True) as out:
        size = {"PhysicalSizeX": 325.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "\u00b5m"}
        out.write(large, photometric="rgb", tile=(16, 16), compression="zlib", subifds=1, metadata={"axes": "YXS", **size})
        out.write(large.reshape(H, 2, W, 2, 3).mean((1, 3)).round().astype(np.uint8), photometric="rgb", tile=(16, 16), compression="zlib", subfiletype=1)
    note("ome.tif", large)
    channels = large.transpose(2, 0, 1)  # the same, a gray image for each channel
    with tifffile.TiffWriter(FORMATS / "ome_channels.tif", ome=True) as out:
        out.write(channels, photometric="minisblack", tile=(16, 16), compression="zlib", subifds=1, metadata={"axes": "CYX", **size})
        small = channels.reshape(3, H, 2, W, 2).mean((2, 4)).round().astype(np.uint8)
        out.write(small, photometric="minisblack", tile=(16, 16), compression="zlib", subfiletype=1)
    note("ome_channels.tif", large)


def make_regions():
    slides = ROOT / "slides"
    lines = []
    wanted = [("blood-mosaic.tif", 0, 1000, 700, 1), ("blood-mosaic.tif", 0, 4080, 3130, 1), ("blood-mosaic.tif", 2, 500, 300, 1), ("blood-mosaic.tif", 0, -20, -10, 1),
              ("cmu-1-small-region.svs", 0, 1200, 1500, 0), ("cmu-1-small-region.svs", 0, 2200, 2950, 0), ("boxes.tiff", 0, 100, 90, 0),
              ("boxes.tiff", 1, 40, 50, 0), ("small.svs", 0, -8, -8, 0), ("yb10kx5k.zstd.tiff", 0, 4990, 2490, 0), ("yb10kx5k.zstd.tiff", 3, 600, 300, 0),
              ("test_orient1.tif", 0, 50, 60, 1)]
    side = 48
    for index, (name, level, x, y, tolerance) in enumerate(wanted):
        s = openslide.OpenSlide(slides / name)
        down = s.level_downsamples[level]
        rgba = np.array(s.read_region((round(x * down), round(y * down)), level, (side, side)))
        region = over_white(rgba[:, :, :3], rgba[:, :, 3])
        (REGIONS / f"{index}.rgb").write_bytes(region.tobytes())
        lines.append(f"{name} {level} {x} {y} {side} {tolerance} {index}.rgb {s.dimensions[0]} {s.dimensions[1]} {s.level_count}")
    (REGIONS / "list.txt").write_text("\n".join(lines) + "\n")


def make_svs():
    """Aperio slides of two levels with a thumbnail; SVS/list.txt: name, row that reads it, levels; level N of NAME is in NAME.N.rgb."""
    width, height = 100, 75
    rng = np.random.default_rng(4)
    level0 = np.clip(picture(width, height).astype(int) + rng.integers(-12, 13, (height, width, 3)), 0, 255).astype(np.uint8)
    level1 = level0[: height // 4 * 4, : width // 4 * 4].reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3)).round().astype(np.uint8)
    text = "Aperio Image Library v11.2.1 \r\n100x75 [0,0 100x75] (32x32) JPEG/RGB Q=70|AppMag = 20|MPP = 0.2520"

    def tiles(image):
        for y in range(0, image.shape[0], 32):
            for x in range(0, image.shape[1], 32):
                piece = image[y : y + 32, x : x + 32]
                yield np.pad(piece, ((0, 32 - piece.shape[0]), (0, 32 - piece.shape[1]), (0, 0)), "edge")

    lines = []
    for name, row, text_here, options, dropped in [
        ("ycbcr420.svs", "svs", text, {"compression": "jpeg", "subsampling": (2, 2)}, None),
        ("ycbcr422.svs", "svs", text, {"compression": "jpeg", "subsampling": (2, 1)}, None),
        ("ycbcr444.svs", "svs", text, {"compression": "jpeg", "subsampling": (1, 1)}, None),
        ("rgb.svs", "svs", text, {"compression": "jpeg", "compressionargs": {"outcolorspace": "rgb"}}, None),
        ("comma.svs", "svs", text.replace("0.2520", "0,2520"), {"compression": "jpeg", "subsampling": (2, 2)}, None),
        ("sparse.svs", "openslide", text, {"compression": "jpeg", "subsampling": (2, 2)}, 5),
        ("jpeg2000.svs", "openslide", text, {"compression": "aperio_jp2000_rgb"}, None),
    ]:
        with tifffile.TiffWriter(SVS / name) as tiff:
            for level, image in enumerate([level0, level1]):
                pieces = [None if level == 0 and i == dropped else t for i, t in enumerate(tiles(image))]
                common = {"shape": image.shape, "dtype": np.uint8, "photometric": "rgb", "tile": (32, 32), "metadata": None}
                tiff.write(iter(pieces), description=text_here if level == 0 else text_here.replace("JPEG", f"-> {image.shape[1]}x{image.shape[0]} JPEG"), **common, **options)
                if level == 0:
                    tiff.write(level1, photometric="rgb", compression="jpeg", metadata=None, description=text + "|thumbnail")
        s = openslide.OpenSlide(SVS / name)
        for level in range(s.level_count):
            rgba = np.array(s.read_region((0, 0), level, s.level_dimensions[level]))
            (SVS / f"{name}.{level}.rgb").write_bytes(over_white(rgba[:, :, :3], rgba[:, :, 3]).tobytes())
        assert s.properties["openslide.vendor"] == "aperio" and s.properties["openslide.mpp-x"].startswith("0.252"), name
        lines.append(f"{name} {row} {s.level_count}")
    (SVS / "list.txt").write_text("\n".join(lines) + "\n")


def make_kfb():
    """A KFB slide of three levels (see tiling/slides/formats/kfb_file.h); level N in sample.kfb.N.rgb as Pillow decodes the tiles."""
    width, height, side, scale = 150, 100, 64, 40
    rng = np.random.default_rng(5)
    image = np.clip(picture(width, height).astype(int) + rng.integers(-9, 10, (height, width, 3)), 0, 255).astype(np.uint8)
    tiles, entries = b"", []
    while scale >= 10:
        seen = np.zeros_like(image)
        for y in range(0, image.shape[0], side):
            for x in range(0, image.shape[1], side):
                piece = image[y : y + side, x : x + side]
                stream = io.BytesIO()
                Image.fromarray(piece).save(stream, "jpeg", quality=85)
                seen[y : y + side, x : x + side] = np.array(Image.open(stream).convert("RGB"))
                entries.append((x, y, piece.shape[1], piece.shape[0], scale, len(stream.getvalue()), len(tiles)))
                tiles += stream.getvalue()
        (KFB / f"sample.kfb.{len(list(KFB.glob('*.rgb')))}.rgb").write_bytes(seen.tobytes())
        image = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2].reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, 3).mean((1, 3)).round().astype(np.uint8))
        scale //= 2
    head = bytearray(0x5C)
    start = len(head) + len(tiles)
    struct.pack_into("<4s4s4xfiiii4s", head, 0, b"\xf1\x01\xee\xee", b"KFB\0", 1.6, len(entries), height, width, 40, b"JPEG")
    struct.pack_into("<qqf8xi", head, 0x3C, start + 64 * len(entries), start, 0.25, side)
    index = b"".join(struct.pack("<4sIIIIf8xIq20x", b"\xf1\x04\xee\xee", x, y, w, h, s, n, len(head) + at - start) for x, y, w, h, s, n, at in entries)
    (KFB / "sample.kfb").write_bytes(bytes(head) + tiles + index)


def main():
    KFB.mkdir(parents=True, exist_ok=True)
    for old in KFB.iterdir():
        old.unlink()
    SVS.mkdir(parents=True, exist_ok=True)
    FORMATS.mkdir(parents=True, exist_ok=True)
    REGIONS.mkdir(parents=True, exist_ok=True)
    make_png()
    make_bmp()
    make_jpeg()
    make_tiff()
    make_regions()
    make_svs()
    make_kfb()
    (FORMATS / "list.txt").write_text("\n".join(entries) + "\n")
    print(len(entries), "images")


main()
