#include "pipeline/results/result_names.h"

#include <algorithm>
#include <array>

#include "core/hash.h"
#include "core/unicode.h"
#include "pipeline/results/formats/output.h"

namespace cytodet::pipeline {
namespace {

constexpr size_t kMaxFileName = 220;  // bytes; file systems take 255, and programs that copy files add to names
constexpr size_t kCountBytes = 8;     // "_1234567"
constexpr std::string_view kReserved = "<>:\"/\\|?*";
constexpr std::string_view kHexDigits = "0123456789ABCDEF";
// NAMEs of files and folders that a run writes for itself, or that other commands are asked to write there.
constexpr std::string_view kOwn[] = {"", "run", "detections", "scores", "comparison", "report", "summary", "boxes", "masks"};
constexpr std::string_view kDevices[] = {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"};
constexpr std::string_view kNumberedDevices[] = {"com", "lpt"};
constexpr std::string_view kNumbers[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "\u00B9", "\u00B2", "\u00B3"};

bool is_hex(std::string_view text, size_t at) {
  const auto digit = [&](size_t i) { return i < text.size() && kHexDigits.find(text[i]) != std::string_view::npos; };
  return digit(at) && digit(at + 1);
}

void append_escape(std::string& text, char byte) {
  const auto b = static_cast<unsigned char>(byte);
  text += '%';
  text += kHexDigits[b >> 4];
  text += kHexDigits[b & 15];
}

bool is_reserved(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || kReserved.find(c) != std::string_view::npos;
}

// Windows: the part before the first dot, blanks at its end left out.
bool is_device(std::string_view name) {
  std::string base = name_key(name.substr(0, name.find('.')));
  base.erase(base.find_last_not_of(' ') + 1);
  if (std::find(std::begin(kDevices), std::end(kDevices), base) != std::end(kDevices)) return true;
  for (const std::string_view device : kNumberedDevices)
    for (const std::string_view number : kNumbers)
      if (base == name_key(std::string(device) + std::string(number))) return true;
  return false;
}

// The last place of at most `max_bytes` bytes that parts neither a character from its bytes nor an escape, nor a mark from its
// letter.
size_t whole_characters(std::string_view name, size_t max_bytes) {
  size_t good = 0;
  for (size_t at = 0; at <= max_bytes && at < name.size();) {
    const bool mark = (name[at] == '\xCC' || (name[at] == '\xCD' && at + 1 < name.size() && name[at + 1] < '\xB0')) ||
                      name.substr(at, 3) == "\u200D";
    if (!mark) good = at;
    at += name[at] == '%' && is_hex(name, at + 1) ? 3 : std::max<size_t>(utf8_length(name, at), 1);
  }
  return good;
}

size_t longest(const std::set<std::string>& suffixes) {
  size_t n = 0;
  for (const std::string& s : suffixes) n = std::max(n, s.size());
  return n;
}

}  // namespace

std::string escaped(std::string_view bytes, bool names) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const size_t n = utf8_length(bytes, at);
    const char c = bytes[at];
    if (n == 0 || (names && is_reserved(c)) || (c == '%' && is_hex(bytes, at + 1)))
      append_escape(text, c);
    else
      text += bytes.substr(at, n);
    at += std::max<size_t>(n, 1);
  }
  return text;
}

std::string unescaped(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%' || !is_hex(text, at + 1)) {
      bytes += text[at];
      continue;
    }
    bytes += static_cast<char>(kHexDigits.find(text[at + 1]) * 16 + kHexDigits.find(text[at + 2]));
    at += 2;
  }
  return bytes;
}

std::string safe_name(std::string_view stem, size_t max_bytes) {
  std::string name = escaped(stem, true);
  const auto escape_at = [&](size_t at) {
    std::string one;
    append_escape(one, name[at]);
    name.replace(at, 1, one);
  };
  if (name.ends_with('.') || name.ends_with(' ')) escape_at(name.size() - 1);
  if (name.starts_with('.') || name.starts_with('-') || name.starts_with(' ') || is_device(name)) escape_at(0);
  if (name.size() <= max_bytes) return name;
  const std::string hash = "_" + Hash().add(stem).text();
  return name.substr(0, whole_characters(name, max_bytes - hash.size())) + hash;
}

ResultNames::ResultNames() : suffixes_{".png", ".jpg", ".boxes"} {
  for (const Output& o : outputs()) suffixes_.insert(o.suffix);
  for (const std::string_view own : kOwn)
    for (const char* form : {".json", ".html"}) taken_.insert(std::string(own) + form);
}

bool ResultNames::is_taken(const std::string& name) const {
  const std::string key = name_key(name);
  return std::any_of(suffixes_.begin(), suffixes_.end(), [&](const std::string& s) { return taken_.contains(key + s); });
}

void ResultNames::take(const std::string& name) {
  const std::string key = name_key(name);
  for (const std::string& s : suffixes_) taken_.insert(key + s);
}

std::string ResultNames::name_for(const std::filesystem::path& slide) {
  std::string stem = slide.stem().string();
  const std::string key = name_key(stem);
  if (std::find(std::begin(kOwn), std::end(kOwn), key) != std::end(kOwn)) stem += "_picture";
  const std::string first = safe_name(stem, kMaxFileName - longest(suffixes_) - kCountBytes);
  std::string name = first;
  int& count = counts_.try_emplace(name_key(first), 1).first->second;
  while (is_taken(name)) name = first + "_" + std::to_string(++count);
  take(name);
  return name;
}

}  // namespace cytodet::pipeline
