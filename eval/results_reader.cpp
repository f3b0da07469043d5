#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "eval/json_fields.h"
#include "eval/results.h"

namespace cytodet {

using namespace json;

namespace {

constexpr size_t kBlock = size_t{256} << 10, kMaxElement = size_t{4} << 20;
constexpr double kFarthest = 1e9;

// Cuts a JSON list at the commas between its elements; whole elements are parsed a block at a time.
class ListReader {
 public:
  ListReader(std::string where, const std::function<void(const CocoResult&)>& each) : where_(std::move(where)), each_(each) {}

  void add(std::string_view bytes) {
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

  int64_t finish() {
    if (!ended_) throw Error(where_, depth_ ? "not valid JSON: the list does not end" : "is empty", "name a COCO results file");
    return static_cast<int64_t>(count_);
  }

 private:
  void edge(char c) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') return;
    if (ended_) throw Error(where_, "not valid JSON: something follows the list", "check the file with a JSON tool");
    if (c != '[') throw Error(where_, "is not a list of detections", "name a COCO results file");
    depth_ = 1;
    block_ = "[";
  }

  void parse_block(bool last) {
    dom::array items;
    if (parse(parser_, block_, where_).get_array().get(items)) throw Error(where_, "is not a list of detections");
    const size_t before = count_;
    count_ = each_object(
        items, where_, "detections",
        [&](dom::object o, const Path& at) {
          auto [image, category, bbox, score] = fields<4>(o, {"image_id", "category_id", "bbox", "score"});
          CocoResult r;
          r.image_id = whole(at, "image_id", required(at, "image_id", image));
          r.category_id = whole(at, "category_id", required(at, "category_id", category));
          double box[4];
          box_of(at, required(at, "bbox", bbox), box);
          for (double v : box)
            if (std::abs(v) > kFarthest) at.fail("bbox", "is beyond 1e9 pixels");
          r.box = {box[0], box[1], box[0] + box[2], box[1] + box[3]};
          r.score = finite(at, "score", required(at, "score", score));
          if (std::abs(r.score) > kFarthest) at.fail("score", "is beyond 1e9");
          each_(r);
        },
        count_);
    if (count_ == before && !(last && !cut_))
      throw Error(where_, "not valid JSON: a comma without an element", "check the file with a JSON tool");
    cut_ = true;
  }

  std::string where_;
  const std::function<void(const CocoResult&)>& each_;
  dom::parser parser_;
  std::string block_;
  int depth_ = 0;
  bool string_ = false, escaped_ = false, ended_ = false, cut_ = false;
  size_t count_ = 0;
};

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

int64_t read_coco_results(const std::filesystem::path& path, const std::function<void(const CocoResult&)>& each) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) throw Error(path.string(), std::string("cannot open: ") + std::strerror(errno), "check the path");
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) throw Error(path.string(), std::string("cannot stat: ") + std::strerror(errno));
  if (S_ISDIR(info.st_mode)) throw Error(path.string(), "is a directory, not a file", "name a file in it");
  if (!S_ISREG(info.st_mode)) throw Error(path.string(), "is not a regular file");
  ListReader reader(path.string(), each);
  std::vector<char> buffer(kBlock);
  for (;;) {
    ssize_t n = ::read(file.fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(path.string(), std::string("cannot read: ") + std::strerror(errno));
    if (n == 0) return reader.finish();
    reader.add({buffer.data(), static_cast<size_t>(n)});
  }
}

int64_t parse_coco_results(std::string_view json, const std::string& where, const std::function<void(const CocoResult&)>& each) {
  ListReader reader(where, each);
  reader.add(json);
  return reader.finish();
}

}  // namespace cytodet
