// cytodet import: a detection network's file becomes a model.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/output_plan.h"
#include "core/text_width.h"
#include "models/model_file.h"
#include "pipeline/cli/commands.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/import/import_model.h"

namespace cytodet::pipeline {
namespace {

struct ImportFlags {
  std::string graph, out, name, size;
  ImportAnswers answers;
  bool list = false, overwrite = false;
};

// A whole number without signs and blanks; 0 where the text is another.
int side_of(std::string_view text) {
  int side = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), side);
  return read.ec == std::errc() && read.ptr == text.data() + text.size() ? side : 0;
}

// "640x480" or "640".
void parse_size(const std::string& text, ImportAnswers& to) {
  if (text.empty()) return;
  const size_t by = text.find('x');
  const int width = side_of(std::string_view(text).substr(0, by));
  const int height = by == std::string::npos ? width : side_of(std::string_view(text).substr(by + 1));
  if (width < 1 || height < 1 || width > 16384 || height > 16384)
    throw UsageError("--size " + text, "is no size", "write WIDTHxHEIGHT in pixels, as 640x480, or one side of a square");
  to.width = width;
  to.height = height;
}

int import(ImportFlags o) {
  if (o.list) {
    std::fputs(families_text().c_str(), stdout);
    return 0;
  }
  if (o.graph.empty()) throw UsageError("cytodet import", "needs MODEL or --list");
  while (o.graph.size() > 1 && o.graph.back() == '/') o.graph.pop_back();  // of a folder: its name is the model's
  parse_size(o.size, o.answers);
  if (o.answers.classes.size() + !o.answers.classes_file.empty() + o.answers.class_count.has_value() > 1 &&
      (!o.answers.classes_file.empty() || o.answers.class_count))
    throw UsageError("--classes", "are given in more than one way", "give --classes, --classes-file or --class-count");
  if (!o.answers.classes_file.empty()) o.answers.classes = read_class_names(o.answers.classes_file);
  const std::string out = o.out.empty() ? std::filesystem::path(o.graph).replace_extension(".json").string() : o.out;
  OutputPlan plan;
  add_graph(plan.inputs(), o.graph);
  plan.add_input(o.answers.classes_file, "the classes");
  plan.add_output(out, "the model file");
  check_outputs(plan);
  std::error_code ignored;
  if (o.out.empty() && !o.overwrite && std::filesystem::exists(out, ignored))
    throw UsageError(out, "exists already", "name another file by -o, or give --overwrite");
  const ImportedModel imported = import_model(o.graph, o.name, o.answers);
  write_model_file(imported.model, out);
  std::fputs(printable_lines(text_of(imported) + out + " is written\n").c_str(), stdout);
  return 0;
}

}  // namespace

std::function<int()> setup_import(CLI::App& app) {
  auto o = std::make_shared<ImportFlags>();
  ImportAnswers& a = o->answers;
  app.add_option("MODEL", o->graph, "Detection network: ONNX or TensorFlow Lite model, graph (.pb), SavedModel, ...");
  app.add_option("-o,--out", o->out, "Model file; default: beside the network, of its name");
  app.add_flag("--overwrite", o->overwrite, "Replace the model file beside the network");
  app.add_flag("--list", o->list, "The families that are recognised, and by what");
  app.add_option("--family", a.family, "Family, where several fit");
  app.add_option("--name", o->name, "Name of the model; default: of the file");
  app.add_option("--classes", a.classes, "Names of the classes, in the order of the network's")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--classes-file", a.classes_file, "Text with a class name a line");
  app.add_option("--class-count", a.class_count, "Number of classes that have no names")->check(CLI::Range(1, 10000));
  app.add_option("--category-ids", a.category_ids, "COCO ids of the classes; default: 1, 2, ...")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--size", o->size, "Size of the input, where the file leaves it open: 640x480, or one side");
  app.add_option("--pixel-order", a.pixel_order, "RGB or BGR");
  app.add_option("--divisor", a.divisor, "Pixels are divided by it");
  app.add_option("--mean", a.mean, "Then this is taken off, per channel")->delimiter(',')->expected(3);
  app.add_option("--deviation", a.deviation, "And they are divided by this, per channel")->delimiter(',')->expected(3);
  app.add_option("--placement", a.placement, "Where an image of another shape lies: top_left, center, stretch, image");
  app.add_option("--box-form", a.box_form, "Values of a box: yxyx, xyxy, xywh, cxcywh");
  app.add_option("--box-unit", a.box_unit, "share of the input, or pixels; of YOLO networks, too");
  app.add_option("--class-numbers", a.class_numbers, "Classes are category_ids, or channels: places in the list of names");
  app.add_option("--anchor-scale", a.anchor_scale, "EfficientDet: side of an anchor, in strides");
  app.add_option("--radius", a.radius, "Of objects whose centre alone is given, in pixels of the input")
      ->check(CLI::Range(0.5, 16384.0));
  app.add_option("--score", a.score, "Least score of a detection; default 0.05")->check(CLI::Range(0.0, 1.0));
  return [o] { return import(*o); };
}

}  // namespace cytodet::pipeline
