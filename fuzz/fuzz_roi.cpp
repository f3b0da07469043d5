#include "fuzz/driver.h"
#include "tests/paths.h"
#include "tiling/regions/roi.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/roi"}; }

void fuzz_one(std::string_view bytes) {
  static const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("fuzz-roi-" + std::to_string(::getpid()) + ".json");
  cytodet::write_file(file, bytes);
  struct Remove {
    ~Remove() { std::filesystem::remove(file); }
  } remove;
  if (auto roi = cytodet::RoiSource(file).of("a.tif")) {
    roi->touches({0, 0, 50, 50});
    roi->contains(20, 20);
  }
}
