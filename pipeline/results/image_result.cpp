#include "pipeline/results/image_result.h"

#include <array>
#include <numeric>

#include "core/enum_names.h"
#include "core/error.h"
#include "core/settings.h"
#include "core/unicode.h"
#include "pipeline/results/result_names.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::pipeline {
namespace {

constexpr EnumName<ImageState> kStates[] = {{ImageState::waiting, "waiting"},
                                            {ImageState::done, "done"},
                                            {ImageState::failed, "failed"},
                                            {ImageState::skipped, "skipped"}};

// [x, y, width, height], or null.
void bounds_field(Fields& f, std::optional<PixelArea>& bounds) {
  std::optional<std::array<int64_t, 4>> numbers;
  if (bounds) numbers = {bounds->x, bounds->y, bounds->width, bounds->height};
  const auto before = numbers;
  f("bounds", numbers);
  if (numbers == before) return;
  bounds.reset();
  if (numbers) bounds = {(*numbers)[0], (*numbers)[1], (*numbers)[2], (*numbers)[3]};
}

}  // namespace

const char* name_of(ImageState state) { return name_in(kStates, state); }

ImageState state_named(const std::string& name) {
  if (const ImageState* state = value_in(kStates, name)) return *state;
  throw Error("", "\"" + name + "\" is no state of a slide", "known: waiting, done, failed, skipped");
}

void fields(Fields& f, StageTimes& s) {
  for (const Stage& stage : kStages) f(stage.name, s.*stage.seconds);
}

void fields(Fields& f, OwnFile& s) {
  f("name", s.name);
  f("bytes", s.bytes);
  f("hash", s.hash);
}

void fields(Fields& f, ImageResult& s) {
  f("index", s.index);
  f("path", s.path);
  std::string bytes = is_utf8(s.path) ? "" : escaped(s.path);
  f("path_bytes", bytes);
  if (!bytes.empty()) s.path = unescaped(bytes);
  f("name", s.name);
  f("image_id", s.image_id);
  std::string state = name_of(s.state);
  f("state", state);
  s.state = state_named(state);
  f("reason", s.reason);
  f("tiled", s.tiled);
  f("width", s.width);
  f("height", s.height);
  f("mpp", s.mpp);
  f("mpp_y", s.mpp_y);
  f("mpp_source", s.mpp_source);
  f("selection", s.selection);
  f("warnings", s.warnings);
  f("mpp_warning", s.mpp_warning);
  bounds_field(f, s.bounds);
  f("analysed_px", s.analysed_px);
  f("run_px", s.run_px);
  f("tiles", s.tiles);
  f("background_tiles", s.background_tiles);
  f("outside_tiles", s.outside_tiles);
  f.unless(0, "silent_tiles", s.silent_tiles);
  f("bad_tiles", s.bad_tiles);
  f("fallback_tiles", s.fallback_tiles);
  f("coarser_tiles", s.coarser_tiles);
  f("damage", s.damage);
  f("detections", s.detection_count);
  f.unless(std::vector<int64_t>(), "counted", s.counted);
  f("seconds", s.times);
  f("files", s.files);
}

double ImageResult::seen_px() const { return analysed_px.value_or(static_cast<double>(width) * static_cast<double>(height)); }

std::optional<double> ImageResult::seen_mm2() const {
  return mpp ? std::optional(square_millimetres(seen_px(), *mpp, mpp_y.value_or(*mpp))) : std::nullopt;
}

int64_t ImageResult::counted_sum() const {
  return counted.empty() ? detection_count : std::accumulate(counted.begin(), counted.end(), int64_t{0});
}

void check(const ImageResult& s, const std::string& where) {
  if (s.name.empty() || s.name == "." || s.name == ".." || s.name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
    throw Error(where, "\"" + s.name + "\" is no name of a slide's files", "restore the file");
  if (s.detection_count < 0 || s.width < 0 || s.height < 0) throw Error(where, "holds a negative number", "restore the file");
  for (const std::optional<double>& v : {s.mpp, s.mpp_y, s.analysed_px, s.run_px})
    if (v && !(*v >= 0 && *v < 1e18)) throw Error(where, "holds a size that cannot be", "restore the file");
  if (s.bounds)
    for (const int64_t v : {s.bounds->x, s.bounds->y, s.bounds->width, s.bounds->height})
      if (v < 0 || v > int64_t{1} << 40) throw Error(where, "holds bounds that cannot be", "restore the file");
  for (const int64_t n : s.counted)
    if (n < 0 || n > s.detection_count) throw Error(where, "counts more detections than there are", "restore the file");
  check_files(s.files, where);
}

void check_files(const std::vector<OwnFile>& files, const std::string& where) {
  for (const OwnFile& file : files) {
    std::string_view name = file.name;
    for (const std::string_view folder : {"boxes/", "masks/"})
      if (name.starts_with(folder)) name.remove_prefix(folder.size());
    if (name.empty() || name == "." || name == ".." || name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
      throw Error(where, "\"" + file.name + "\" is no name of a file of the run", "restore the file");
  }
}

std::string damage_text(const ImageResult& s) {
  std::string text;
  if (s.bad_tiles) text = std::to_string(s.bad_tiles) + (s.bad_tiles == 1 ? " tile bad" : " tiles bad");
  if (s.fallback_tiles)
    text += (text.empty() ? "" : ", ") + std::to_string(s.fallback_tiles) +
            (!text.empty()           ? ""
             : s.fallback_tiles == 1 ? " tile"
                                     : " tiles") +
            " read from other levels";
  if (s.coarser_tiles) text += " (" + std::to_string(s.coarser_tiles) + " from a coarser one)";
  return text.empty() ? s.damage : text + ": " + s.damage;
}

}  // namespace cytodet::pipeline
