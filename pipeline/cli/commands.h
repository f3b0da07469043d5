// The commands of the program: one entry each, in commands.cpp's table.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace cytodet::pipeline {

// Adds its options to `app` and returns what runs it; the result is the exit code.
struct Command {
  const char* name;
  const char* summary;
  const char* example;
  std::function<int()> (*setup)(CLI::App& app);
  int error_code = 0;  // of every error, where the tool of this name has one; 0: as the Error says
};
const std::vector<Command>& commands();

std::function<int()> setup_inspect(CLI::App& app);
std::function<int()> setup_freeze_graph(CLI::App& app);
std::function<int()> setup_summarize_graph(CLI::App& app);
std::function<int()> setup_transform_graph(CLI::App& app);
std::function<int()> setup_shared_node(CLI::App& app);
std::function<int()> setup_quantize_graph(CLI::App& app);
std::function<int()> setup_compare_modes(CLI::App& app);
std::function<int()> setup_compile_report(CLI::App& app);
std::function<int()> setup_convert(CLI::App& app);
std::function<int()> setup_import(CLI::App& app);
std::function<int()> setup_optimize(CLI::App& app);
std::function<int()> setup_infer(CLI::App& app);
std::function<int()> setup_calibrate(CLI::App& app);
std::function<int()> setup_quantize(CLI::App& app);
std::function<int()> setup_sensitivity(CLI::App& app);
std::function<int()> setup_detect(CLI::App& app);
std::function<int()> setup_classify(CLI::App& app);
std::function<int()> setup_collect(CLI::App& app);
std::function<int()> setup_export(CLI::App& app);
std::function<int()> setup_report(CLI::App& app);
std::function<int()> setup_view(CLI::App& app);
std::function<int()> setup_evaluate(CLI::App& app);
std::function<int()> setup_merge(CLI::App& app);
std::function<int()> setup_bench(CLI::App& app);
std::function<int()> setup_run(CLI::App& app);
std::function<int()> setup_info(CLI::App& app);
std::function<int()> setup_doctor(CLI::App& app);
std::function<int()> setup_tune(CLI::App& app);
std::function<int()> setup_zoo(CLI::App& app);
std::function<int()> setup_amct(CLI::App& app);

// Whole program; main() only calls it. Catches once: one line on stderr, exit code 1 or as the Error says.
int run_program(int argc, char** argv);

}  // namespace cytodet::pipeline
