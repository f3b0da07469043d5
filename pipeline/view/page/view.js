'use strict';
// Coordinates are level-0 pixels of the slide; `view` says which of them lies in the middle and how many screen pixels one takes.
const $ = id => document.getElementById(id);
const stage = $('stage'), tileCanvas = $('tiles'), boxCanvas = $('boxes');
const view = { x: 0, y: 0, scale: 1 };
const status = { ready: false, drawn: 0, drawMs: 0, how: '', boxes: 0, loadMs: 0, pendingTiles: 0 };
window.cytodet = { status, view };

let info, slide, slideIndex = -1, boxes = null, dirty = true, tip = -1;
let enabled = [], least = [];  // by class

// ---- boxes: columns, and a grid over their centres so that only what is near the screen is looked at
const kCrowd = 30000;  // more boxes than this are painted pixel by pixel

function readBoxes(buffer) {
  const head = new Uint8Array(buffer, 0, 4);
  if (String.fromCharCode(...head) !== 'CYB1') throw new Error('not a list of boxes');
  const n = new Uint32Array(buffer, 4, 1)[0], column = i => new Float32Array(buffer, 8 + 4 * n * i, n);
  const b = { n, x0: column(0), y0: column(1), x1: column(2), y1: column(3), score: column(4), cls: new Uint16Array(buffer, 8 + 20 * n, n) };
  const side = Math.max(slide.width, slide.height, 1);
  b.cells = Math.max(1, Math.min(1024, Math.ceil(Math.sqrt(n / 16))));
  b.cell = side / b.cells;
  b.half = 0;
  let sum = 0;
  const place = new Uint32Array(n), start = new Uint32Array(b.cells * b.cells + 1);
  const at = v => Math.max(0, Math.min(b.cells - 1, Math.floor(v / b.cell)));
  for (let i = 0; i < n; i++) {
    const w = b.x1[i] - b.x0[i], h = b.y1[i] - b.y0[i];
    sum += Math.max(w, h);
    b.half = Math.max(b.half, w / 2, h / 2);
    place[i] = at((b.y0[i] + b.y1[i]) / 2) * b.cells + at((b.x0[i] + b.x1[i]) / 2);
    start[place[i] + 1]++;
  }
  for (let c = 0; c < b.cells * b.cells; c++) start[c + 1] += start[c];
  const next = start.slice();
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[next[place[i]]++] = i;
  b.order = order;
  for (const name of ['x0', 'y0', 'x1', 'y1', 'score', 'cls']) {  // neighbours on the slide become neighbours in memory
    const from = b[name], to = new from.constructor(n);
    for (let k = 0; k < n; k++) to[k] = from[order[k]];
    b[name] = to;
  }
  b.start = start;
  b.mean = n ? sum / n : 0;
  return b;
}

// Calls f(i) for each enabled box that may touch the area.
function eachBox(x0, y0, x1, y1, f) {
  const b = boxes, at = v => Math.max(0, Math.min(b.cells - 1, Math.floor(v / b.cell)));
  const left = at(x0 - b.half), right = at(x1 + b.half), top = at(y0 - b.half), bottom = at(y1 + b.half);
  for (let row = top; row <= bottom; row++) {
    const end = b.start[row * b.cells + right + 1];
    for (let i = b.start[row * b.cells + left]; i < end; i++) {
      if (b.score[i] >= least[b.cls[i]] && enabled[b.cls[i]] && b.x0[i] <= x1 && b.x1[i] >= x0 && b.y0[i] <= y1 && b.y1[i] >= y0) f(i);
    }
  }
}

