#include "graph/io/tensorflow/tensor_slices.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "core/error.h"

namespace cytodet::graph {
namespace {

struct Range {
  int64_t begin, end;
};
Range common(const SliceExtent& a, const SliceExtent& b) {
  return {std::max(a.start, b.start), std::min(a.start + a.length, b.start + b.length)};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

int64_t whole_number(std::string_view text) {
  int64_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size() || v < 0) throw Error("", "\"" + std::string(text) + "\"");
  return v;
}

TensorSlice parse_slice(std::string_view text) {
  TensorSlice slice;
  for (std::string_view part : split(text, ':')) {
    if (part == "-") {
      slice.emplace_back();
      continue;
    }
    const size_t comma = part.find(',');
    if (comma == std::string_view::npos) throw Error("", "\"" + std::string(part) + "\"");
    slice.push_back({whole_number(part.substr(0, comma)), whole_number(part.substr(comma + 1))});
  }
  return slice;
}

// TensorFlow's OrderedCode, whose bytes sort as the values do.
void append_number(std::string& key, uint64_t v) {
  const int bytes = (std::bit_width(v) + 7) / 8;
  key += static_cast<char>(bytes);
  for (int i = bytes - 1; i >= 0; --i) key += static_cast<char>(v >> (8 * i));
}

void append_text(std::string& key, std::string_view text) {
  for (char c : text) {
    key += c;
    if (c == '\0') key += '\xff';
    if (c == '\xff') key += '\0';
  }
  key += '\0';
  key += '\1';
}

// n bytes hold 7 n - 1 bits and a sign; the first bits say n: as many ones as further bytes, inverted for negative numbers.
void append_signed(std::string& key, int64_t v) {
  const uint64_t magnitude = static_cast<uint64_t>(v < 0 ? ~v : v);
  const int n = std::bit_width(magnitude) / 7 + 1;
  unsigned char bytes[10];
  for (int i = 0; i < 10; ++i)
    bytes[i] = i < 2 ? (v < 0 ? 0xff : 0) : static_cast<unsigned char>(static_cast<uint64_t>(v) >> (8 * (9 - i)));
  const unsigned header = n >= 8 ? 0xff00u | (n == 9 ? 0x80u : n == 10 ? 0xc0u : 0u) : (0xff00u >> n & 0xffu) << 8;
  bytes[10 - n] ^= static_cast<unsigned char>(header >> 8);
  if (n > 1) bytes[11 - n] ^= static_cast<unsigned char>(header);
  key.append(reinterpret_cast<const char*>(bytes) + 10 - n, static_cast<size_t>(n));
}

}  // namespace

TensorSlice slice_within(const TensorSlice& slice, const Shape& shape) {
  TensorSlice whole = slice;
  bool fits = slice.size() == shape.size();
  for (size_t i = 0; fits && i < whole.size(); ++i) {
    if (whole[i].length < 0) whole[i] = {0, shape[i]};
    fits = whole[i].start >= 0 && whole[i].start <= shape[i] && whole[i].length <= shape[i] - whole[i].start;
  }
  if (!fits) throw Error("", "a slice does not lie within the shape " + to_string(shape), "the checkpoint is damaged");
  return whole;
}

Shape shape_of(const TensorSlice& slice) {
  Shape shape;
  for (const SliceExtent& e : slice) shape.push_back(e.length);
  return shape;
}

std::optional<SliceRequest> parse_slice_request(std::string_view text) {
  if (text.empty()) return std::nullopt;
  try {
    const std::vector<std::string_view> words = split(text, ' ');
    SliceRequest request;
    for (size_t i = 0; i + 1 < words.size(); ++i) request.full.push_back(whole_number(words[i]));
    if (request.full.size() > size_t{kMaxRank}) throw Error("", "too many dimensions");
    elements(request.full);
    request.slice = slice_within(parse_slice(words.back()), request.full);
    return request;
  } catch (const Error& e) {
    throw Error("", "\"" + std::string(text.substr(0, 200)) + "\" is no slice of a tensor: " + e.problem());
  }
}

std::string slice_key(std::string_view tensor, const TensorSlice& slice) {
  std::string key;
  append_number(key, 0);
  append_text(key, tensor);
  append_number(key, slice.size());
  for (const SliceExtent& e : slice) {
    append_signed(key, e.start);
    append_signed(key, e.length);
  }
  return key;
}

int64_t count_common(const TensorSlice& a, const TensorSlice& b) {
  int64_t n = 1;
  for (size_t i = 0; i < a.size(); ++i) {
    const Range r = common(a[i], b[i]);
    n *= std::max<int64_t>(0, r.end - r.begin);
  }
  return n;
}

int64_t copy_common(const Tensor& source, const TensorSlice& from, Tensor& target, const TensorSlice& to) {
  const int64_t n = count_common(from, to);
  if (n == 0) return 0;
  const size_t rank = from.size(), item = size_of(source.dtype());
  std::vector<Range> ranges;
  for (size_t i = 0; i < rank; ++i) ranges.push_back(common(from[i], to[i]));
  std::vector<int64_t> at;
  for (const Range& r : ranges) at.push_back(r.begin);
  const auto offset = [&](const TensorSlice& slice) {
    int64_t o = 0;
    for (size_t i = 0; i < rank; ++i) o = o * slice[i].length + at[i] - slice[i].start;
    return static_cast<size_t>(o) * item;
  };
  const size_t row = (rank ? static_cast<size_t>(ranges.back().end - ranges.back().begin) : 1) * item;
  while (true) {
    std::memcpy(static_cast<char*>(target.raw()) + offset(to), static_cast<const char*>(source.raw()) + offset(from), row);
    int i = static_cast<int>(rank) - 2;
    for (; i >= 0 && ++at[static_cast<size_t>(i)] == ranges[static_cast<size_t>(i)].end; --i)
      at[static_cast<size_t>(i)] = ranges[static_cast<size_t>(i)].begin;
    if (i < 0) return n;
  }
}

}  // namespace cytodet::graph
