#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "tiling/slides/formats/block_slide.h"
#include "tiling/slides/formats/format_entries.h"
#include "tiling/slides/formats/jpeg.h"
#include "tiling/slides/formats/kfb_file.h"
#include "tiling/slides/formats/physical_size.h"

namespace cytodet::tiling {
namespace {

class KfbSlide : public BlockSlide {
 public:
  explicit KfbSlide(const std::string& file) : fd_(::open(file.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat info;
    if (fd_ < 0 || ::fstat(fd_, &info) != 0) throw Error("", std::string("cannot open: ") + std::strerror(errno));
    try {
      file_ = read_kfb(fd_, info.st_size);
    } catch (...) {
      ::close(fd_);
      throw;
    }
    for (const KfbLevel& l : file_.levels)
      levels.push_back({l.width, l.height, file_.levels[0].scale / l.scale, file_.tile_side, file_.tile_side, "JPEG"});
    if (file_.mpp > 0) {
      mpp_x = mpp_y = file_.mpp;
      mpp_source = "KFB header";
      mpp_warning = choose_pixel_size(std::array{PixelSize{file_.mpp, file_.mpp, mpp_source}}).warning;
    }
    start_cache();
  }
  ~KfbSlide() override { ::close(fd_); }

 private:
  Block decode(Resolution r, int64_t column, int64_t row) const override {
    const std::vector<KfbTile>& tiles = file_.levels[static_cast<size_t>(r.level)].tiles;
    const int side = file_.tile_side / r.reduce;
    auto block = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(side) * static_cast<size_t>(side) * 3, uint8_t{255});
    const auto t = std::lower_bound(tiles.begin(), tiles.end(), std::pair(row, column),
                                    [](const KfbTile& a, const auto& at) { return std::pair(a.row, a.column) < at; });
    if (t == tiles.end() || t->row != row || t->column != column || t->bytes == 0) return block;
    std::vector<uint8_t> data(static_cast<size_t>(t->bytes));
    if (::pread(fd_, data.data(), data.size(), t->offset) != static_cast<ssize_t>(data.size()))
      throw Error("", "damaged KFB: the file ends within a tile", "restore the file");
    // Tiles at the edges are stored cut to their size, or whole.
    const JpegSize size = jpeg_size(data), cut{t->width, t->height}, whole{file_.tile_side, file_.tile_side};
    auto is = [&](const JpegSize& s) { return size.width == s.width && size.height == s.height; };
    if (!is(cut) && !is(whole))
      throw Error("",
                  "damaged KFB: a tile of " + std::to_string(cut.width) + " x " + std::to_string(cut.height) + " pixels holds " +
                      std::to_string(size.width) + " x " + std::to_string(size.height),
                  "restore the file");
    Image image((size.width + r.reduce - 1) / r.reduce, (size.height + r.reduce - 1) / r.reduce);
    decode_jpeg_stream({{}, data, JpegColour::stated}, size, r.reduce, image.rgb.data());
    for (int y = 0; y < image.height; ++y)
      std::memcpy(block->data() + static_cast<int64_t>(y) * side * 3, image.row(y), static_cast<size_t>(image.width) * 3);
    return block;
  }
  bool reduces(int) const override { return true; }

  int fd_;
  KfbFile file_;
};

}  // namespace

std::unique_ptr<Slide> open_kfb(const std::string& path, const ImageSelection&) { return std::make_unique<KfbSlide>(path); }

}  // namespace cytodet::tiling
