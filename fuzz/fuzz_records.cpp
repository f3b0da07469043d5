#include "fuzz/driver.h"
#include "graph/io/tensorflow/example.h"
#include "graph/io/tensorflow/record_file.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() {
  return {cytodet::source_dir() + "/tests/data/cells/some.tfrecord", cytodet::source_dir() + "/tests/data/fuzz/records"};
}

// The bytes are read as a file of records; where they are none, as the data of a single record.
void fuzz_one(std::string_view bytes) {
  const fuzz::ScratchFile file("records", bytes);
  try {
    for (const cytodet::RecordPlace& place : cytodet::list_records(file.path))
      cytodet::parse_image_example(cytodet::read_record(file.path, place), "record");
  } catch (const cytodet::Error&) {
    cytodet::parse_image_example(bytes, "input");
  }
}
