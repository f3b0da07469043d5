#include "pipeline/cli/read_estimate.h"

#include <algorithm>
#include <cmath>

#include "core/timing.h"
#include "tiling/slides/stored_blocks.h"

namespace cytodet::pipeline {
namespace {

constexpr size_t kMinSamples = 3, kMaxSamples = 24;
constexpr double kSampleMs = 500;
constexpr int64_t kSampleBlocks = 16;  // rows of blocks of a sample, where blocks are as wide as the slide

// The upper part of a tile that lies on few rows of strips.
Tile sample_of(const Slide& slide, Tile tile) {
  const LevelInfo& l = slide.levels[static_cast<size_t>(tile.level)];
  if (l.tile_width < l.width || l.tile_height <= 0) return tile;
  const int64_t height = std::max<int64_t>(64, kSampleBlocks * l.tile_height);
  tile.height = static_cast<int>(std::clamp<int64_t>(height / tile.downsample_factor * tile.downsample_factor,
                                                     std::min(tile.downsample_factor, tile.height), tile.height));
  return tile;
}

// For slides that report their stored blocks: times decoding and the rest separately. If rows are decoded in order, the samples
// are tiles from top to bottom until the time is up, so that the rows above a sample were decoded before it.
ReadEstimate by_blocks(const Slide& slide, const std::vector<Tile>& tiles, const ReadPlan& plan) {
  ReadEstimate e{0, 0, 0, plan.in_order, plan.kept_bytes};
  const DecodeWork before = decoded(slide);
  int64_t rows_passed = 0;
  double share = 0, ms = 0;  // tiles read, the last ones in part; all that took
  for (size_t i = 0; i < std::min(kMaxSamples, tiles.size()); ++i) {
    const Tile& tile = plan.in_order ? tiles[tiles.size() * i / kMaxSamples] : tiles[spread_tile(tiles.size(), i)];
    if (ms > kSampleMs && i >= (plan.in_order ? 1 : kMinSamples)) break;
    const Tile sample = sample_of(slide, tile);
    const Stopwatch watch;
    read_tile(slide, sample);
    ms += watch.ms();
    share += static_cast<double>(sample.height) / tile.height;
    rows_passed = std::max(rows_passed, sample.y + sample.height);
    ++e.measured;
  }
  const DecodeWork now = decoded(slide);
  const double decoding = (now.seconds - before.seconds) * 1000;
  const int64_t side = std::max<int64_t>(1, slide.levels[static_cast<size_t>(tiles[0].level)].tile_height);
  const int64_t blocks = plan.in_order ? (rows_passed + side - 1) / side : now.blocks - before.blocks;
  e.decode_ms = blocks > 0 ? decoding / static_cast<double>(blocks) * static_cast<double>(plan.blocks) : 0;
  e.tile_ms = std::max(0.0, ms - decoding) / std::max(share, 1e-9);
  return e;
}

// For other slides: times a tile whose left neighbour was just read, as is true of most tiles.
ReadEstimate by_tiles(const Slide& slide, const std::vector<Tile>& tiles, const ReadPlan& plan) {
  ReadEstimate e{0, 0, 0, plan.in_order, plan.kept_bytes};
  double all = 0, ms = 0;
  for (size_t i = 0; i < std::min(kMaxSamples, tiles.size()); ++i) {
    if (all > kSampleMs && i >= kMinSamples) break;
    const size_t at = spread_tile(tiles.size(), i);
    Stopwatch watch;
    if (at > 0 && tiles[at - 1].y == tiles[at].y) read_tile(slide, tiles[at - 1]);
    all += watch.ms();
    watch.restart();
    read_tile(slide, tiles[at]);
    ms += watch.ms();
    all += watch.ms();
    ++e.measured;
  }
  e.tile_ms = ms / std::max(1, e.measured);
  return e;
}

}  // namespace

size_t spread_tile(size_t tiles, size_t i) {
  constexpr double kGolden = 0.6180339887498949;
  const double at = 0.5 + kGolden * static_cast<double>(i);
  return std::min(tiles - 1, static_cast<size_t>((at - std::floor(at)) * static_cast<double>(tiles)));
}

double ReadEstimate::seconds(size_t tiles, double other_ms, int streams) const {
  const double shared = (decode_ms + static_cast<double>(tiles) * (tile_ms + other_ms)) / streams;
  return (in_order ? std::max(decode_ms, shared) : shared) / 1000;
}

ReadEstimate estimate_reading(const Slide& slide, const std::vector<Tile>& tiles) {
  const Tile& t = tiles[0];
  const ReadPlan plan = plan_reads(slide, t.level, t.height, t.downsample_factor);
  return plan.blocks > 0 ? by_blocks(slide, tiles, plan) : by_tiles(slide, tiles, plan);
}

}  // namespace cytodet::pipeline
