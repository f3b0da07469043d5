// COCO results, box lists, CSV: a line per box.
#include "eval/results.h"
#include "pipeline/results/formats/csv_cells.h"
#include "pipeline/results/formats/output_entries.h"
#include "pipeline/results/formats/text_file.h"

namespace cytodet::pipeline {
namespace {

class Coco : public OutputFile {
 public:
  Coco(const OutputImage& p, const std::filesystem::path& to) : file_(to, false), image_(p) {}
  void add(const Detection& d) override {
    file_.text() += any_ ? ",\n" : "[\n";
    any_ = true;
    append_coco_result(file_.text(), image_.image_id, (*image_.classes)[d.category].id, d);
    file_.flush_if_full();
  }
  void finish() override {
    file_.text() += any_ ? "\n]\n" : "[]\n";
    file_.commit();
  }

 private:
  TextFile file_;
  OutputImage image_;
  bool any_ = false;
};

class Competition : public OutputFile {
 public:
  explicit Competition(const std::filesystem::path& to) : file_(to, false) {}
  void add(const Detection& d) override {
    file_.text() += any_ ? ",\n" : "[";
    any_ = true;
    append_to_box_list(file_.text(), d);
    file_.flush_if_full();
  }
  void finish() override {
    file_.text() += any_ ? "]\n" : "[]\n";
    file_.commit();
  }

 private:
  TextFile file_;
  bool any_ = false;
};

enum class CsvFor { programs, spreadsheets };

// For spreadsheets: a byte order mark, so that they read UTF-8 whatever their language, and texts that stay as they are.
class Csv : public OutputFile {
 public:
  Csv(const OutputImage& p, const std::filesystem::path& to, CsvFor reader) : file_(to, false), image_(p), reader_(reader) {
    head_ = cell(p.name) + ",";
    append_number(head_, p.image_id);
    head_ += ',';
    if (reader_ == CsvFor::spreadsheets) file_.text() += "\xEF\xBB\xBF";
    file_.text() += "image,image_id,class,score,x,y,width,height\r\n";
  }
  void add(const Detection& d) override {
    while (names_.size() <= static_cast<size_t>(d.category))
      names_.push_back(cell((*image_.classes)[static_cast<int>(names_.size())].name));
    std::string& t = file_.text();
    t.append(head_).append(names_[static_cast<size_t>(d.category)]).append(",");
    append_number(t, d.score);
    for (double v : {d.box.x0, d.box.y0, d.box.width(), d.box.height()}) {
      t += ',';
      append_fixed(t, v, 3);
    }
    t += "\r\n";
    file_.flush_if_full();
  }
  void finish() override { file_.commit(); }

 private:
  std::string cell(const std::string& text) const {
    return csv_field(reader_ == CsvFor::spreadsheets ? spreadsheet_text(text) : text);
  }
  TextFile file_;
  OutputImage image_;
  CsvFor reader_;
  std::string head_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<OutputFile> open_coco(const OutputImage& p, const OutputSettings&, const std::filesystem::path& to) {
  return std::make_unique<Coco>(p, to);
}
std::unique_ptr<OutputFile> open_box_list(const OutputImage&, const OutputSettings&, const std::filesystem::path& to) {
  return std::make_unique<Competition>(to);
}
std::unique_ptr<OutputFile> open_csv(const OutputImage& p, const OutputSettings&, const std::filesystem::path& to) {
  return std::make_unique<Csv>(p, to, CsvFor::programs);
}
std::unique_ptr<OutputFile> open_csv_excel(const OutputImage& p, const OutputSettings&, const std::filesystem::path& to) {
  return std::make_unique<Csv>(p, to, CsvFor::spreadsheets);
}

}  // namespace cytodet::pipeline
