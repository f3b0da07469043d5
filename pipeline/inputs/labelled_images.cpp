#include "pipeline/inputs/labelled_images.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "core/ascii.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text_decode.h"
#include "graph/io/tensorflow/example.h"
#include "graph/io/tensorflow/record_file.h"
#include "pipeline/inputs/companions.h"
#include "pipeline/inputs/csv_table.h"
#include "pipeline/inputs/list_inputs.h"
#include "tiling/slides/image_io.h"
#include "tiling/slides/slide.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

std::span<const uint8_t> as_bytes(const std::string& s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

ImageLabel label_named(const std::string& name) {
  ImageLabel label{name, {}};
  int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) label.number = number;
  return label;
}

bool is_table(const std::string& path) {
  const std::string extension = lower_ascii(fs::path(path).extension().string());
  return extension == ".csv" || extension == ".tsv";
}

bool is_heading(const CsvRow& row) {
  static const std::set<std::string> kNames{"file", "filename", "file_name", "path", "image", "name"};
  return kNames.contains(lower_ascii(row.cells[0]));
}

class Lister {
 public:
  enum class Records { each, whole_files };
  explicit Lister(Records records) : records_(records) {}

  void add(const std::string& input) {
    std::error_code ignored;
    if (fs::is_directory(input, ignored))
      add_folder(input);
    else if (is_table(input))
      add_table(input);
    else if (is_record_file(input))
      add_records(input);
    else
      add_files({input}, {});
  }

  LabelledImages list;

 private:
  void add_files(const std::vector<std::string>& inputs, const ImageLabel& label) {
    InputList found = list_inputs(inputs);
    for (std::string& file : found.files) list.images.push_back({file, file, label});
    list.companions.insert(list.companions.end(), found.companions.begin(), found.companions.end());
  }

  // Class folders where the folder itself holds no image; records where its files are some.
  void add_folder(const std::string& folder) {
    std::vector<std::string> folders, records;
    bool images = false;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const std::string path = entry.path().string(), name = entry.path().filename().string();
      std::error_code unknown;
      if (name[0] == '.') continue;
      if (entry.is_directory(unknown))
        folders.push_back(path);
      else if (is_record_file(path))
        records.push_back(path);
      else
        images = images || !is_companion(path);
    }
    if (error) throw Error(folder, "cannot list the folder: " + error.message());
    std::sort(folders.begin(), folders.end());
    std::sort(records.begin(), records.end());
    if (images || (folders.empty() && records.empty())) return add_files({folder}, {});
    if (!folders.empty() && !records.empty())
      throw Error(folder, "holds both folders and TFRecord files", "name the one that is meant");
    for (const std::string& file : records) add_records(file);
    for (const std::string& each : folders) add_files({each}, label_named(fs::path(each).filename().string()));
  }

  void add_table(const std::string& file) {
    const std::string text = decode_text(read_file(file, int64_t{256} << 20), file);
    std::vector<CsvRow> rows = parse_csv(text, file);
    if (!rows.empty() && is_heading(rows[0])) rows.erase(rows.begin());
    if (rows.empty()) throw Error(file, "names no images", "write an image and its label a line");
    for (const CsvRow& row : rows) {
      const std::string line = "line " + std::to_string(row.line);
      if (row.cells.size() < 2 || row.cells[1].empty())
        throw Error(file, line + " has no label", "write an image and its label a line, with a comma between");
      if (row.cells[0].empty() || row.cells[0].find('\0') != std::string::npos) throw Error(file, line + " names no image");
      const std::string path =
          fs::path(row.cells[0]).is_absolute() ? row.cells[0] : (fs::path(file).parent_path() / row.cells[0]).string();
      list.images.push_back({path, path, label_named(row.cells[1])});
    }
  }

  void add_records(const std::string& file) {
    if (records_ == Records::whole_files) {
      list.images.push_back({file, file, {}});
      return;
    }
    const std::vector<RecordPlace> places = list_records(file);
    for (size_t i = 0; i < places.size(); ++i)
      list.images.push_back({file + ", record " + std::to_string(i), file, {}, places[i].offset, places[i].size});
  }

  const Records records_;
};

}  // namespace

LabelledImages list_labelled_images(const std::vector<std::string>& inputs) {
  Lister lister(Lister::Records::each);
  for (const std::string& input : inputs) lister.add(input);
  if (lister.list.images.empty())
    throw Error(inputs.at(0), "holds no images", "name images, a folder per class, a CSV or TFRecords");
  return std::move(lister.list);
}

std::vector<std::string> files_of_labelled_images(const std::vector<std::string>& inputs) {
  Lister lister(Lister::Records::whole_files);
  for (const std::string& input : inputs) lister.add(input);
  std::vector<std::string> files;
  for (const LabelledImage& image : lister.list.images) files.push_back(image.path);
  return files;
}

Image read_whole_image(const std::string& path, const JpegDecoding& jpeg) {
  const std::unique_ptr<Slide> slide = open_measured_slide(path);
  try {
    if (!slide) return decode_image(as_bytes(read_file(path, int64_t{1} << 30)), jpeg);
    if (slide->width() > kMaxImagePixels / slide->height())
      throw Error("",
                  "image of " + std::to_string(slide->width()) + " x " + std::to_string(slide->height()) +
                      " pixels is too large to classify whole",
                  "cut out what is to be classified");
    Image image(static_cast<int>(slide->width()), static_cast<int>(slide->height()));
    slide->read(0, 0, 0, image.width, image.height, image.rgb.data());
    return image;
  } catch (const Error& e) {
    if (e.where().starts_with(path)) throw;
    throw e.within(path);
  }
}

LoadedImage load_labelled_image(const LabelledImage& image, const JpegDecoding& jpeg) {
  if (image.record_offset < 0) return {read_whole_image(image.path, jpeg), image.label};
  try {
    const ImageExample example = parse_image_example(read_record(image.path, {image.record_offset, image.record_size}), "");
    return {decode_image(as_bytes(example.encoded), jpeg), {"", example.label}};
  } catch (const Error& e) {
    if (e.where() == image.path) throw Error(image.name, e.problem(), e.fix(), e.code()).caused_by(e.cause());
    throw e.within(image.name);
  }
}

}  // namespace cytodet::pipeline
