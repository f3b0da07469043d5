// tensorflow.Example: the record of TensorFlow's data sets of images.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::graph {

// What image data sets of TensorFlow keep of an image, by the keys of its scripts.
struct ImageExample {
  std::string encoded;           // image/encoded: bytes of a JPEG or PNG
  std::optional<int64_t> label;  // image/class/label
  std::string filename;          // image/filename; may be empty
};
// At most 2 GiB. Throws Error of `where`: no Example, no image/encoded, more than one value of a key.
ImageExample parse_image_example(std::string_view bytes, const std::string& where);

}  // namespace cytodet::graph
