// cytodet amct calibration: a float graph and raw inputs -> a quantized one, by the flags of Huawei's amct_tensorflow.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <sstream>

#include "core/error.h"
#include "pipeline/amct/amct_calibrate.h"
#include "pipeline/cli/commands.h"
#include "pipeline/results/folder_manifest.h"

namespace cytodet::pipeline {
namespace {

struct AmctFlags {
  std::string tool, outputs, shapes, types = "float32", folders;
  AmctRequest request;
};

std::vector<std::string> pieces_of(const std::string& text, char between) {
  std::vector<std::string> pieces;
  std::istringstream in(text);
  for (std::string piece; std::getline(in, piece, between);) pieces.push_back(piece);
  return pieces;
}

// "a;b" -> a, b; without blanks around and empty ones.
std::vector<std::string> between_semicolons(const std::string& text) {
  std::vector<std::string> parts;
  for (const std::string& part : pieces_of(text, ';')) {
    const size_t from = part.find_first_not_of(" \t"), end = part.find_last_not_of(" \t");
    if (from != std::string::npos) parts.push_back(part.substr(from, end - from + 1));
  }
  return parts;
}

DType type_of(const std::string& name) {
  const DType type = dtype_from_name(name);
  if (is_floating(type) || is_integer(type) || type == DType::boolean) return type;
  throw UsageError("--data_type", "is " + name, "float32, float16, float64, uint8, int8, int32, int64 or bool");
}

Shape shape_of(const std::string& text, const std::string& of) {
  Shape shape;
  for (const std::string& part : pieces_of(text, ',')) {
    size_t end = 0;
    int64_t size = 0;
    try {
      size = std::stoll(part, &end);
    } catch (const std::exception&) {
      end = 0;
    }
    if (end == 0 || part.find_first_not_of(' ', end) != std::string::npos || size < 1)
      throw UsageError("--input_shape", "has \"" + part + "\" of " + of + ", which is no size", "input:32,224,224,3");
    shape.push_back(size);
  }
  return shape;
}

void take_inputs(AmctFlags& f) {
  const std::vector<std::string> shapes = between_semicolons(f.shapes), folders = between_semicolons(f.folders),
                                 types = between_semicolons(f.types);
  if (shapes.size() != folders.size() || shapes.empty())
    throw UsageError(
        "--data_dir",
        "names " + std::to_string(folders.size()) + " folders, and --input_shape " + std::to_string(shapes.size()) + " inputs",
        "a folder for each input, between semicolons");
  if (types.size() != 1 && types.size() != shapes.size())
    throw UsageError("--data_type",
                     "names " + std::to_string(types.size()) + " types for " + std::to_string(shapes.size()) + " inputs",
                     "one, or one for each input");
  for (size_t i = 0; i < shapes.size(); ++i) {
    const size_t colon = shapes[i].rfind(':');
    if (colon == std::string::npos || colon == 0)
      throw UsageError("--input_shape", "has \"" + shapes[i] + "\" without a name", "input:32,224,224,3");
    AmctInput input;
    input.name = shapes[i].substr(0, colon);
    input.shape = shape_of(shapes[i].substr(colon + 1), input.name);
    input.type = type_of(types.size() == 1 ? types[0] : types[i]);
    input.folder = folders[i];
    f.request.inputs.push_back(std::move(input));
  }
}

int amct_command(AmctFlags& f) {
  if (f.tool != "calibration") throw UsageError("amct " + f.tool, "is not known", "cytodet amct calibration");
  take_inputs(f);
  for (std::string name : between_semicolons(f.outputs)) {
    if (name.ends_with(":0")) name.resize(name.size() - 2);
    f.request.outputs.push_back(std::move(name));
  }
  if (f.request.outputs.empty()) throw UsageError("--outputs", "names none", "\"predictions:0\"");
  const std::vector<std::string> log = amct_calibrate(f.request);
  if (!f.request.quiet)
    for (const std::string& line : log) std::printf("%s\n", line.substr(line.find("INFO")).c_str());
  return 0;
}

}  // namespace

std::function<int()> setup_amct(CLI::App& app) {
  auto f = std::make_shared<AmctFlags>();
  app.add_option("TOOL", f->tool, "calibration")->required();
  app.add_option("--model", f->request.model, "Frozen graph (.pb)")->required();
  app.add_option("--outputs", f->outputs, "What is asked for, between semicolons: \"predictions:0\"")->required();
  app.add_option("--input_shape,--input_shapes", f->shapes, "\"input:32,224,224,3\", between semicolons")->required();
  app.add_option("--data_type,--data_types", f->types, "Of the inputs, between semicolons; float32");
  app.add_option("--data_dir", f->folders,
                 "Folder of .bin files, each one input's bytes; one folder an input, between semicolons")
      ->required();
  app.add_option("--save_path", f->request.save_path, "Folder and beginning of the names of what is written")->required();
  app.add_option("--calibration_config", f->request.config, "Simple configuration (.cfg), or config.json");
  app.add_option("--batch_num", f->request.batch_num, "Samples; default: as the configuration says, or all")
      ->check(CLI::Range(1, 1 << 20));
  app.add_flag("--overwrite", f->request.overwrite, kOverwriteHelp);
  app.add_flag("--quiet", f->request.quiet, "No progress and no log on standard output");
  return [f] { return amct_command(*f); };
}

}  // namespace cytodet::pipeline
