#include "pipeline/results/run_folder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "core/text_width.h"
#include "core/unicode.h"
#include "eval/results.h"
#include "pipeline/inputs/companions.h"
#include "pipeline/results/result_names.h"

namespace cytodet::pipeline {
namespace {

constexpr size_t kRecord = 4 * 8 + 4 + 4;
constexpr size_t kMaxHeader = size_t{1} << 20;
static_assert(std::endian::native == std::endian::little);

// Unsigned whole numbers that JSON may hold and that do not stand for anything.
void check_state(const SlideState& s, const std::string& where) {
  static const std::vector<std::string> kStates{"waiting", "done", "failed", "skipped"};
  if (std::find(kStates.begin(), kStates.end(), s.state) == kStates.end())
    throw Error(where, "\"" + s.state + "\" is no state of a slide", "known: waiting, done, failed, skipped");
  if (s.name.empty() || s.name == "." || s.name == ".." || s.name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
    throw Error(where, "\"" + s.name + "\" is no name of a slide's files", "restore the file");
  if (s.detections < 0 || s.width < 0 || s.height < 0) throw Error(where, "holds a negative number", "restore the file");
  for (const std::optional<double>& v : {s.mpp, s.mpp_y, s.analysed_px, s.run_px})
    if (v && !(*v >= 0 && *v < 1e18)) throw Error(where, "holds a size that cannot be", "restore the file");
  if (s.bounds && std::any_of(s.bounds->begin(), s.bounds->end(), [](int64_t v) { return v < 0 || v > int64_t{1} << 40; }))
    throw Error(where, "holds bounds that cannot be", "restore the file");
  check_files(s.files, where);
}

constexpr std::string_view kReplacement = "\uFFFD";

// As earlier versions wrote names: U+FFFD for what is not UTF-8.
std::string replaced(const std::string& bytes) {
  return Json::parse(Json(bytes).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

// The one file of the folder whose name was written so; `name` where there is none.
std::string found_again(const std::filesystem::path& folder, const std::string& name) {
  std::error_code ignored;
  std::string found;
  for (const auto& e : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string there = e.path().filename().string();
    if (is_utf8(there) || replaced(there) != name) continue;
    if (!found.empty()) return name;
    found = there;
  }
  return found.empty() ? name : found;
}

// Names with U+FFFD that an earlier version wrote.
void restore_names(const std::filesystem::path& run, SlideState& s) {
  constexpr size_t kSuffix = 6;
  if (s.name.find(kReplacement) != std::string::npos) {
    const std::string boxes = found_again(run / "boxes", s.name + ".boxes");
    s.name = boxes.substr(0, boxes.size() - kSuffix);
  }
  const std::filesystem::path path = s.path;
  if (path.filename().string().find(kReplacement) != std::string::npos)
    s.path = (path.parent_path() / found_again(path.parent_path().empty() ? "." : path.parent_path(), path.filename().string()))
                 .string();
}

}  // namespace

void check_files(const std::vector<OwnFile>& files, const std::string& where) {
  for (const OwnFile& file : files) {
    std::string_view name = file.name;
    for (const std::string_view folder : {"boxes/", "masks/"})
      if (name.starts_with(folder)) name.remove_prefix(folder.size());
    if (name.empty() || name == "." || name == ".." || name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
      throw Error(where, "\"" + file.name + "\" is no name of a file of the run", "restore the file");
  }
}

void fields(Fields& f, StageSeconds& s) {
  f("open", s.open);
  f("read", s.read);
  f("resize", s.resize);
  f("network", s.network);
  f("decode", s.decode);
  f("merge", s.merge);
  f("write", s.write);
}

void fields(Fields& f, OwnFile& s) {
  f("name", s.name);
  f("bytes", s.bytes);
  f("hash", s.hash);
}

void fields(Fields& f, SlideState& s) {
  f("index", s.index);
  f("path", s.path);
  std::string bytes = is_utf8(s.path) ? "" : escaped(s.path);
  f("path_bytes", bytes);
  if (!bytes.empty()) s.path = unescaped(bytes);
  f("name", s.name);
  f("image_id", s.image_id);
  f("state", s.state);
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
  f("bounds", s.bounds);
  f("analysed_px", s.analysed_px);
  f("run_px", s.run_px);
  f("tiles", s.tiles);
  f("background_tiles", s.background_tiles);
  f("outside_tiles", s.outside_tiles);
  f("bad_tiles", s.bad_tiles);
  f("fallback_tiles", s.fallback_tiles);
  f("coarser_tiles", s.coarser_tiles);
  f("damage", s.damage);
  f("detections", s.detections);
  f("seconds", s.seconds);
  f("files", s.files);
}

std::optional<PixelArea> bounds_of(const SlideState& s) {
  if (!s.bounds) return std::nullopt;
  const auto& [x, y, width, height] = *s.bounds;
  return PixelArea{x, y, width, height};
}

void fields(Fields& f, ModelState& s) {
  f("file", s.file);
  f("hash", s.hash);
  f("graph", s.graph);
  f("graph_hash", s.graph_hash);
  f("classes", s.classes);
  f("category_ids", s.category_ids);
  f("suppression", s.suppression);
}

void fields(Fields& f, ShardState& s) {
  f("index", s.index);
  f("count", s.count);
  f("list_hash", s.list_hash);
}

void fields(Fields& f, RunState& s) {
  f("version", s.version);
  f("isa", s.isa);
  f("settings_hash", s.settings_hash);
  f("settings", s.settings);
  f("model", s.model);
  f("shard", s.shard);
  f("inputs", s.inputs);
  f("files", s.files);
  f("timing", s.timing);
}

void fields(Fields& f, BoxesHeader& s) {
  f("format", s.format);
  f("settings_hash", s.settings_hash);
  f("slide_bytes", s.slide_bytes);
  f("slide_time_ns", s.slide_time_ns);
  f("slide_hash", s.slide_hash);
  f("pictures", s.pictures);
  f("slide", s.slide);
}

int RunState::count(std::string_view state) const {
  return static_cast<int>(std::count_if(inputs.begin(), inputs.end(), [&](const SlideState& s) { return s.state == state; }));
}

RunState RunFolder::read() const {
  std::error_code ignored;
  if (!std::filesystem::exists(run_json(), ignored))
    throw Error(path.string(), "is no run folder: it holds no run.json", "name what cytodet detect -o made");
  RunState s;
  const std::string where = run_json().string();
  read_settings(read_json(run_json()), s, where);
  if (s.model.category_ids.size() != s.model.classes.size())
    throw Error(where, "model.category_ids and model.classes differ in length", "restore the file");
  if (s.shard.count < 1 || s.shard.index < 1 || s.shard.index > s.shard.count)
    throw Error(where, "shard is out of range", "restore the file");
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    check_state(s.inputs[i], where + ": inputs[" + std::to_string(i) + "]");
    restore_names(path, s.inputs[i]);
  }
  check_files(s.files, where);
  return s;
}

std::string RunFolder::text(const RunState& state) {
  return write_settings(state).dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void RunFolder::write(const RunState& state) const { write_file(run_json(), text(state)); }

void write_boxes(const BoxesHeader& header, const Detections& detections, const std::filesystem::path& path) {
  BoxesHeader h = header;
  h.slide.detections = static_cast<int64_t>(detections.size());
  h.slide.seconds = {};
  h.slide.index = h.slide.image_id = 0;
  h.slide.files.clear();
  AtomicFile file(path);
  file.write(write_settings(h).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  char record[kRecord];
  for (const Detection& d : detections) {
    const double corners[4] = {d.box.x0, d.box.y0, d.box.x1, d.box.y1};
    const auto category = static_cast<int32_t>(d.category);
    std::memcpy(record, corners, 32);
    std::memcpy(record + 32, &category, 4);
    std::memcpy(record + 36, &d.score, 4);
    file.write({record, kRecord});
  }
  file.commit();
}

BoxesReader::BoxesReader(const std::filesystem::path& path) : path_(path), file_(path, std::ios::binary) {
  if (!file_) throw Error(path.string(), "cannot open: " + std::string(std::strerror(errno)), "detect again with --resume");
  std::string line;
  for (int c; (c = file_.get()) != '\n';) {
    if (c == EOF || line.size() >= kMaxHeader) damaged("has no header");
    line.push_back(static_cast<char>(c));
  }
  read_settings(parse_json(line, path.string()), header_, path.string());
  if (header_.format != BoxesHeader{}.format) damaged("is of another form, \"" + header_.format + "\"");
  check_state(header_.slide, path.string());
  left_ = header_.slide.detections;
  std::error_code error;
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path, error));
  const int64_t wanted = bytes - static_cast<int64_t>(line.size()) - 1;
  if (error || left_ > bytes || wanted != left_ * static_cast<int64_t>(kRecord)) damaged("is cut short");
}

void BoxesReader::damaged(const std::string& what) const { throw Error(path_.string(), what, "detect again with --resume"); }

bool BoxesReader::next(Detection& d) {
  if (left_ == 0) return false;
  char record[kRecord];
  if (!file_.read(record, kRecord)) damaged("cannot be read");
  double corners[4];
  int32_t category = 0;
  std::memcpy(corners, record, 32);
  std::memcpy(&category, record + 32, 4);
  std::memcpy(&d.score, record + 36, 4);
  d.box = {corners[0], corners[1], corners[2], corners[3]};
  d.category = category;
  const bool sound = std::all_of(corners, corners + 4, [](double v) { return std::isfinite(v); }) && d.box.x0 <= d.box.x1 &&
                     d.box.y0 <= d.box.y1 && category >= 0 && std::isfinite(d.score);
  if (!sound) damaged("holds a box that cannot be");
  --left_;
  return true;
}

void for_each_done(const RunFolder& folder, const RunState& state,
                   const std::function<void(const SlideState&, BoxesReader&)>& each) {
  for (const SlideState& s : state.inputs) {
    if (s.state != "done") continue;
    BoxesReader reader(folder.boxes(s));
    each(s, reader);
  }
}

void assemble_detections(const RunFolder& folder, const RunState& state, const std::filesystem::path& to) {
  CocoResultsWriter writer(state.model.category_ids, to);
  for_each_done(folder, state, [&](const SlideState& s, BoxesReader& reader) {
    for (Detection d; reader.next(d);) {
      if (static_cast<size_t>(d.category) >= state.model.classes.size())
        throw Error(folder.boxes(s).string(), "holds a class that the model lacks", "detect again with --resume");
      writer.add(s.image_id, d);
    }
  });
  writer.finish();
}

std::string damage_text(const SlideState& s) {
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

std::string run_table(const RunState& state) {
  size_t width = 5;
  for (const SlideState& s : state.inputs)
    if (!is_companion(s)) width = std::max(width, display_width(s.name));
  width = std::min<size_t>(width, 40);
  char line[200];
  std::snprintf(line, sizeof line, " %-8s %7s %7s %5s %9s %8s  %s\n", "state", "tiles", "skipped", "bad", "boxes", "network",
                "reason");
  std::string text = left_aligned("slide", width) + line;
  SlideState sum;
  std::vector<std::string> companions;
  for (const SlideState& s : state.inputs) {
    if (is_companion(s)) {
      companions.push_back(s.path);
      continue;
    }
    const int skipped = s.background_tiles + s.outside_tiles;
    std::snprintf(line, sizeof line, " %-8s %7d %6.1f%% %5d %9lld %7.1fs  ", s.state.c_str(), s.tiles,
                  s.tiles ? 100.0 * skipped / s.tiles : 0.0, s.bad_tiles, static_cast<long long>(s.detections),
                  s.seconds.network);
    text += left_aligned(s.name, width) + line + printable(s.reason.empty() ? damage_text(s) : s.reason) + "\n";
    sum.tiles += s.tiles;
    sum.background_tiles += skipped;
    sum.bad_tiles += s.bad_tiles;
    sum.fallback_tiles += s.fallback_tiles;
    sum.detections += s.detections;
    sum.seconds.network += s.seconds.network;
  }
  if (!companions.empty()) text += "skipped, " + std::string(kCompanion) + ": " + printable(names_of_files(companions)) + "\n";
  std::snprintf(line, sizeof line, "%d done, %d failed, %d skipped%s; %d tiles, %.1f%% skipped, %d bad%s; %lld boxes\n",
                state.count("done"), state.count("failed"), state.count("skipped"),
                state.count("waiting") ? (", " + std::to_string(state.count("waiting")) + " waiting").c_str() : "", sum.tiles,
                sum.tiles ? 100.0 * sum.background_tiles / sum.tiles : 0.0, sum.bad_tiles,
                sum.fallback_tiles ? (", " + std::to_string(sum.fallback_tiles) + " from other levels").c_str() : "",
                static_cast<long long>(sum.detections));
  return text + line;
}

bool is_companion(const SlideState& s) { return s.state == "skipped" && s.reason == kCompanion; }

PathsOfIds paths_beside(const std::filesystem::path& results) {
  const RunFolder folder{results.has_parent_path() ? results.parent_path() : std::filesystem::path(".")};
  std::error_code ignored;
  PathsOfIds paths;
  if (results.filename() != "detections.json" || !std::filesystem::exists(folder.run_json(), ignored)) return paths;
  try {
    for (const SlideState& s : folder.read().inputs)
      if (!paths.try_emplace(s.image_id, s.path).second) return {};
  } catch (const Error&) {
    return {};  // some other program's run.json
  }
  return paths;
}

}  // namespace cytodet::pipeline
