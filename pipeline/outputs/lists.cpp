// COCO results, the competition's list, CSV: a line per box.
#include "eval/results.h"
#include "pipeline/outputs/rows.h"
#include "pipeline/outputs/text_file.h"

namespace cytodet {
namespace {

class Coco : public OutputFile {
 public:
  Coco(const OutputPicture& p, const std::filesystem::path& to) : file_(to, false), picture_(p) {}
  void add(const Detection& d) override {
    file_.text() += any_ ? ",\n" : "[\n";
    any_ = true;
    append_coco_result(file_.text(), picture_.image_id, (*picture_.classes)[d.category].id, d);
    file_.flush_if_full();
  }
  void finish() override {
    file_.text() += any_ ? "\n]\n" : "[]\n";
    file_.commit();
  }

 private:
  TextFile file_;
  OutputPicture picture_;
  bool any_ = false;
};

class Competition : public OutputFile {
 public:
  explicit Competition(const std::filesystem::path& to) : file_(to, false) {}
  void add(const Detection& d) override {
    file_.text() += any_ ? ",\n" : "[";
    any_ = true;
    append_competition_result(file_.text(), d);
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

// RFC 4180: quoted when it must be, quotes doubled.
std::string csv_field(const std::string& s) {
  if (s.find_first_of(",\"\r\n") == std::string::npos) return s;
  std::string quoted = "\"";
  for (char c : s) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

class Csv : public OutputFile {
 public:
  Csv(const OutputPicture& p, const std::filesystem::path& to) : file_(to, false), picture_(p), head_(csv_field(p.name) + ",") {
    append_number(head_, p.image_id);
    head_ += ',';
    file_.text() += "image,image_id,class,score,x,y,width,height\r\n";
  }
  void add(const Detection& d) override {
    while (names_.size() <= static_cast<size_t>(d.category))
      names_.push_back(csv_field((*picture_.classes)[static_cast<int>(names_.size())].name));
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
  TextFile file_;
  OutputPicture picture_;
  std::string head_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<OutputFile> open_coco(const OutputPicture& p, const OutputSettings&, const std::filesystem::path& to) {
  return std::make_unique<Coco>(p, to);
}
std::unique_ptr<OutputFile> open_competition(const OutputPicture&, const OutputSettings&, const std::filesystem::path& to) {
  return std::make_unique<Competition>(to);
}
std::unique_ptr<OutputFile> open_csv(const OutputPicture& p, const OutputSettings&, const std::filesystem::path& to) {
  return std::make_unique<Csv>(p, to);
}

}  // namespace cytodet
