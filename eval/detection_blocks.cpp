#include "eval/detection_blocks.h"

#include <atomic>
#include <cstring>

#include "core/cpu.h"
#include "core/parallel.h"
#include "eval/json_fields.h"

namespace cytodet::eval {
namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;  // a block and its parsed form stay in the cache
constexpr size_t kMinBytes = 4 * kBlockBytes;      // shorter lists are read faster than threads start

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Cuts the text of a list into pieces at commas between "}" and "{". A cut at such a comma inside a text, or inside a list of an
// element, leaves a piece with an open bracket or text, which does not parse.
std::optional<std::vector<std::string_view>> pieces_of(std::string_view json) {
  while (!json.empty() && is_blank(json.front())) json.remove_prefix(1);
  while (!json.empty() && is_blank(json.back())) json.remove_suffix(1);
  if (json.size() < kMinBytes || json.front() != '[' || json.back() != ']') return std::nullopt;
  json.remove_prefix(1);
  json.remove_suffix(1);
  std::vector<std::string_view> pieces;
  while (json.size() > 2 * kBlockBytes) {
    size_t cut = kBlockBytes;
    for (;; ++cut) {
      cut = json.find(',', cut);
      if (cut == json.npos) return std::nullopt;
      size_t before = cut, after = cut + 1;
      while (before > 0 && is_blank(json[before - 1])) --before;
      while (after < json.size() && is_blank(json[after])) ++after;
      if (before > 0 && json[before - 1] == '}' && after < json.size() && json[after] == '{') break;
    }
    if (cut > 2 * kBlockBytes) return std::nullopt;
    pieces.push_back(json.substr(0, cut));
    json.remove_prefix(cut + 1);
  }
  pieces.push_back(json);
  return pieces;
}

// A parser, and the piece that it reads with brackets around it.
struct PieceReader {
  dom::parser parser;
  std::vector<char> text;

  bool list_of(std::string_view piece, dom::array& items) {
    const size_t length = piece.size() + 2;
    if (text.size() < length + simdjson::SIMDJSON_PADDING) text.resize(length + simdjson::SIMDJSON_PADDING);
    text[0] = '[';
    std::memcpy(text.data() + 1, piece.data(), piece.size());
    text[length - 1] = ']';
    return !parser.parse(text.data(), length, false).get_array().get(items);
  }
};

// False where the element is no plain one.
bool add_element(dom::element item, const json::Path& at, const std::function<int32_t(int64_t)>& category, DetectionBlock& to) {
  dom::object object;
  if (item.get_object().get(object)) return false;
  const auto [image, id, bbox, score, file_name] =
      json::fields<5>(object, {"image_id", "category_id", "bbox", "score", "file_name"});
  int64_t number = 0, class_id = 0;
  if (!image || !id || !bbox || !score || file_name || image->get_int64().get(number) || id->get_int64().get(class_id))
    return false;
  double box[4];
  json::box_of(at, *bbox, box);
  to.scores.push_back(json::finite(at, "score", *score));
  to.image.push_back(number);
  to.category.push_back(category(class_id));
  to.boxes.insert(to.boxes.end(), box, box + 4);
  return true;
}

bool read_piece(PieceReader& reader, std::string_view piece, const std::string& where,
                const std::function<int32_t(int64_t)>& category, DetectionBlock& to) {
  dom::array items;
  if (!reader.list_of(piece, items) || items.size() == 0) return false;
  const json::Path at{where, "detections", 0};
  try {
    for (const dom::element item : items)
      if (!add_element(item, at, category, to)) return false;
  } catch (const Error&) {
    return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<DetectionBlock>> detection_blocks(std::string_view json, const std::string& where,
                                                            const std::function<int32_t(int64_t)>& category) {
  const auto pieces = pieces_of(json);
  if (!pieces) return std::nullopt;
  std::vector<DetectionBlock> blocks(pieces->size());
  std::atomic<size_t> next{0};
  std::atomic<bool> plain{true};
  const int threads = usable_cpus();
  parallel_for(threads, threads, [&](int64_t) {
    PieceReader reader;
    for (size_t i = next++; i < blocks.size() && plain; i = next++)
      if (!read_piece(reader, (*pieces)[i], where, category, blocks[i])) plain = false;
  });
  if (!plain) return std::nullopt;
  return blocks;
}

}  // namespace cytodet::eval
