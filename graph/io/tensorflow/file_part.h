// Some bytes of a large file, read straight to where they belong.
#pragma once

#include <cstdint>
#include <string>

namespace cytodet::graph {

class FilePart {
 public:
  // Opens the file and checks that it holds these bytes, before memory is taken for them. `role` says what the file is, where it
  // is missing.
  FilePart(std::string path, int64_t offset, int64_t size, const std::string& role);
  ~FilePart();
  FilePart(const FilePart&) = delete;
  void read(char* target) const;  // all `size` bytes

 private:
  std::string path_;
  int64_t offset_, size_;
  int fd_ = -1;
};

}  // namespace cytodet::graph
