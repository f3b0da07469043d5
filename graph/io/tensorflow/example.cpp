#include "graph/io/tensorflow/example.h"

#include "core/error.h"
#include "example.pb.h"
#include "graph/io/parse_message.h"

namespace cytodet::graph {
namespace {

// Throws where a key has more than one value; false: it has none.
template <class List>
bool has_value(const List& list, const std::string& key, const std::string& where) {
  if (list.value_size() <= 1) return list.value_size() == 1;
  throw Error(where, "has " + std::to_string(list.value_size()) + " values of " + key, "one image a record is read");
}

const proto::Feature* feature(const proto::Example& example, const std::string& key) {
  const auto& all = example.features().feature();
  const auto found = all.find(key);
  return found == all.end() ? nullptr : &found->second;
}

}  // namespace

ImageExample parse_image_example(std::string_view bytes, const std::string& where) {
  proto::Example example;
  silence_protobuf();
  if (!example.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw Error(where, "is no tensorflow.Example", "name a data set of images, as TensorFlow's scripts write them");
  ImageExample image;
  constexpr const char *kEncoded = "image/encoded", *kLabel = "image/class/label", *kFilename = "image/filename";
  if (const proto::Feature* f = feature(example, kEncoded))
    if (has_value(f->bytes_list(), kEncoded, where)) image.encoded = f->bytes_list().value(0);
  if (image.encoded.empty()) throw Error(where, "has no image/encoded", "name a data set of images");
  if (const proto::Feature* f = feature(example, kLabel))
    if (has_value(f->int64_list(), kLabel, where)) image.label = f->int64_list().value(0);
  if (const proto::Feature* f = feature(example, kFilename))
    if (has_value(f->bytes_list(), kFilename, where)) image.filename = f->bytes_list().value(0);
  return image;
}

}  // namespace cytodet::graph
