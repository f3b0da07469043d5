// TFRecord files: per record a length (uint64), a masked CRC32C of its 8 bytes, the data, a masked CRC32C of the data, all
// little-endian (tensorflow/core/lib/io/record_writer.cc).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::graph {

// Largest record that is read [bytes].
constexpr int64_t kMaxRecord = int64_t{1} << 30;

// Whether a file begins with a record: 12 bytes of which the last 4 are the checksum of the first 8. False for an empty file and
// for what is no regular file. Throws Error for a file that cannot be read.
bool is_record_file(const std::filesystem::path& path);

struct RecordPlace {
  int64_t offset = 0, size = 0;  // of the data in the file [bytes]
};
// Offset and size of every record. Lengths are verified by their checksums, data is not read yet. Throws Error with the record
// (from 0) and the byte where a length's checksum is wrong, a record is over kMaxRecord, or the file ends within a record.
std::vector<RecordPlace> list_records(const std::filesystem::path& path);

// The data of a record. Throws Error of `path` where its checksum is wrong. Safe from many threads.
std::string read_record(const std::filesystem::path& path, const RecordPlace& place);

}  // namespace cytodet::graph