function countClasses() {
  const none = () => new Array(info.classes.length).fill(0);
  const counts = none(), right = none(), wrong = none(), bins = new Array(60).fill(0);
  if (boxes) for (let i = 0; i < boxes.n; i++) {
    const c = boxes.cls[i];
    if (boxes.score[i] >= least[c]) {
      counts[c]++;
      if (boxes.right) { if (boxes.right[i] === 1) right[c]++; else if (boxes.right[i] === 0) wrong[c]++; }
    }
    bins[Math.max(0, Math.min(59, Math.floor(boxes.score[i] * 60)))]++;
  }
  let shown = 0;
  document.querySelectorAll('#classes b').forEach((b, c) => { b.textContent = counts[c].toLocaleString('en'); if (enabled[c]) shown += counts[c]; });
  $('shown').textContent = shown.toLocaleString('en');
  status.counts = counts;
  const share = (a, b) => b > 0 ? (a / b).toFixed(3) : '\u2013';
  status.figures = boxes && boxes.truths ? counts.map((n, c) => ({ precision: share(right[c], right[c] + wrong[c]), recall: share(right[c], boxes.truths[c]), truths: boxes.truths[c] })) : null;
  document.querySelectorAll('#classes .figures').forEach((p, c) => {
    const f = status.figures && status.figures[c];
    p.textContent = f ? `precision ${f.precision}, recall ${f.recall}; ${f.truths.toLocaleString('en')} in truth` : '';
  });
  const lowest = Math.min(...least);
  const h = $('histogram'), g = h.getContext('2d'), most = Math.max(1, ...bins);
  g.clearRect(0, 0, h.width, h.height);
  bins.forEach((n, i) => {
    g.fillStyle = (i + 1) / 60 > lowest ? '#5b7fa6' : '#b9c0c7';
    const tall = n ? Math.max(1, h.height * Math.log1p(n) / Math.log1p(most)) : 0;
    g.fillRect(i * 4, h.height - tall, 3, tall);
  });
}

// ---- tiles
const tiles = new Map();
let loading = 0;
const kMaxTiles = 400, kLoading = 6;

function tile(zoom, x, y) {
  const key = `${slideIndex}/${zoom}/${x}/${y}`;
  let t = tiles.get(key);
  if (!t) tiles.set(key, t = { key, path: `${slideIndex}/tile/${zoom}/${x}/${y}`, state: 'wanted' });
  t.used = performance.now();
  return t;
}

function load(wanted) {
  for (const t of wanted) {
    if (loading >= kLoading) break;
    if (t.state !== 'wanted') continue;
    t.state = 'loading';
    loading++;
    const done = state => { t.state = state; loading--; dirty = true; };
    t.image = new Image();
    t.image.onload = () => done('ready');
    t.image.onerror = () => {
      done('failed');
      fetch(t.path).then(r => r.ok ? '' : r.text()).then(text => text && notice(text), () => notice('the program has ended'));
    };
    t.image.src = t.path;
  }
  status.pendingTiles = wanted.filter(t => t.state === 'wanted' || t.state === 'loading').length;
  if (tiles.size > kMaxTiles)
    [...tiles.values()].filter(t => t.state !== 'loading').sort((a, b) => a.used - b.used).slice(0, tiles.size - kMaxTiles).forEach(t => tiles.delete(t.key));
}

function drawTiles(g, w, h) {
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.fillStyle = getComputedStyle(document.body).backgroundColor;
  g.fillRect(0, 0, w, h);
  const left = view.x - w / 2 / view.scale, top = view.y - h / 2 / view.scale;
  const sx = x => (x - left) * view.scale, sy = y => (y - top) * view.scale;
  g.fillStyle = '#fff';
  g.fillRect(sx(0), sy(0), slide.width * view.scale, slide.height * view.scale);
  if (!slide.pixels) { status.pendingTiles = 0; return; }
  const zoom = Math.max(0, Math.min(slide.zooms - 1, Math.floor(Math.log2(1 / view.scale) + 0.3)));
  g.imageSmoothingEnabled = view.scale < 4;
  const wanted = [];
  for (let z = slide.zooms - 1; z >= zoom; z--) {
    if (z !== zoom && z !== slide.zooms - 1 && z > zoom + 2) continue;
    const side = info.tile * 2 ** z, across = Math.ceil(slide.width / side), down = Math.ceil(slide.height / side);
    const x0 = Math.max(0, Math.floor(left / side)), x1 = Math.min(across - 1, Math.floor((left + w / view.scale) / side));
    const y0 = Math.max(0, Math.floor(top / side)), y1 = Math.min(down - 1, Math.floor((top + h / view.scale) / side));
    const mine = [];
    for (let y = y0; y <= y1; y++) for (let x = x0; x <= x1; x++) {
      const t = tile(z, x, y);
      if (t.state === 'ready') {
        const a = sx(x * side), b = sy(y * side), c = sx(Math.min(slide.width, (x + 1) * side)), d = sy(Math.min(slide.height, (y + 1) * side));
        g.drawImage(t.image, Math.floor(a), Math.floor(b), Math.ceil(c) - Math.floor(a), Math.ceil(d) - Math.floor(b));
      }
      if (z === zoom || z === slide.zooms - 1) mine.push([Math.hypot((x + .5) * side - view.x, (y + .5) * side - view.y), t]);
    }
    mine.sort((a, b) => a[0] - b[0]);
    wanted.push(...mine.map(m => m[1]));
  }
  load(wanted);
}

