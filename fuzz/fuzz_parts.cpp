// The texts that name a slide's files: Slidedat.ini of MIRAX, .vms of Hamamatsu.
#include "fuzz/driver.h"
#include "tests/paths.h"
#include "tiling/slides/formats/slide_parts.h"

namespace {

template <class Check>
void run(Check check) {
  try {
    check();
  } catch (const cytodet::Error&) {
  }
}

}  // namespace

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/parts"}; }

void fuzz_one(std::string_view bytes) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("fuzz_parts-" + std::to_string(::getpid()));
  fs::create_directories(folder / "X");
  cytodet::write_file(folder / "X/Slidedat.ini", bytes);
  cytodet::write_file(folder / "X.vms", bytes);
  run([&] { cytodet::check_mirax_parts(folder / "X.mrxs"); });
  run([&] { cytodet::check_hamamatsu_parts(folder / "X.vms"); });
  fs::remove_all(folder);
}
