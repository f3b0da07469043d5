#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "core/text_decode.h"
#include "eval/json_fields.h"
#include "eval/results.h"

namespace cytodet::eval {

namespace {

constexpr size_t kBlock = size_t{256} << 10, kMaxElement = size_t{4} << 20;
constexpr double kFarthest = 1e9;

using Element = std::function<void(dom::object, const json::Path&)>;

// Cuts a JSON list at the commas between its elements; whole elements are parsed a block at a time.
class ListReader {
 public:
  ListReader(std::string where, const Element& element) : where_(std::move(where)), element_(element) {}

  // Bytes of the file, in pieces of any size; the first piece decides the encoding.
  void add(std::string_view bytes) {
    if (bytes.empty()) return;
    if (!begun_) {
      begun_ = true;
      const TextEncoding encoding = text_encoding(bytes, where_);
      bytes.remove_prefix(encoding.mark);
      if (encoding.utf16) decoder_.emplace(encoding.big_endian, where_);
    }
    if (!decoder_) return add_utf8(bytes);
    decoded_.clear();
    decoder_->add(bytes, decoded_);
    add_utf8(decoded_);
  }

  int64_t finish() {
    if (decoder_) decoder_->finish();
    if (!ended_) throw Error(where_, depth_ ? "not valid JSON: the list does not end" : "is empty", "name a COCO results file");
    return static_cast<int64_t>(count_);
  }

 private:
  void add_utf8(std::string_view bytes) {
    for (char c : bytes) {
      if (depth_ == 0) {
        edge(c);
        continue;
      }
      if (string_) {
        if (escaped_)
          escaped_ = false;
        else if (c == '\\')
          escaped_ = true;
        else if (c == '"')
          string_ = false;
      } else if (c == '"') {
        string_ = true;
      } else if (c == '{' || c == '[') {
        ++depth_;
      } else if (c == '}' || c == ']') {
        if (--depth_ == 0) {
          block_ += ']';
          parse_block(true);
          ended_ = true;
          continue;
        }
      } else if (c == ',' && depth_ == 1 && block_.size() >= kBlock) {
        block_ += ']';
        parse_block(false);
        block_ = "[";
        continue;
      }
      block_ += c;
      if (block_.size() > kMaxElement)
        throw Error(where_, "an element after detections[" + std::to_string(count_) + "] is over 4 MiB",
                    "name a COCO results file");
    }
  }

  void edge(char c) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') return;
    if (ended_) throw Error(where_, "not valid JSON: something follows the list", "check the file with a JSON tool");
    if (c != '[') throw Error(where_, "is not a list of detections", "name a COCO results file");
    depth_ = 1;
    block_ = "[";
  }

  void parse_block(bool last) {
    dom::array items;
    // A block after the first begins with a bracket that the file does not have.
    const size_t before = parsed_ ? parsed_ - 1 : 0;
    parsed_ += block_.size() - (parsed_ ? 1 : 0);
    if (json::parse(parser_, block_, where_, before).get_array().get(items)) throw Error(where_, "is not a list of detections");
    const size_t first = count_;
    count_ = json::each_object(items, where_, "detections", element_, count_);
    if (count_ == first && !(last && !cut_))
      throw Error(where_, "not valid JSON: a comma without an element", "check the file with a JSON tool");
    cut_ = true;
  }

