#include "quant/rounding_state.h"

#include <cstring>
#include <fstream>

#include "core/file.h"
#include "core/hash.h"
#include "core/messages.h"

namespace cytodet::quant {
namespace {

namespace fs = std::filesystem;

// The file: kMagic, the settings' hash and a line's end; then sections: kind, length of the content (8 bytes), content, Fnv1a of
// the content (8 bytes). Sums, if any, come first. Layers are appended; what a kill left of the last one is cut off.
constexpr std::string_view kMagic = "cytodet rounding 1\n";
constexpr size_t kHashDigits = 16;
constexpr char kSums = 'S', kLayer = 'L';
constexpr int64_t kFrame = 1 + 8 + 8;  // bytes of a section besides its content
constexpr double kShare = 20;          // sums are written again after so many times the seconds that writing them took

// Bytes of content, and their hash.
class Content {
 public:
  explicit Content(std::function<void(std::string_view)> write) : write_(std::move(write)) {}
  void bytes(const void* data, size_t n) {
    hash_.bytes(data, n);
    write_({static_cast<const char*>(data), n});
  }
  template <class T>
  void number(T v) {
    bytes(&v, sizeof v);
  }
  template <class T>
  void list(const std::vector<T>& items) {
    number(static_cast<int64_t>(items.size()));
    bytes(items.data(), items.size() * sizeof(T));
  }
  uint64_t hash() const { return hash_.value(); }

 private:
  std::function<void(std::string_view)> write_;
  core::Fnv1a hash_;
};

// Content, read: nothing is taken beyond its end.
class ContentReader {
 public:
  ContentReader(std::istream& in, int64_t length) : in_(in), left_(length) {}
  bool bytes(void* data, int64_t n) {
    if (n < 0 || n > left_ || !in_.read(static_cast<char*>(data), n)) return false;
    left_ -= n;
    hash_.bytes(data, static_cast<size_t>(n));
    return true;
  }
  template <class T>
  bool number(T& v) {
    return bytes(&v, sizeof v);
  }
  template <class T>
  bool list(std::vector<T>& items) {
    int64_t n = 0;
    if (!number(n) || n < 0 || n > left_ / static_cast<int64_t>(sizeof(T))) return false;
    items.resize(static_cast<size_t>(n));
    return bytes(items.data(), n * static_cast<int64_t>(sizeof(T)));
  }
  // Whether all was read, and the hash behind it is that of what was read.
  bool ends_well() {
    uint64_t hash = 0;
    return left_ == 0 && in_.read(reinterpret_cast<char*>(&hash), sizeof hash) && hash == hash_.value();
  }

