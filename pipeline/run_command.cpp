// run.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "eval/coco.h"
#include "pipeline/commands.h"
#include "pipeline/measure.h"
#include "pipeline/run_config.h"
#include "pipeline/timing_report.h"

namespace cytodet {

std::function<int()> setup_run(CLI::App& app) {
  auto config = std::make_shared<std::string>();
  app.add_option("CONFIG", *config, "Run config (.json)")->required();
  return [config] {
    RunConfig c = read_run_config(*config);
    Detector detector(load_model(c.model), {c.detect.streams, c.detect.threads_per_stream});
    std::vector<int64_t> ids;
    DetectReport report = detect_to_folder(detector, c, ids);
    if (!c.truth.empty()) {
      Truth truth = read_truth(c.truth);
      ScoreOptions options;
      options.max_dets = c.evaluate.max_dets;
      Scores scores = score(truth, to_set(report, truth, detector.model()), options);
      warn(scores.warnings);
      std::fputs((to_text(scores) + "\n").c_str(), stdout);
      if (c.evaluate.per_class) std::fputs((class_table(scores) + "\n").c_str(), stdout);
      write_file(std::filesystem::path(c.output) / "scores.json", to_json(scores, true).dump(1) + "\n");
    }
    std::fputs(timing_table(report).c_str(), stdout);
    std::printf("results in %s\n", c.output.c_str());
    return exit_of(report);
  };
}

}  // namespace cytodet
