#include "pipeline/results/formats/text_file.h"

#include <zlib.h>

#include <charconv>
#include <cmath>

#include "core/error.h"
#include "core/settings.h"
#include "core/shortest_number.h"

namespace cytodet::pipeline {

struct TextFile::Gzip {
  z_stream stream{};
  std::string out = std::string(size_t{1} << 16, '\0');

  Gzip() {
    constexpr int kLevel = 1, kGzipWindow = 15 + 16, kMemory = 9;
    if (deflateInit2(&stream, kLevel, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY) != Z_OK)
      throw Error("gzip", "cannot start", "free some memory");
  }
  ~Gzip() { deflateEnd(&stream); }

  void write(std::string_view bytes, bool last, AtomicFile& file) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    int state = Z_OK;
    do {
      stream.next_out = reinterpret_cast<Bytef*>(out.data());
      stream.avail_out = static_cast<uInt>(out.size());
      state = deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH);
      file.write({out.data(), out.size() - stream.avail_out});
    } while (stream.avail_out == 0 || (last && state != Z_STREAM_END));
  }
};

TextFile::TextFile(std::filesystem::path path, bool gzip)
    : file_(std::move(path)), gzip_(gzip ? std::make_unique<Gzip>() : nullptr) {
  text_.reserve(kBlock + 4096);
}
TextFile::~TextFile() = default;

void TextFile::flush() {
  if (gzip_)
    gzip_->write(text_, false, file_);
  else
    file_.write(text_);
  text_.clear();
}

void TextFile::commit() {
  if (gzip_)
    gzip_->write(text_, true, file_);
  else
    file_.write(text_);
  text_.clear();
  file_.commit();
}

void append_number(std::string& text, int64_t v) { append_shortest(text, v); }
void append_number(std::string& text, float v) { append_shortest(text, v); }

void append_fixed(std::string& text, double v, int decimals) {
  static constexpr int64_t kPowers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
  const int64_t power = kPowers[decimals];
  int64_t n = std::llround(v * static_cast<double>(power));
  if (n < 0) {
    text += '-';
    n = -n;
  }
  append_number(text, n / power);
  int64_t rest = n % power;
  if (!rest) return;
  char digits[8];
  int length = decimals;
  for (int i = decimals - 1; i >= 0; --i, rest /= 10) digits[i] = static_cast<char>('0' + rest % 10);
  while (digits[length - 1] == '0') --length;
  text += '.';
  text.append(digits, static_cast<size_t>(length));
}

void append_json_string(std::string& text, std::string_view s) { text += json_line(std::string(s)); }

}  // namespace cytodet::pipeline