 private:
  std::istream& in_;
  int64_t left_;
  core::Fnv1a hash_;
};

int64_t bytes_of(const MomentSums& sums) {
  int64_t bytes = static_cast<int64_t>(3 + sums.used.size()) * 8;
  for (const auto& lane : sums.lanes)
    for (const InputMoments& m : lane) bytes += static_cast<int64_t>(3 * 8 + m.mean.size() * 8 + m.products.size() * 4);
  return bytes;
}

std::string layer_section(const std::string& key, const RoundedLayer& layer) {
  std::string content;
  Content c([&](std::string_view bytes) { content += bytes; });
  c.list(std::vector<char>(key.begin(), key.end()));
  c.list(layer.weights.values.shape());
  c.bytes(layer.weights.values.raw(), layer.weights.values.bytes());
  c.list(layer.weights.scales);
  c.list(layer.moved);
  const auto length = static_cast<int64_t>(content.size());
  const uint64_t hash = c.hash();
  std::string section(1, kLayer);
  section.append(reinterpret_cast<const char*>(&length), sizeof length).append(content);
  return section.append(reinterpret_cast<const char*>(&hash), sizeof hash);
}

bool read_layer(std::istream& in, int64_t length, std::string& key, RoundedLayer& layer) {
  ContentReader c(in, length);
  std::vector<char> name;
  std::vector<int64_t> shape;
  if (!c.list(name) || !c.list(shape)) return false;
  int64_t size = 1;
  for (int64_t d : shape) {
    if (d < 0 || (d > 0 && size > length / d)) return false;
    size *= d;
  }
  key.assign(name.begin(), name.end());
  layer.weights.values = Tensor(DType::i8, {shape.begin(), shape.end()});
  return c.bytes(layer.weights.values.raw(), size) && c.list(layer.weights.scales) && c.list(layer.moved) && c.ends_well();
}

}  // namespace

RoundingState::RoundingState(fs::path file, std::string settings, double patience)
    : file_(std::move(file)), settings_(std::move(settings)), patience_(patience) {
  read();
}

void RoundingState::read() {
  std::error_code ignored;
  if (!fs::exists(file_, ignored)) return;
  std::ifstream in(file_, std::ios::binary);
  std::string start(kMagic.size() + kHashDigits + 1, '\0');
  if (!in.read(start.data(), static_cast<std::streamsize>(start.size())) || !start.starts_with(kMagic))
    throw Error(file_.string(), "stands where the state of the rounding is kept, and is none", "move it away");
  if (start != std::string(kMagic) + settings_ + "\n") {
    in.close();
    fs::remove(file_, ignored);
    return;
  }
  const auto whole = static_cast<int64_t>(fs::file_size(file_, ignored));
  int64_t at = static_cast<int64_t>(start.size());
  for (char kind = 0; in.get(kind);) {
    int64_t length = 0;
    if (!in.read(reinterpret_cast<char*>(&length), sizeof length) || length < 0 || length > whole - at - kFrame) break;
    if (kind == kSums && sums_at_ < 0 && layers_.empty()) {
      ContentReader c(in, length);
      if (!c.number(kept_samples_)) break;
      sums_at_ = at + 1 + 8;
      in.seekg(at + kFrame + length);
    } else {
      std::string key;
      RoundedLayer layer;
      if (kind != kLayer || !read_layer(in, length, key, layer)) break;
      layers_[key] = std::move(layer);
    }
    at += kFrame + length;
  }
  in.close();
  if (at < whole) fs::resize_file(file_, static_cast<uintmax_t>(at), ignored);
  written_ = true;
  kept_layers_ = layers_.size();
}

bool RoundingState::read_sums(MomentSums& sums) const {
  if (sums_at_ < 0) return false;
  std::ifstream in(file_, std::ios::binary);
  in.seekg(sums_at_ - 8);
  int64_t length = 0, lanes = 0, layers = 0;
  if (!in.read(reinterpret_cast<char*>(&length), sizeof length)) return false;
  ContentReader c(in, length);
  MomentSums kept = sums;
  if (!c.number(kept.samples) || !c.number(lanes) || !c.number(layers)) return false;
  if (lanes != static_cast<int64_t>(sums.lanes.size())) return false;
  for (int64_t& used : kept.used)
    if (!c.number(used)) return false;
  for (auto& lane : kept.lanes) {
    if (layers != static_cast<int64_t>(lane.size())) return false;
    for (InputMoments& m : lane)
      if (!c.number(m.windows) || !c.list(m.mean) || !c.list(m.products)) return false;
  }
  if (!c.ends_well()) return false;
  sums = std::move(kept);
  return true;
}

void RoundingState::give_up(const std::string& why) {
  given_up_ = true;
  core::print_warning(why + "; a run that is killed will begin anew");
}

void RoundingState::write_start(const MomentSums* sums) {
  core::AtomicFile out(file_);
  out.write(std::string(kMagic) + settings_ + "\n");
  if (sums) {
    const int64_t length = bytes_of(*sums);
    out.write(std::string(1, kSums));
    out.write({reinterpret_cast<const char*>(&length), sizeof length});
    Content c([&](std::string_view bytes) { out.write(bytes); });
    c.number(sums->samples);
    c.number(static_cast<int64_t>(sums->lanes.size()));
    c.number(static_cast<int64_t>(sums->lanes.front().size()));
    for (int64_t used : sums->used) c.number(used);
    for (const auto& lane : sums->lanes)
      for (const InputMoments& m : lane) {
        c.number(m.windows);
        c.list(m.mean);
        c.list(m.products);
      }
    const uint64_t hash = c.hash();
    out.write({reinterpret_cast<const char*>(&hash), sizeof hash});
  }
  for (const auto& [key, layer] : layers_) out.write(layer_section(key, layer));
  out.commit();
  written_ = true;
}

void RoundingState::keep_sums(const MomentSums& sums, bool last) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Clock::time_point before = Clock::now();
  const double since = std::chrono::duration<double>(before - last_).count();
  if (given_up_ || sums.lanes.empty() || since < patience_ || (!last && since < kShare * writing_s_)) return;
  try {
    write_start(&sums);
  } catch (const Error& e) {
    return give_up(e.what());
  }
  last_ = Clock::now();
  writing_s_ = std::chrono::duration<double>(last_ - before).count();
}

std::optional<RoundedLayer> RoundingState::find(const std::string& key) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = layers_.find(key);
  return it == layers_.end() ? std::nullopt : std::optional(it->second);
}

void RoundingState::keep(const std::string& key, const RoundedLayer& layer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (given_up_) return;
  layers_[key] = layer;
  try {
    if (written_)
      append(layer_section(key, layer));
    else if (std::chrono::duration<double>(Clock::now() - last_).count() >= patience_)
      write_start(nullptr);
  } catch (const Error& e) {
    give_up(e.what());
  }
}

void RoundingState::append(const std::string& section) {
  std::ofstream out(file_, std::ios::binary | std::ios::app);
  out.write(section.data(), static_cast<std::streamsize>(section.size())).flush();
  if (!out) throw core::file_error(file_, "write", errno);
}

void RoundingState::remove() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::error_code ignored;
  if (written_) fs::remove(file_, ignored);
  written_ = false;
  given_up_ = true;
}

}  // namespace cytodet::quant
