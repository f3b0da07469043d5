// run.journal and run.json of a run folder that is gone on with: damaged ones are refused or read in part, and no file of others
// is touched.
#include <cstdlib>

#include "core/file.h"
#include "fuzz/driver.h"
#include "pipeline/results/run_files.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/journal"}; }

void fuzz_one(std::string_view bytes) {
  static const std::filesystem::path base =
      std::filesystem::temp_directory_path() / ("fuzz-journal-" + std::to_string(::getpid()));
  struct Remove {
    ~Remove() { std::filesystem::remove_all(base); }
  } remove;
  const std::filesystem::path folder = base / "run", others = base / "others.csv";
  std::filesystem::create_directories(folder);
  cytodet::write_file(others, "a");
  cytodet::write_file(folder / (bytes.starts_with("{\n") ? "run.json" : "run.journal"), bytes);
  try {
    cytodet::RunFiles files(folder);
    const auto listed = files.listed();
    for (const auto& [name, file] : listed) files.remove(name);
  } catch (const cytodet::Error&) {
    if (!std::filesystem::exists(others)) std::abort();
    throw;
  }
  if (!std::filesystem::exists(others)) std::abort();
}
