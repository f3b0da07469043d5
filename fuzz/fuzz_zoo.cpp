#include "core/process.h"
#include "core/settings.h"
#include "fuzz/driver.h"
#include "pipeline/config/zoo.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() {
  return {cytodet::source_dir() + "/configs/zoo/models.json", cytodet::source_dir() + "/tests/data/fuzz/zoo"};
}

// A list, and of each entry the command, whose words are those of a shell: paths are one word whatever they hold.
void fuzz_one(std::string_view bytes) {
  const std::string data = "my 'data' \"$x\"\\ {}";
  for (const cytodet::ZooEntry& e : cytodet::parse_zoo(cytodet::parse_json(bytes, "list"), "list"))
    cytodet::split_command(cytodet::zoo_command(e, {"zoo of models", data, "src"}), "command");
}
