// Reading alone, ours against OpenSlide's read_region: the same tiles in the same order on as many threads, in turn, several
// rounds. OpenSlide is taken in both forms that its users write, one handle for all threads and a handle for each; the better one
// counts. At full scale every tile must hold the same pixels. Where a tile is shrunk, OpenSlide's time is that of read_region
// alone, without any shrinking after it. usage: bench_read SLIDE [--threads N] [--tile PX] [--overlap PX] [--shrink K] [--rounds
// R] [--json]
#include <openslide/openslide.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/settings.h"
#include "core/timing.h"
#include "tiling/tiles/grid.h"

namespace {

using namespace cytodet;

struct Options {
  std::string slide;
  int threads = 2, tile = 640, overlap = 160, factor = 1, rounds = 5;
  bool json = false;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    auto number = [&](int& into) {
      if (++i >= argc || (into = std::atoi(argv[i])) < 0) throw UsageError("bench_read " + a, "needs a number");
    };
    if (a == "--threads")
      number(o.threads);
    else if (a == "--tile")
      number(o.tile);
    else if (a == "--overlap")
      number(o.overlap);
    else if (a == "--shrink")
      number(o.factor);
    else if (a == "--rounds")
      number(o.rounds);
    else if (a == "--json")
      o.json = true;
    else if (a.starts_with("-") || !o.slide.empty())
      throw UsageError("bench_read " + a, "is unknown");
    else
      o.slide = a;
  }
  if (o.slide.empty() || o.threads < 1 || o.factor < 1 || o.rounds < 1)
    throw UsageError("bench_read", "SLIDE [--threads N] [--tile PX] [--overlap PX] [--shrink K] [--rounds R] [--json]");
  return o;
}

// Milliseconds for all tiles, taken in order by `threads` threads. body(tile, thread)
double time_tiles(size_t tiles, int threads, const std::function<void(size_t, int)>& body) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> pool;
  Stopwatch watch;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&, t] {
      for (size_t i; (i = next++) < tiles;) body(i, t);
    });
  for (std::thread& t : pool) t.join();
  return watch.ms();
}

struct Handle {
  explicit Handle(const std::string& path) : slide(openslide_open(path.c_str())) {
    if (!slide || openslide_get_error(slide)) throw Error(path, "OpenSlide cannot open it");
  }
  ~Handle() { openslide_close(slide); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  void read(const Tile& t, std::vector<uint32_t>& argb) const {
    argb.resize(static_cast<size_t>(t.width) * static_cast<size_t>(t.height));
    const double down = openslide_get_level_downsample(slide, t.level);
    openslide_read_region(slide, argb.data(), std::llround(static_cast<double>(t.x) * down),
                          std::llround(static_cast<double>(t.y) * down), t.level, t.width, t.height);
    if (const char* e = openslide_get_error(slide)) throw Error("OpenSlide", e);
  }
  openslide_t* slide;
};

double time_openslide(const Options& o, const std::vector<Tile>& tiles, bool shared) {
  std::vector<std::unique_ptr<Handle>> handles;
  for (int t = 0; t < (shared ? 1 : o.threads); ++t) handles.push_back(std::make_unique<Handle>(o.slide));
  std::vector<std::vector<uint32_t>> argb(static_cast<size_t>(o.threads));
  return time_tiles(tiles.size(), o.threads, [&](size_t i, int t) {
    handles[static_cast<size_t>(shared ? 0 : t)]->read(tiles[i], argb[static_cast<size_t>(t)]);
  });
}

double time_ours(const Options& o, const std::vector<Tile>& tiles) {
  std::unique_ptr<Slide> slide = open_slide(o.slide);
  return time_tiles(tiles.size(), o.threads, [&](size_t i, int) { read_tile(*slide, tiles[i]); });
}

// Largest difference of a channel between our tiles, as they are delivered, and OpenSlide's, shrunk by the mean; and the mean
// one.
std::pair<int, double> compare(const Options& o, const std::vector<Tile>& tiles) {
  std::unique_ptr<Slide> slide = open_slide(o.slide);
  Handle handle(o.slide);
  std::vector<uint32_t> argb;
  int worst = 0;
  double sum = 0, count = 0;
  for (const Tile& t : tiles) {
    handle.read(t, argb);
    Image full(t.width, t.height), want((t.width + t.downsample_factor - 1) / t.downsample_factor,
                                        (t.height + t.downsample_factor - 1) / t.downsample_factor);
    for (size_t i = 0; i < argb.size(); ++i)
      for (size_t c = 0; c < 3; ++c) full.rgb[i * 3 + c] = static_cast<uint8_t>(argb[i] >> (16 - 8 * c));
    downsample_by_mean(full, t.downsample_factor, want.rgb.data());
    const Image got = read_tile(*slide, t);
    for (size_t i = 0; i < got.rgb.size(); ++i) {
      const int d = std::abs(int{got.rgb[i]} - int{want.rgb[i]});
      worst = std::max(worst, d);
      sum += d;
    }
    count += static_cast<double>(got.rgb.size());
  }
  return {worst, sum / count};
}

}  // namespace

int main(int argc, char** argv) try {
  const Options o = parse(argc, argv);
  std::vector<Tile> tiles;
  {
    std::unique_ptr<Slide> slide = open_slide(o.slide);
    if (slide->format == "openslide") throw Error(o.slide, "is read through OpenSlide by us as well");
    TilingSettings s;
    s.tile_px = o.tile;
    s.overlap_px = o.overlap;
    s.scale = 1.0 / o.factor;
    tiles = make_grid(*slide, s);
    if (tiles[0].downsample_factor != o.factor) throw Error(o.slide, "has a level of its own for that scale");
  }
  const auto [worst, mean] = compare(o, tiles);
  if (o.factor == 1 && worst != 0)
    throw Error(o.slide, "our pixels are not OpenSlide's: they differ by " + std::to_string(worst));
  std::vector<double> ours, shared, apart;
  for (int r = 0; r < o.rounds; ++r) {
    ours.push_back(time_ours(o, tiles));
    shared.push_back(time_openslide(o, tiles, true));
    apart.push_back(time_openslide(o, tiles, false));
  }
  const double peer = std::min(median(shared), median(apart)), ratio = peer / median(ours);
  if (o.json) {
    auto row = [](const std::vector<double>& ms) {
      return Json{{"median_ms", median(ms)}, {"min_ms", percentile(ms, 0)}, {"max_ms", percentile(ms, 100)}};
    };
    Json j{{"slide", o.slide},        {"tiles", tiles.size()}, {"threads", o.threads}, {"tile_px", o.tile},
           {"overlap_px", o.overlap}, {"shrink", o.factor},    {"rounds", o.rounds}};
    j["cytodet"] = row(ours);
    j["openslide_shared_handle"] = row(shared);
    j["openslide_handle_per_thread"] = row(apart);
    j["ratio"] = ratio;
    j["largest_difference"] = worst;
    j["mean_difference"] = mean;
    std::printf("%s\n", j.dump().c_str());
  } else {
    std::printf(
        "%zu tiles of %d px (overlap %d) shrunk by %d on %d threads: cytodet %.0f ms, OpenSlide %.0f (one handle), %.0f "
        "(one each): %.2fx; pixels differ by %d at most, %.2f on average\n",
        tiles.size(), o.tile, o.overlap, o.factor, o.threads, median(ours), median(shared), median(apart), ratio, worst, mean);
  }
  return 0;
} catch (const cytodet::Error& e) {
  std::fprintf(stderr, "bench_read: error: %s\n", e.what());
  return static_cast<int>(e.code());
}
