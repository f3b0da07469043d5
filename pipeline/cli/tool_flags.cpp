#include "pipeline/cli/tool_flags.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>

#include "core/error.h"
#include "core/messages.h"
#include "models/model_file.h"
#include "pipeline/cli/boolean_flag.h"
#include "pipeline/quantize/quantize_model.h"

namespace cytodet::pipeline {

std::vector<std::string> names_between_commas(const std::string& text) {
  std::vector<std::string> names(1);
  for (char c : text) {
    if (c == ',')
      names.emplace_back();
    else if (c != ' ')
      names.back() += c;
  }
  std::erase(names, "");
  return names;
}

void add_absl_boolean(CLI::App& app, const std::string& name, bool& value, const std::string& help) {
  add_boolean(app, "--" + name, value, help);
  app.add_flag_callback(
         "--no" + name, [&value] { value = false; }, "The same as --" + name + "=false")
      ->group("");
}

namespace {

std::optional<ModelFile> model_file_at(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  try {
    return read_model_file(path);
  } catch (const Error&) {
    return {};  // something else
  }
}

}  // namespace

void write_model_file_beside(const std::string& in, const std::string& out) {
  std::optional<ModelFile> model = model_file_at(model_file_beside(in));
  std::error_code ignored;
  if (!model || !std::filesystem::equivalent(model->graph, in, ignored)) return;
  const std::filesystem::path to = model_file_beside(out);
  if (std::filesystem::exists(to, ignored) && !model_file_at(to)) {
    print_warning(to.string() + ": is no model file: it stays, and none is written beside " + out);
    return;
  }
  model->graph = out;
  write_model_file(*model, to);
}

}  // namespace cytodet::pipeline