  std::string where_;
  const Element& element_;
  dom::parser parser_;
  std::string block_;
  int depth_ = 0;
  bool string_ = false, escaped_ = false, ended_ = false, cut_ = false;
  bool begun_ = false;
  std::optional<Utf16Decoder> decoder_;
  std::string decoded_;            // of one piece
  size_t count_ = 0, parsed_ = 0;  // elements; bytes of text
};

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Box near_box(const json::Path& at, const char* field, const double* box) {
  for (int i = 0; i < 4; ++i)
    if (std::abs(box[i]) > kFarthest) at.fail(field, "is beyond 1e9 pixels");
  return {box[0], box[1], box[0] + box[2], box[1] + box[3]};
}

double near_score(const json::Path& at, const char* field, const std::optional<dom::element>& value) {
  const double score = json::finite(at, field, json::required(at, field, value));
  if (std::abs(score) > kFarthest) at.fail(field, "is beyond 1e9");
  return score;
}

Box required_box(const json::Path& at, const char* field, const std::optional<dom::element>& value) {
  double box[4];
  json::box_of(at, json::required(at, field, value), box, field);
  return near_box(at, field, box);
}

void set_ids(CocoResult& r, json::ResultIds ids) {
  r.image_id = ids.image.number;
  r.image_key = std::move(ids.image.text);
  r.category_id = ids.category.number;
  r.category_key = std::move(ids.category.text);
  r.file_name = std::move(ids.file_name);
  r.has_image = ids.has_image;
}

Element coco_element(const std::function<void(const CocoResult&)>& each) {
  return [&each](dom::object o, const json::Path& at) {
    auto [image, category, bbox, score, file_name] =
        json::fields<5>(o, {"image_id", "category_id", "bbox", "score", "file_name"});
    CocoResult r;
    set_ids(r, json::result_ids(at, image, category, file_name));
    r.box = required_box(at, "bbox", bbox);
    r.score = near_score(at, "score", score);
    each(r);
  };
}

Element any_element(const std::function<void(const AnyResult&)>& each) {
  return [&each, box_list = std::optional<bool>()](dom::object o, const json::Path& at) mutable {
    auto [image, category, bbox, score, tile, x, y, w, h, p, file_name] =
        json::fields<11>(o, {"image_id", "category_id", "bbox", "score", "tile", "x", "y", "w", "h", "p", "file_name"});
    AnyResult r;
    r.box_list = !bbox && !image && (x || p);
    if (box_list.value_or(r.box_list) != r.box_list)
      at.fail("", "is of another form than those before it", "a file holds COCO results or a box list");
    box_list = r.box_list;
    if (r.box_list) {
      const double box[4] = {json::finite(at, "x", json::required(at, "x", x)), json::finite(at, "y", json::required(at, "y", y)),
                             json::finite(at, "w", json::required(at, "w", w)),
                             json::finite(at, "h", json::required(at, "h", h))};
      if (box[2] < 0 || box[3] < 0) at.fail("", "has a negative width or height");
      r.box = near_box(at, "", box);
      r.score = near_score(at, "p", p);
    } else {
      set_ids(r, json::result_ids(at, image, category, file_name));
      r.box = required_box(at, "bbox", bbox);
      r.score = near_score(at, "score", score);
      if (tile) r.tile = required_box(at, "tile", tile);
    }
    each(r);
  };
}

int64_t read_list(const std::filesystem::path& path, const Element& element) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) throw Error(path.string(), std::string("cannot open: ") + std::strerror(errno), "check the path");
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) throw Error(path.string(), std::string("cannot stat: ") + std::strerror(errno));
  if (S_ISDIR(info.st_mode)) throw Error(path.string(), "is a directory, not a file", "name a file in it");
  if (!S_ISREG(info.st_mode)) throw Error(path.string(), "is not a regular file");
  ListReader reader(path.string(), element);
  std::vector<char> buffer(kBlock);
  for (;;) {
    ssize_t n = ::read(file.fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(path.string(), std::string("cannot read: ") + std::strerror(errno));
    if (n == 0) return reader.finish();
    reader.add({buffer.data(), static_cast<size_t>(n)});
  }
}

int64_t parse_list(std::string_view json, const std::string& where, const Element& element) {
  ListReader reader(where, element);
  reader.add(json);
  return reader.finish();
}

}  // namespace

int64_t read_coco_results(const std::filesystem::path& path, const std::function<void(const CocoResult&)>& each) {
  return read_list(path, coco_element(each));
}

int64_t parse_coco_results(std::string_view json, const std::string& where, const std::function<void(const CocoResult&)>& each) {
  return parse_list(json, where, coco_element(each));
}

int64_t read_results(const std::filesystem::path& path, const std::function<void(const AnyResult&)>& each) {
  return read_list(path, any_element(each));
}

int64_t parse_results(std::string_view json, const std::string& where, const std::function<void(const AnyResult&)>& each) {
  return parse_list(json, where, any_element(each));
}

}  // namespace cytodet::eval