// ---- drawing boxes
let pixels = null;

function drawBoxes(g, w, h) {
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.clearRect(0, 0, w, h);
  status.drawn = 0;
  status.how = 'none';
  if (!boxes || !$('show').checked) return;
  const b = boxes, k = view.scale, left = view.x - w / 2 / k, top = view.y - h / 2 / k, right = left + w / k, bottom = top + h / k;
  let near = 0;
  eachBox(left, top, right, bottom, () => { near++; });
  status.drawn = near;
  if (near <= kCrowd && b.mean * k >= 3) {
    status.how = 'lines';
    const paths = info.classes.map(() => new Path2D());
    eachBox(left, top, right, bottom, i => paths[b.cls[i]].rect((b.x0[i] - left) * k, (b.y0[i] - top) * k, (b.x1[i] - b.x0[i]) * k, (b.y1[i] - b.y0[i]) * k));
    g.lineWidth = Math.max(1, Math.min(3, b.mean * k / 24)) * (window.devicePixelRatio || 1);
    info.classes.forEach((c, i) => { g.strokeStyle = `rgb(${c.color})`; g.stroke(paths[i]); });
    if (tip >= 0) {
      g.lineWidth *= 2;
      g.strokeStyle = `rgb(${info.classes[b.cls[tip]].color})`;
      g.strokeRect((b.x0[tip] - left) * k, (b.y0[tip] - top) * k, (b.x1[tip] - b.x0[tip]) * k, (b.y1[tip] - b.y0[tip]) * k);
    }
    return;
  }
  status.how = 'pixels';
  if (!pixels || pixels.width !== w || pixels.height !== h) pixels = g.createImageData(w, h);
  const out = new Uint32Array(pixels.data.buffer);
  out.fill(0);
  const colours = info.classes.map(c => (0xff000000 | c.color[2] << 16 | c.color[1] << 8 | c.color[0]) >>> 0);
  eachBox(left, top, right, bottom, i => {
    const colour = colours[b.cls[i]];
    const x0 = Math.floor((b.x0[i] - left) * k), y0 = Math.floor((b.y0[i] - top) * k), x1 = Math.floor((b.x1[i] - left) * k), y1 = Math.floor((b.y1[i] - top) * k);
    if (x1 - x0 <= 1 && y1 - y0 <= 1) {  // most of a crowd seen from afar
      if (x0 >= 0 && x0 < w && y0 >= 0 && y0 < h) out[y0 * w + x0] = colour;
      if (x1 >= 0 && x1 < w && y1 >= 0 && y1 < h) out[y1 * w + x1] = colour;
      return;
    }
    const a = Math.max(0, x0), c = Math.min(w - 1, x1), d = Math.max(0, y0), e = Math.min(h - 1, y1);
    if (y0 >= 0 && y0 < h) out.fill(colour, y0 * w + a, y0 * w + c + 1);
    if (y1 !== y0 && y1 >= 0 && y1 < h) out.fill(colour, y1 * w + a, y1 * w + c + 1);
    for (let y = d; y <= e; y++) {
      if (x0 >= 0 && x0 < w) out[y * w + x0] = colour;
      if (x1 >= 0 && x1 < w) out[y * w + x1] = colour;
    }
  });
  g.putImageData(pixels, 0, 0);
}

