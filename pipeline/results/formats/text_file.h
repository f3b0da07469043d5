// Text written aside a piece at a time, gzipped on the way when asked. Equal texts give equal bytes.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/file.h"

namespace cytodet::pipeline {

class TextFile {
 public:
  TextFile(std::filesystem::path path, bool gzip);
  ~TextFile();
  // What is written next is appended here; call flush_if_full() now and then.
  std::string& text() { return text_; }
  void flush_if_full() {
    if (text_.size() >= kBlock) flush();
  }
  void commit();

 private:
  static constexpr size_t kBlock = size_t{1} << 16;
  struct Gzip;
  void flush();
  AtomicFile file_;
  std::unique_ptr<Gzip> gzip_;
  std::string text_;
};

// `v` rounded to `decimals` (0 to 6) places, without trailing zeros: 12.5, -3, 0. |v| at most 1e12.
void append_fixed(std::string& text, double v, int decimals);
// The shortest decimal form that reads back as the same float; finite.
void append_number(std::string& text, float v);
void append_number(std::string& text, int64_t v);
// With its quotes; bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& text, std::string_view s);

}  // namespace cytodet::pipeline
