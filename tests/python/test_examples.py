"""Python examples of README.md and docs/python.md run as they stand there, beside a model, a slide and a ground truth."""
import re

import pytest

from conftest import IMAGES, MODEL, SLIDE, SOURCE, TRUTH

PAGES = ["README.md", "python/README.md", "docs/python.md"]


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (SOURCE / page).read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES)
def test_every_example_runs(page, tmp_path, monkeypatch):
    all_blocks = blocks(page)
    assert all_blocks
    if any("supervision" in b or "sahi" in b for b in all_blocks):
        pytest.importorskip("supervision")
        pytest.importorskip("sahi")
    pytest.importorskip("pandas")
    for name, target in {"slide.tif": SLIDE, "images": IMAGES, "truth.json": TRUTH, "model.json": MODEL,
                         "efficientdet_d0_blood.pb": MODEL.with_suffix(".pb"),
                         "cells.jpg": IMAGES / "BloodImage_00007.jpg"}.items():
        (tmp_path / name).symlink_to(target)
    (tmp_path / "model.json").unlink()
    (tmp_path / "model.json").write_bytes(MODEL.read_bytes())  # beside its graph
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in all_blocks:  # one page's blocks follow each other
        exec(compile(block, page, "exec"), names)
