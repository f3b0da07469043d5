#include "pipeline/results/run_plan.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/unicode.h"
#include "eval/results.h"
#include "pipeline/results/saved_results.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxNamed = 3;  // clashes that an error names
constexpr const char* kFolders[] = {"boxes", "masks"};

// Keys of what stands in the run folder, so that a fresh folder costs one look, not one per file.
std::set<std::string> standing_keys(const fs::path& folder) {
  std::set<std::string> keys;
  std::error_code ignored;
  for (const auto& e : fs::directory_iterator(folder, ignored)) keys.insert(name_key(e.path().filename().string()));
  for (const char* inner : kFolders)
    for (const auto& e : fs::directory_iterator(folder / inner, ignored))
      keys.insert(std::string(inner) + "/" + name_key(e.path().filename().string()));
  return keys;
}

std::string key_of_file(const std::string& name) {
  const size_t slash = name.find('/');
  return slash == std::string::npos ? name_key(name) : name.substr(0, slash + 1) + name_key(name.substr(slash + 1));
}

class PlanCheck {
 public:
  PlanCheck(const RunFiles& files, const InputFiles& read)
      : files_(files), read_(read), standing_(standing_keys(files.folder())) {}

  void add(const std::string& name, const std::string& what) {
    if (!standing_.contains(key_of_file(name))) return;
    const fs::path path = files_.folder() / name;
    if (const InputFiles::File* input = read_.find(path))
      clash(path.string() + ": " + written_over(what, *input, path));
    else if (files_.whose(name) == RunFiles::Whose::foreign)
      clash(path.string() + ": " + what + " would be written over this file, which is not of this program or was changed since");
  }
  void finish() const {
    if (count_ == 0) return;
    throw UsageError("", text_ + (count_ > kMaxNamed ? "; and " + std::to_string(count_ - kMaxNamed) + " more" : ""),
                     std::string("nothing was changed; name another folder with -o, or move what stands there") +
                         (files_.unlisted_before() ? "; --overwrite replaces what an earlier version left" : ""));
  }

 private:
  void clash(const std::string& text) {
    if (++count_ <= kMaxNamed) text_ += (count_ > 1 ? "; " : "") + text;
  }
  const RunFiles& files_;
  const InputFiles& read_;
  std::set<std::string> standing_;
  size_t count_ = 0;
  std::string text_;
};

// Lists the file if its bytes are those that `make` writes.
template <class Make>
void list_if_made(RunFiles& files, const std::string& name, const Make& make) {
  const std::optional<OwnFile> there = measured_file(files.folder(), name);
  if (!there) return;
  try {
    const fs::path made = files.staged(name);
    make(made);
    const std::optional<OwnFile> again = measured_file(made.parent_path(), made.filename().string());
    if (again && again->bytes == there->bytes && again->hash == there->hash) files.list(*there);
  } catch (const Error&) {  // it stays unlisted
  }
}

void list_slide_by_content(RunFiles& files, const ImageResult& s, const Classes& classes, const CountingScores& counting) {
  const std::string boxes = "boxes/" + s.name + ".boxes";
  Detections all;
  try {
    BoxesReader reader(files.folder() / boxes);
    if (reader.header().slide.name != s.name) return;
    for (Detection d; reader.next(d);) all.push_back(d);
  } catch (const Error&) {
    return;
  }
  if (const auto file = measured_file(files.folder(), boxes)) files.list(*file);
  for (const Output& entry : outputs())
    if (entry.pixels == Pixels::none)
      for (const bool some : {false, true})  // all boxes, and those that count
        list_if_made(files, s.name + entry.suffix, [&](const fs::path& to) {
          auto file = entry.open(output_image_of(s, {}, classes, {}), {}, to);
          for (const Detection& d : all)
            if (!some || counting.counts(d)) file->add(d);
          file->finish();
        });
}

}  // namespace

std::vector<std::string> RunLayout::files_of(const std::string& name) const {
  std::vector<std::string> files{name + ".json"};
  if (overlay) files.push_back(name + "." + name_of(*overlay));
  for (const std::string& form : outputs)
    if (const std::string file = name + output_named(form).suffix; file != files[0]) files.push_back(file);
  if (mask) files.push_back("masks/" + name + ".png");
  files.push_back("boxes/" + name + ".boxes");
  return files;
}

std::vector<std::string> RunLayout::files_of_run() const {
  std::vector<std::string> files{RunFolder::kRunJson, RunFolder::kJournal, RunFolder::kDetections};
  files.insert(files.end(), run_also.begin(), run_also.end());
  return files;
}

std::vector<std::string> all_files_of(const std::string& name) {
  std::vector<std::string> files{"boxes/" + name + ".boxes", "masks/" + name + ".png"};
  for (const OverlayFormat format : kOverlayFormats) files.push_back(name + "." + name_of(format));
  for (const Output& o : outputs()) files.push_back(name + o.suffix);
  return files;
}

void check_plan(const RunFiles& files, const RunLayout& layout, const std::vector<const ImageResult*>& todo,
                const InputFiles& read) {
  PlanCheck check(files, read);
  for (const std::string& name : layout.files_of_run()) check.add(name, "what the run writes there");
  for (const ImageResult* s : todo)
    for (const std::string& name : layout.files_of(s->name)) check.add(name, "results of " + s->path);
  check.finish();
}

void check_plan(const RunFiles& files, const std::vector<std::pair<std::string, std::string>>& planned, const InputFiles& read) {
  PlanCheck check(files, read);
  for (const auto& [name, what] : planned) check.add(name, what);
  check.finish();
}

std::string longest_name(const RunLayout& layout, const std::vector<const ImageResult*>& todo) {
  std::string longest;
  for (const ImageResult* s : todo)
    for (const std::string& name : layout.files_of(s->name))
      if (fs::path(name).filename().string().size() > fs::path(longest).filename().string().size()) longest = name;
  return longest;
}

void list_by_content(RunFiles& files) {
  const RunState& before = *files.before();
  Classes classes;
  for (size_t c = 0; c < before.model.classes.size(); ++c) classes.add(before.model.category_ids[c], before.model.classes[c]);
  for (const ImageResult& s : before.inputs)
    if (s.done()) list_slide_by_content(files, s, classes, counting_of(before));
  list_if_made(files, RunFolder::kDetections,
               [&](const fs::path& to) { assemble_detections(RunFolder{files.folder()}, before, to); });
  files.discard_staged();
}

}  // namespace cytodet::pipeline