function scaleBar(ratio) {
  const micrometres = slide.mpp, unit = (micrometres || 1) / view.scale * ratio;  // per CSS pixel
  const power = 10 ** Math.floor(Math.log10(unit * 120)), step = [5, 2, 1].find(s => s * power <= unit * 120) * power;
  $('scale').firstChild.style.width = step / unit + 'px';
  $('scale').lastChild.textContent = !micrometres ? step + ' px' : step >= 1000 ? step / 1000 + ' mm' : step + ' \u00b5m';
}

let placeTimer = 0;

function frame() {
  requestAnimationFrame(frame);
  if (!dirty || !slide) return;
  dirty = false;
  const ratio = window.devicePixelRatio || 1, w = Math.round(stage.clientWidth * ratio), h = Math.round(stage.clientHeight * ratio);
  if (!w || !h) return;
  for (const c of [tileCanvas, boxCanvas]) if (c.width !== w || c.height !== h) { c.width = w; c.height = h; }
  drawTiles(tileCanvas.getContext('2d', { alpha: false }), w, h);
  const start = performance.now();
  drawBoxes(boxCanvas.getContext('2d'), w, h);
  status.drawMs = performance.now() - start;
  scaleBar(ratio);
  clearTimeout(placeTimer);  // browsers limit how often an address may change
  placeTimer = setTimeout(() => history.replaceState(null, '', `#${slideIndex},${Math.round(view.x)},${Math.round(view.y)},${view.scale.toPrecision(4)}`), 400);
}

// ---- moving
const limit = () => {
  const fit = fitScale();
  view.scale = Math.max(fit / 4, Math.min(32, view.scale));
  view.x = Math.max(0, Math.min(slide.width, view.x));
  view.y = Math.max(0, Math.min(slide.height, view.y));
  dirty = true;
};
// What was scanned is shown whole; the rest of the canvas can be moved to.
const fitScale = () => Math.min(stage.clientWidth / slide.bounds[2], stage.clientHeight / slide.bounds[3]) * (window.devicePixelRatio || 1) * 0.96;

function fit() {
  view.x = slide.bounds[0] + slide.bounds[2] / 2;
  view.y = slide.bounds[1] + slide.bounds[3] / 2;
  view.scale = fitScale();
  limit();
}

// Keeps what lies under the place (CSS pixels) where it is.
function zoomAt(factor, px = stage.clientWidth / 2, py = stage.clientHeight / 2) {
  const ratio = window.devicePixelRatio || 1, dx = (px - stage.clientWidth / 2) * ratio, dy = (py - stage.clientHeight / 2) * ratio;
  const before = view.scale;
  view.scale = Math.max(fitScale() / 4, Math.min(32, view.scale * factor));
  view.x += dx / before - dx / view.scale;
  view.y += dy / before - dy / view.scale;
  limit();
}

function under(event) {
  const r = stage.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  return [view.x + (event.clientX - r.left - r.width / 2) * ratio / view.scale, view.y + (event.clientY - r.top - r.height / 2) * ratio / view.scale];
}

const pointers = new Map();
stage.addEventListener('pointerdown', e => { pointers.set(e.pointerId, e); stage.setPointerCapture(e.pointerId); stage.classList.add('dragging'); });
for (const end of ['pointerup', 'pointercancel']) stage.addEventListener(end, e => { pointers.delete(e.pointerId); if (!pointers.size) stage.classList.remove('dragging'); });
stage.addEventListener('pointermove', e => {
  if (!slide) return;
  const ratio = window.devicePixelRatio || 1, last = pointers.get(e.pointerId);
  if (last && pointers.size === 1) {
    view.x -= (e.clientX - last.clientX) * ratio / view.scale;
    view.y -= (e.clientY - last.clientY) * ratio / view.scale;
    limit();
  } else if (last && pointers.size === 2) {
    const other = [...pointers.values()].find(p => p.pointerId !== e.pointerId), r = stage.getBoundingClientRect();
    const distance = p => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
    if (distance(last) > 0) zoomAt(distance(e) / distance(last), (e.clientX + other.clientX) / 2 - r.left, (e.clientY + other.clientY) / 2 - r.top);
  }
  if (last) pointers.set(e.pointerId, e);
  point(e);
});
stage.addEventListener('pointerleave', () => { tip = -1; $('tip').hidden = true; dirty = true; });
stage.addEventListener('wheel', e => {
  e.preventDefault();
  if (!slide) return;
  const r = stage.getBoundingClientRect();
  zoomAt(Math.exp(-Math.max(-200, Math.min(200, e.deltaMode ? e.deltaY * 30 : e.deltaY)) / 300), e.clientX - r.left, e.clientY - r.top);
}, { passive: false });
stage.addEventListener('dblclick', e => { const r = stage.getBoundingClientRect(); zoomAt(2, e.clientX - r.left, e.clientY - r.top); });

