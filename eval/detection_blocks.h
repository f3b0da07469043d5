// A list of COCO results read in pieces on several threads, for lists as programs write them. For the sources of this room.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cytodet::eval {

// Elements in the order of the file.
struct DetectionBlock {
  std::vector<int64_t> image;     // image_id
  std::vector<int32_t> category;  // what `category` gave
  std::vector<double> boxes;      // x, y, width, height
  std::vector<double> scores;
};

// The list cut between elements, each block with its elements; nothing where it is not a plain one: UTF-8 without a mark, ids
// that are numbers, no file_name, nothing wrong anywhere. It is to be read as a whole then, which also says what is wrong.
// `category` gives what stands for a category_id, on several threads at once. `where`: the file.
std::optional<std::vector<DetectionBlock>> detection_blocks(std::string_view json, const std::string& where,
                                                            const std::function<int32_t(int64_t)>& category);

}  // namespace cytodet::eval
