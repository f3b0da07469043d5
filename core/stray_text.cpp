#include "core/stray_text.h"

#include <algorithm>

#include "core/ascii.h"
#include "core/error.h"

namespace cytodet::core {
namespace {

using namespace std::string_view_literals;

constexpr size_t kHead = 1024;       // bytes of the start that are looked at
constexpr size_t kHtmlWithin = 512;  // bytes in which a page's <html> stands, behind comments and declarations

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_page(std::string_view head) {
  const bool markup = head.starts_with('<') || head.starts_with("http/");  // also with a server's own lines in front
  return head.starts_with("<!doctype html") || (markup && head.substr(0, kHtmlWithin).find("<html") != std::string_view::npos);
}

bool is_lfs(std::string_view head) {
  return head.starts_with("version https://git-lfs") ||
         (head.starts_with("version http") && head.find("oid sha256:") != std::string_view::npos);
}

// Contents that are no texts, by their first bytes, in lower case.
constexpr std::pair<std::string_view, const char*> kBinary[] = {
    {"\x1f\x8b"sv, "gzipped"},    {"pk\x03\x04"sv, "a zip archive"},  {"%pdf"sv, "a PDF"},
    {"\x89png"sv, "a PNG image"}, {"\xff\xd8\xff"sv, "a JPEG image"}, {"ii*\0"sv, "a TIFF image"},
    {"mm\0*"sv, "a TIFF image"},  {"ii+\0"sv, "a TIFF image"},        {"mm\0+"sv, "a TIFF image"},
};

}  // namespace

std::string ascii_head(std::string_view text) {
  std::string head;
  for (const char c : text.substr(0, kHead))
    if (static_cast<unsigned char>(c) < 0x80 && c != 0 && !(head.empty() && is_blank(c))) head += lower_ascii(c);
  return head;
}

std::optional<StrayText> stray_text(std::string_view bytes) {
  const std::string head = ascii_head(bytes);
  if (is_page(head)) return StrayText{"a web page (HTML)", "download the file itself; the page may say why that failed"};
  if (is_lfs(head)) return StrayText{"a Git LFS pointer", "fetch the file itself: git lfs pull"};
  if (head.starts_with("/annex/objects/")) return StrayText{"a git-annex pointer", "fetch the file itself: git annex get"};
  return std::nullopt;
}

void refuse_other_than_json(std::string_view bytes, const std::string& where) {
  const auto refuse = [&](const std::string& name, const char* advice) {
    throw Error(where, "is " + name + ", not JSON text", advice);
  };
  if (const std::optional<StrayText> stray = stray_text(bytes)) refuse(stray->name, stray->advice);
  const std::string start = lower_ascii(bytes.substr(0, 16));
  for (const auto& [first, name] : kBinary)
    if (start.starts_with(first)) refuse(name, name == kBinary[0].second ? "unpack it with gunzip" : "name a JSON file");
  if (ascii_head(bytes).starts_with('<')) refuse("XML", "name a JSON file");
}

}  // namespace cytodet::core
