#include "pipeline/quantize/feed_files.h"

#include <cstdio>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "pipeline/results/folder_manifest.h"

namespace cytodet::pipeline {

std::string feed_name(size_t sample) {
  char name[32];
  std::snprintf(name, sizeof name, "%05zu.npy", sample);
  return name;
}

std::string npy_bytes(const Tensor& t) {
  static const std::map<DType, const char*> kKinds{{DType::f32, "<f4"}, {DType::f64, "<f8"},    {DType::f16, "<f2"},
                                                   {DType::i8, "|i1"},  {DType::u8, "|u1"},     {DType::i32, "<i4"},
                                                   {DType::i64, "<i8"}, {DType::boolean, "|b1"}};
  const auto kind = kKinds.find(t.dtype());
  if (kind == kKinds.end()) throw Error("input", "is " + core::name_of(t.dtype()) + ", which numpy's files do not hold");
  std::string shape;
  for (int64_t size : t.shape()) shape += std::to_string(size) + ",";
  std::string header = std::string("{'descr': '") + kind->second + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // Magic, version and length take 10 bytes; all of the head is a multiple of 64.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string bytes = std::string("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  return bytes.append(static_cast<const char*>(t.raw()), t.bytes());
}

int write_feed_files(QuantizationTarget& target, const CalibrationData& data, const std::filesystem::path& folder,
                     bool overwrite) {
  Runner runner(Plan::compile(target.graph, target.plan));
  if (runner.plan().inputs().size() != 1)
    throw UsageError("--dump-feeds", "is for networks of one input",
                     target.path + " has " + std::to_string(runner.plan().inputs().size()));
  std::vector<std::string> names;
  for (size_t i = 0; i < data.samples.size(); ++i) names.push_back(feed_name(i));
  FolderManifest own(folder);
  if (!overwrite) own.require_ours(names);
  make_folder(folder);
  own.list_what_is_written();
  int written = 0;
  for (size_t i = 0; i < data.samples.size(); ++i) {
    try {
      data.feed(i, runner);
    } catch (const Error& e) {
      print_warning(e.what());
      continue;
    }
    write_file(folder / names[i], npy_bytes(runner.input(0)));
    ++written;
  }
  if (written == 0) throw Error(folder.string(), "gets no feeds: the network cannot be fed any of the samples");
  return written;
}

}  // namespace cytodet::pipeline
