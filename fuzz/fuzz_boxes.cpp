#include "fuzz/driver.h"
#include "pipeline/results/run_folder.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/boxes"}; }

void fuzz_one(std::string_view bytes) {
  static const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("fuzz-boxes-" + std::to_string(::getpid()));
  struct Remove {
    ~Remove() { std::filesystem::remove_all(folder); }
  } remove;
  std::filesystem::create_directories(folder);
  if (bytes.starts_with("{\n")) {
    cytodet::write_file(folder / "run.json", bytes);
    cytodet::run_table(cytodet::RunFolder{folder}.read());
    return;
  }
  cytodet::write_file(folder / "a.boxes", bytes);
  cytodet::BoxesReader reader(folder / "a.boxes");
  for (cytodet::Detection d; reader.next(d);) {
  }
}
