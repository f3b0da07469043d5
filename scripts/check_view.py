"""Uses cytodet view and cytodet report as a person would, in a headless browser; see check_view."""
import json
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from playwright.sync_api import sync_playwright

OUT = pathlib.Path("out/check_view")
SLIDE = "tests/data/slides/blood-mosaic.tif"
TRUTH = "tests/data/slides/blood-mosaic.json"
EVIL = "<img src=x onerror=document.title='broken'>"


class Viewer:
    def __init__(self, program, *arguments):
        self.process = subprocess.Popen([program, "view", *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[0-9a-f]{32}/", self.url), self.url

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0


def wait(page, condition, seconds=120):
    page.wait_for_function(f"() => {condition}", timeout=seconds * 1000)


def settle(page):
    wait(page, "cytodet.status.ready && cytodet.status.pendingTiles === 0")
    page.wait_for_timeout(300)


def ink(page, canvas):
    """How many pixels of a canvas are not transparent or white."""
    return page.evaluate("""id => { const c = document.getElementById(id), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
        for (let i = 0; i < d.length; i += 4) n += d[i + 3] > 0 && d[i] + d[i + 1] + d[i + 2] < 740; return n; }""", canvas)


def slide_with_boxes(browser, program):
    truth = json.loads(pathlib.Path(TRUTH).read_text())
    results = [{"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.2 + 0.8 * (i % 100) / 100}
               for i, a in enumerate(truth["annotations"])]
    (OUT / "results.json").write_text(json.dumps(results))
    with Viewer(program, SLIDE, "--results", OUT / "results.json", "--classes", f"RBC,{EVIL},Platelets") as v:
        # Only the whole address opens it.
        for bad in (v.url[:-33], v.url[:-2] + "/", v.url + "../", v.url + "..%2f..%2fetc%2fpasswd", v.url + "0/tile/0/../../../etc/passwd"):
            try:
                urllib.request.urlopen(bad)
                assert bad.endswith("../"), bad  # the client itself takes the dots out
            except urllib.error.HTTPError as e:
                assert e.code == 404, (bad, e.code)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        problems = []
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("request", lambda r: problems.append("request to " + r.url) if not r.url.startswith((v.url[:-33], "data:", "blob:")) else None)
        page.goto(v.url)
        settle(page)
        assert page.evaluate("cytodet.status.boxes") == len(results)
        assert page.evaluate("cytodet.status.drawn") == len(results), "the whole slide is in view"
        assert "broken" not in page.title() and page.locator("#classes img").count() == 0, "names are text"
        assert ink(page, "boxes") > 5000 and ink(page, "tiles") > 50000
        page.screenshot(path=OUT / "slide.png")

        # Classes and scores filter.
        page.locator("#classes input").nth(0).uncheck()
        wait(page, f"cytodet.status.drawn === {sum(r['category_id'] != 1 for r in results)}")
        page.locator("#classes input").nth(0).check()
        page.locator("#score").fill("0.6")
        wait(page, f"cytodet.status.drawn === {sum(r['score'] >= 0.6 for r in results)}")
        assert page.locator("#shown").inner_text() == str(sum(r["score"] >= 0.6 for r in results))
        page.locator("#score").fill("0")

        # The wheel zooms where the pointer is, dragging moves, a box tells what it is.
        x, y, w, h = max((r["bbox"] for r in results if r["category_id"] == 2), key=lambda b: b[2])
        place = lambda: page.evaluate(f"""() => {{ const r = document.getElementById('stage').getBoundingClientRect(), v = cytodet.view, k = v.scale / devicePixelRatio;
            return [r.left + r.width / 2 + ({x + w / 2} - v.x) * k, r.top + r.height / 2 + ({y + h / 2} - v.y) * k]; }}""")
        before = place()
        mouse = [round(v) for v in before]
        scale = page.evaluate("cytodet.view.scale")
        page.mouse.move(*mouse)
        for _ in range(6):
            page.mouse.wheel(0, -150)
            page.wait_for_timeout(60)
        after, times = place(), page.evaluate("cytodet.view.scale") / scale
        assert times > 5 and all(abs((a - m) - (b - m) * times) < 2 for a, b, m in zip(after, before, mouse)), "what is under the pointer stays"
        settle(page)
        page.mouse.move(after[0] + 1, after[1])
        page.wait_for_timeout(200)
        assert page.locator("#tip").inner_text().startswith(EVIL), page.locator("#tip").inner_text()
        page.screenshot(path=OUT / "zoomed.png")
        page.mouse.down()
        page.mouse.move(after[0] + 101, after[1] + 50)
        page.mouse.up()
        moved = place()
        assert abs(moved[0] - after[0] - 100) < 3 and abs(moved[1] - after[1] - 50) < 3, "dragging moves the slide"
        page.keyboard.press("0")
        page.keyboard.press("b")
        wait(page, "cytodet.status.how === 'none'")
        page.keyboard.press("b")
        wait(page, f"cytodet.status.drawn === {len(results)}")
        assert not problems, problems
        page.close()


def crowd(browser, program, count):
    rng = random.Random(3)
    with open(OUT / "crowd.json", "w") as f:
        for i in range(count):
            x, y = (min(99900, max(0, rng.gauss(50000, 22000))) for _ in "xy")
            f.write(("," if i else "[") + f'{{"image_id":1,"category_id":{1 + i % 3},"bbox":[{x:.1f},{y:.1f},{rng.uniform(20, 60):.1f},{rng.uniform(20, 60):.1f}],"score":{rng.random():.4f}}}\n')
        f.write("]")
    with Viewer(program, OUT / "crowd.json", "--classes", "RBC,WBC,Platelets") as v:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(v.url)
        settle(page)
        assert page.evaluate("cytodet.status.boxes") == count
        times = {}
        for name, zoom in (("whole", 0), ("middle", 8), ("near", 14)):
            page.evaluate("document.getElementById('fit').click()")
            for _ in range(zoom):
                page.evaluate("document.getElementById('in').click()")
            page.wait_for_timeout(500)
            spent = []
            for i in range(7):
                page.keyboard.press("ArrowLeft" if i % 2 else "ArrowRight")
                page.wait_for_timeout(250)
                spent.append(page.evaluate("cytodet.status.drawMs"))
            times[name] = (sorted(spent)[3], page.evaluate("cytodet.status.drawn"), page.evaluate("cytodet.status.how"))
            page.screenshot(path=OUT / f"crowd_{name}.png")
        load = page.evaluate("cytodet.status.loadMs")
        print(f"{count} boxes: loaded in {load:.0f} ms; a frame takes " +
              ", ".join(f"{ms:.0f} ms ({name}: {n} boxes in view, {how})" for name, (ms, n, how) in times.items()))
        assert all(ms < 1000 for ms, _, _ in times.values()), times
        page.close()


def report(browser, program):
    subprocess.run([program, "report", OUT / "results.json", "-o", OUT / "report.html", "--truth", TRUTH, "--slides", SLIDE, "--max-dets", "5000"],
                   check=True, stdout=subprocess.DEVNULL)
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    problems = []
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("request", lambda r: problems.append("request to " + r.url) if not r.url.startswith(("file:", "data:")) else None)
    page.goto((OUT / "report.html").resolve().as_uri())
    assert page.locator("svg polyline").count() >= 6 and page.locator("figure img").count() == 3
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 100)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
    page.screenshot(path=OUT / "report.png", full_page=True)
    assert not problems, problems
    page.close()


def main():
    program, count = sys.argv[1], int(sys.argv[2])
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    start = time.time()
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        slide_with_boxes(browser, program)
        report(browser, program)
        crowd(browser, program, count)
        browser.close()
    (OUT / "crowd.json").unlink()
    print(f"all as it should be, {time.time() - start:.0f} s; pictures in {OUT}")


if __name__ == "__main__":
    main()