// The smallest box under the pointer.
function point(event) {
  const [x, y] = under(event);
  const mm = slide.mpp ? `   ${(x * slide.mpp / 1000).toFixed(3)}, ${(y * slide.mpp_y / 1000).toFixed(3)} mm` : '';
  $('cursor').textContent = `${Math.round(x)}, ${Math.round(y)} px${mm}`;
  let best = -1, size = Infinity;
  if (boxes && $('show').checked && boxes.mean * view.scale >= 3)
    eachBox(x, y, x, y, i => { const s = (boxes.x1[i] - boxes.x0[i]) * (boxes.y1[i] - boxes.y0[i]); if (s < size) { size = s; best = i; } });
  if (best !== tip) dirty = true;
  tip = best;
  const t = $('tip');
  t.hidden = best < 0;
  if (best < 0) return;
  const w = boxes.x1[best] - boxes.x0[best], h = boxes.y1[best] - boxes.y0[best], r = stage.getBoundingClientRect();
  t.textContent = `${info.classes[boxes.cls[best]].name}  ${boxes.score[best].toFixed(3)}\n${w.toFixed(0)} \u00d7 ${h.toFixed(0)} px` +
    (slide.mpp ? `, ${(w * slide.mpp).toFixed(1)} \u00d7 ${(h * slide.mpp_y).toFixed(1)} \u00b5m` : '');
  t.style.left = Math.min(event.clientX - r.left + 14, r.width - 150) + 'px';
  t.style.top = Math.min(event.clientY - r.top + 14, r.height - 50) + 'px';
}

window.addEventListener('resize', () => { dirty = true; });
window.addEventListener('keydown', e => {
  if (!slide || e.ctrlKey || e.metaKey || e.altKey || /^(SELECT|INPUT)$/.test(e.target.tagName) && e.target.type !== 'checkbox') return;
  const step = 120 * (window.devicePixelRatio || 1) / view.scale;
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  if (moves[e.key]) { view.x += moves[e.key][0]; view.y += moves[e.key][1]; limit(); }
  else if (e.key === '+' || e.key === '=') zoomAt(1.5);
  else if (e.key === '-') zoomAt(1 / 1.5);
  else if (e.key === '0') fit();
  else if (e.key === '1') zoomAt(1 / view.scale);
  else if (e.key === 'b' || e.key === 'B') { $('show').checked = !$('show').checked; dirty = true; }
  else return;
  e.preventDefault();
});
$('in').onclick = () => zoomAt(1.5);
$('out').onclick = () => zoomAt(1 / 1.5);
$('fit').onclick = fit;
$('full').onclick = () => zoomAt(1 / view.scale);
$('show').onchange = () => { dirty = true; };
// Sets the least score of a class, of all of them where none is given; sliders and texts follow.
function setLeast(scores) {
  least = scores;
  document.querySelectorAll('#classes input[type=range]').forEach((s, c) => { s.value = least[c]; s.nextElementSibling.textContent = +least[c].toFixed(4); });
  const same = least.every(v => v === least[0]);
  if (least.length) $('score').value = Math.min(...least);
  $('least').textContent = !least.length ? '' : same ? +least[0].toFixed(4) : 'by class';
  status.least = least;
  countClasses();
  dirty = true;
}
$('score').oninput = e => setLeast(info.classes.map(() => +e.target.value));
$('reset').onclick = () => setLeast(info.classes.map(c => c.score));

// ---- loading
let noticeTimer = 0;
function notice(text) {
  $('notice').textContent = text.trim();
  $('notice').hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { $('notice').hidden = true; }, 8000);
}

