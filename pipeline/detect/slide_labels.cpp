#include "pipeline/detect/slide_labels.h"

#include <cctype>

#include "core/error.h"
#include "core/file.h"
#include "core/text_decode.h"
#include "pipeline/inputs/csv_table.h"

namespace cytodet::pipeline {
namespace {

constexpr int64_t kMaxLabelBytes = int64_t{256} << 20;

// 1, 0, or -1 for another word.
int label_of(std::string word) {
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char* yes : {"1", "positive", "pos", "yes", "true"})
    if (word == yes) return 1;
  for (const char* no : {"0", "negative", "neg", "no", "false"})
    if (word == no) return 0;
  return -1;
}

}  // namespace

std::vector<int> read_slide_labels(const std::string& file, const GroundTruth& truth) {
  const std::vector<CsvRow> rows = parse_csv(decode_text(read_file(file, kMaxLabelBytes), file), file);
  const auto fail = [&](const CsvRow& row, const std::string& what) {
    throw Error(file, "line " + std::to_string(row.line) + ": " + what, "write image,label with labels 1 and 0");
  };
  std::vector<std::string> names;
  std::vector<int> labels;
  std::vector<const CsvRow*> of;
  for (const CsvRow& row : rows) {
    if (row.cells.size() < 2) fail(row, "has no label");
    const int label = label_of(row.cells[1]);
    if (label < 0 && &row == &rows[0]) continue;
    if (label < 0) fail(row, "\"" + row.cells[1] + "\" is no label");
    names.push_back(row.cells[0]);
    labels.push_back(label);
    of.push_back(&row);
  }
  std::vector<int> all(truth.images.size(), -1);
  const std::vector<int> image_of = truth.images_of(names).name_of;
  for (size_t i = 0; i < names.size(); ++i) {
    if (image_of[i] < 0) fail(*of[i], "\"" + names[i] + "\" is no image of the ground truth, or named twice");
    all[static_cast<size_t>(image_of[i])] = labels[i];
  }
  return all;
}

}  // namespace cytodet::pipeline
