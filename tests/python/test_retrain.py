"""cytodet.retrain without TensorFlow: the order of feeds, the targets of anchors, the command's errors. Training itself is checked by
scripts/check_retrain."""
import json
import subprocess
import sys

import numpy as np
import pytest

from cytodet import _retrain_command, _retrain_feeds, retrain

from conftest import SOURCE


def test_every_round_has_every_feed_once_in_an_order_that_the_seed_gives():
    for buffer_size in (0, 1, 3, 7, 20):
        order = list(_retrain_feeds.order(7, buffer_size, 3, 5))
        assert [sorted(order[i:i + 7]) for i in (0, 7, 14)] == [list(range(7))] * 3
        assert order == list(_retrain_feeds.order(7, buffer_size, 3, 5))
    assert list(_retrain_feeds.order(4, 1, 1, 9)) == [0, 1, 2, 3]  # a buffer of one is no shuffling
    assert list(_retrain_feeds.order(50, 0, 1, 1)) != list(_retrain_feeds.order(50, 0, 1, 2))
    assert list(_retrain_feeds.groups(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]


def test_feeds_are_read_ahead_and_stay_in_order():
    feeds = [{"x": (lambda i=i: np.full(2, i))} for i in range(9)]
    batches = _retrain_feeds.batches(feeds, _retrain_feeds.groups(iter([3, 1, 4, 1, 5]), 2), 3)
    assert [[int(f["x"][0]) for f in batch] for batch in batches] == [[3, 1], [4, 1], [5]]


def test_a_folder_of_feeds_has_its_labels(tmp_path):
    for i in range(2):
        np.save(tmp_path / f"0000{i}.npy", np.full((1, 4), i, "f4"))
    np.save(tmp_path / "priors.npy", np.asarray([[8, 8, 8, 8], [16, 8, 8, 8]], "f4"))
    labels = {"00000.npy": {"image": "a", "class": 2}, "00001.npy": {"image": "b", "boxes": [[12, 4, 20, 12, 1]]}}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    first, second = (_retrain_feeds.loaded(f) for f in _retrain_feeds.feeds_of(tmp_path))
    assert first["labels"].tolist() == [2] and first[None].shape == (1, 4)
    assert second["labels"].tolist() == [[[-1, 0, 0, 0, 0], [1, 0, 0, 0, 0]]]


def test_targets_are_the_inverse_of_the_decoder():
    random = np.random.RandomState(1)
    anchors = np.stack([random.uniform(0, 100, 400), random.uniform(0, 100, 400), random.uniform(5, 40, 400), random.uniform(5, 40, 400)], 1)
    boxes = [[10, 20, 40, 50, 2], [60, 60, 75, 90, 0]]
    targets = retrain.box_targets(boxes, anchors.astype("f4"))
    inside = targets[:, 0] >= 0
    assert 2 <= inside.sum() < 100
    for (kind, ty, tx, th, tw), (cx, cy, width, height) in zip(targets[inside], anchors[inside]):
        x, y, w, h = tx * width + cx, ty * height + cy, np.exp(tw) * width, np.exp(th) * height
        box = boxes[0] if kind == 2 else boxes[1]
        np.testing.assert_allclose([x - w / 2, y - h / 2, x + w / 2, y + h / 2], box[:4], atol=1e-3)


@pytest.mark.parametrize("words, code, part", [
    (["--train_set", "tests/data/cells/val"], 2, "--eval_set"),
    (["--train_set", "a", "--eval_set", "b", "--eval_model", "m.json", "--batch_size", "many"], 2, "batch_size"),
    (["--train_set", "a", "--eval_set", "b", "--eval_model", "m.json", "--batch_size", "0"], 2, "--batch_size"),
    (["--train_set", "a", "--eval_set", "b", "--eval_model", "m.json", "-o", "scripts"], 2, "scripts"),
    (["--train_set", "none", "--eval_set", "b", "--eval_model", "m.json"], 1, "none: no such file"),
    (["--train_set", "tests/data/cells/val", "--eval_set", "tests/data/cells/val", "--eval_model", "x.meta"], 2, "--ckpt"),
])
def test_what_cannot_be_is_one_line(words, code, part, tmp_path):
    if "-o" not in words:
        words = [*words, "-o", str(tmp_path / "out")]
    ran = subprocess.run([sys.executable, "-m", "cytodet.retrain", *words], capture_output=True, text=True)
    errors = [line for line in ran.stderr.splitlines() if line.startswith("cytodet: error: ")]
    assert ran.returncode == code and len(errors) == 1 and part in errors[0], ran.stderr
    assert not (SOURCE / "scripts/config.json").exists()


def test_a_keyword_chooses_files(tmp_path):
    chosen = _retrain_command._chosen(str(SOURCE / "tests/data/cells/calibration"), "0", str(tmp_path / "links"))
    import os
    names = [name for _, _, files in os.walk(chosen) for name in files]
    assert names and all("0" in name for name in names)
    with pytest.raises(RuntimeError, match="no file"):
        _retrain_command._chosen(str(SOURCE / "tests/data/cells"), "no such word", str(tmp_path / "links"))


def test_the_four_lines():
    lines = _retrain_command.accuracy_lines("origin model", {"top 1 accuracy": 0.662, "top 5 accuracy": 0.878})
    assert lines == "The origin model top 1 accuracy = 66.2%.\nThe origin model top 5 accuracy = 87.8%.\n"