// Whether each box is right; boxes are in the order that readBoxes gave them.
async function readTruth(index, b) {
  const reply = await fetch(`${index}/truth`);
  if (!reply.ok) throw new Error(await reply.text());
  const buffer = await reply.arrayBuffer(), [n, classes] = new Uint32Array(buffer, 4, 2);
  if (String.fromCharCode(...new Uint8Array(buffer, 0, 4)) !== 'CYT1' || n !== b.n) throw new Error('the truth is not of these boxes');
  b.truths = new Uint32Array(buffer, 12, classes);
  const right = new Uint8Array(buffer, 12 + 4 * classes, n);
  b.right = Uint8Array.from(b.order, i => right[i]);
}

async function choose(index, place) {
  slideIndex = index;
  slide = info.slides[index];
  boxes = null;
  tip = -1;
  status.ready = false;
  $('slide').value = index;
  const across = slide.mpp ? slide.mpp.toFixed(4) : '', down = slide.mpp ? slide.mpp_y.toFixed(4) : '';
  const mm = slide.mpp ? `, ${across}${down === across ? '' : ' \u00d7 ' + down} \u00b5m per pixel` : '';
  $('facts').textContent = `${slide.width.toLocaleString('en')} \u00d7 ${slide.height.toLocaleString('en')} px${mm}` + (slide.reason ? `; ${slide.state}: ${slide.reason}` : '') +
    (slide.pixels ? '' : '; the slide is not at hand, boxes only');
  fit();
  if (place) { [view.x, view.y, view.scale] = place; limit(); }
  const start = performance.now();
  try {
    const reply = await fetch(`${index}/boxes`);
    if (!reply.ok) throw new Error(await reply.text());
    const buffer = await reply.arrayBuffer();
    if (slideIndex !== index) return;
    const read = readBoxes(buffer);
    if (info.truth) await readTruth(index, read);
    if (slideIndex !== index) return;
    boxes = read;
    status.boxes = boxes.n;
    status.loadMs = performance.now() - start;
  } catch (e) {
    notice(String(e.message || e));
  }
  countClasses();
  status.ready = true;
  dirty = true;
}

async function main() {
  info = await (await fetch('slides.json')).json();
  document.title = info.title + ' \u2013 cytodet view';
  $('title').textContent = info.title;
  info.slides.forEach((s, i) => $('slide').append(new Option(s.name + (s.state && s.state !== 'done' ? ` (${s.state})` : ''), i)));
  $('slide').onchange = e => choose(+e.target.value);
  enabled = info.classes.map(() => true);
  info.classes.forEach((c, i) => {
    const label = document.createElement('label'), box = document.createElement('input'), colour = document.createElement('i'), name = document.createElement('span');
    box.type = 'checkbox';
    box.checked = true;
    box.onchange = () => { enabled[i] = box.checked; countClasses(); dirty = true; };
    colour.style.background = `rgb(${c.color})`;
    name.textContent = c.name;
    label.append(box, colour, name, document.createElement('b'));
    const one = document.createElement('div'), row = document.createElement('div'), slider = document.createElement('input'), value = document.createElement('output'), figures = document.createElement('div');
    one.className = 'class';
    row.className = 'row';
    figures.className = 'row figures';
    Object.assign(slider, { type: 'range', min: 0, max: 1, step: 0.001 });
    slider.setAttribute('aria-label', `Least score of ${c.name}`);
    slider.oninput = () => setLeast(least.map((v, k) => k === i ? +slider.value : v));
    row.append(slider, value);
    one.append(label, row, figures);
    $('classes').append(one);
  });
  $('counting').textContent = info.boxes_count ? `Boxes count ${info.boxes_count}.` : '';
  $('reset').hidden = !info.boxes_count;
  setLeast(info.classes.map(c => c.score));
  const place = location.hash.slice(1).split(',').map(Number);
  const known = place.length === 4 && place.every(Number.isFinite) && info.slides[place[0]];
  await choose(known ? place[0] : 0, known ? place.slice(1) : null);
}
requestAnimationFrame(frame);
main().catch(e => notice(String(e.message || e)));
