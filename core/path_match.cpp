#include "core/path_match.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <numeric>
#include <optional>

#include "core/ascii.h"
#include "core/error.h"
#include "core/unicode.h"

namespace cytodet::core {
namespace {

using Components = std::vector<std::string>;  // of a path, the last one first

constexpr std::array kSpellings = {Spelling::exact,    Spelling::unicode,   Spelling::letter_case,
                                   Spelling::encoding, Spelling::extension, Spelling::renamed};

// Extensions of files that hold an image, read or not (tiling/slides/formats/known_formats), in lower case. "ome" and the like
// stand before another: S1.ome.tif.
constexpr std::string_view kExtensions[] = {
    "jpg",  "jpeg", "jpe",    "jfif", "png",  "bmp", "dib", "gif",  "tif",  "tiff", "btf",     "tf2",      "tf8",     "lsm",
    "stk",  "flex", "qptiff", "ome",  "webp", "jp2", "j2k", "jpx",  "jpf",  "jpc",  "j2c",     "jxl",      "jxr",     "wdp",
    "hdp",  "heic", "heif",   "avif", "psd",  "psb", "tga", "ppm",  "pgm",  "pbm",  "pnm",     "exr",      "dng",     "nef",
    "cr2",  "cr3",  "arw",    "orf",  "rw2",  "svs", "kfb", "ndpi", "vms",  "vmu",  "scn",     "mrxs",     "svslide", "bif",
    "vsi",  "oif",  "oir",    "czi",  "zvi",  "oib", "lif", "lof",  "xlef", "nd2",  "isyntax", "i2syntax", "dcm",     "dicom",
    "sdpc", "mds",  "mdsx",   "tron", "tmap", "dzi", "dzc", "zarr", "ims"};

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string folded(std::string_view text) { return is_ascii(text) ? lower_ascii(text) : name_key(text); }

int hex_digit(char c) {
  const char l = lower_ascii(c);
  return l >= '0' && l <= '9' ? l - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}
bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return hex_digit(c) >= 0; });
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool code = text[i] == '%' && i + 2 < text.size() && is_hex(text.substr(i + 1, 2));
    out += code ? static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i];
    if (code) i += 2;
  }
  return out;
}

std::string latin1_as_utf8(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) out += static_cast<char>(0xC0 | byte >> 6);
    out += byte < 0x80 ? c : static_cast<char>(0x80 | (byte & 0x3F));
  }
  return out;
}

// The file that an address names: "http://host/a/b.jpg?token=1" -> "http://host/a/b.jpg"; Label Studio's
// "/data/local-files/?d=a/b.jpg"
// -> "a/b.jpg".
std::string decoded(std::string_view path) {
  if (const size_t d = path.find("?d="); d != path.npos)
    path = path.substr(d + 3);
  else if (path.find("://") != path.npos)
    path = path.substr(0, path.find_first_of("?#"));
  std::string text = percent_decoded(path);
  return is_ascii(text) || is_utf8(text) ? text : latin1_as_utf8(text);
}

bool is_slash(char c) { return c == '/' || c == '\\'; }

// "." falls away; ".." takes the component before it along, or falls away where there is none.
Components split(std::string_view path) {
  Components reversed;
  int up = 0;
  for (size_t end = path.size(); end > 0;) {
    size_t begin = end;
    while (begin > 0 && !is_slash(path[begin - 1])) --begin;
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "..")
      ++up;
    else if (!part.empty() && part != "." && (up == 0 || up-- == 0))
      reversed.emplace_back(part);
    end = begin > 0 ? begin - 1 : 0;
  }
  return reversed;
}

// Label Studio: 8 hexadecimal digits and a dash before the name. Roboflow: NAME_jpg.rf.HASH, the extension being cut already.
std::string without_tool_marks(std::string name) {
  if (name.size() > 9 && name[8] == '-' && is_hex(std::string_view(name).substr(0, 8))) name.erase(0, 9);
  const size_t rf = name.rfind(".rf.");
  if (rf == name.npos || rf == 0 || name.size() - rf - 4 < 16) return name;
  const size_t bar = name.rfind('_', rf);
  return bar != name.npos && bar > 0 && rf - bar <= 6 ? name.substr(0, bar) : name;
}

// A path's components as they are compared at this spelling.
Components components(std::string_view path, Spelling spelling) {
  if (spelling < Spelling::encoding) {
    Components parts = split(path);
    for (std::string& p : parts)
      if (spelling == Spelling::letter_case)
        p = folded(p);
      else if (spelling == Spelling::unicode && !is_ascii(p))
        p = decomposed(p);
    return parts;
  }
  Components parts = split(decoded(path));
  for (std::string& p : parts) p = folded(p);
  if (!parts.empty() && spelling >= Spelling::extension) parts[0] = without_image_extension(parts[0]);
  if (!parts.empty() && spelling == Spelling::renamed) parts[0] = without_tool_marks(std::move(parts[0]));
  return parts;
}

// The loosest components, each ended by a NUL, of which names have none: keys that begin alike agree in a suffix of the paths.
std::string key_of(std::string_view path) {
  std::string key;
  for (const std::string& p : components(path, Spelling::renamed)) (key += p) += '\0';
  return key;
}

int common(const Components& a, const Components& b) {
  const auto [end, unused] = std::mismatch(a.begin(), a.begin() + static_cast<long>(std::min(a.size(), b.size())), b.begin());
  return static_cast<int>(end - a.begin());
}

// Two different marks are two images: dates before a name look like Label Studio's, and Roboflow's are variants of one image.
bool differ_in_marks(std::string_view name, std::string_view path) {
  const auto file_name = [](std::string_view p, Spelling s) { return components(p, s).front(); };
  const std::string own = file_name(name, Spelling::extension), wanted = file_name(path, Spelling::extension);
  return own != wanted && own != file_name(name, Spelling::renamed) && wanted != file_name(path, Spelling::renamed);
}

// Bytes of the leading components in which two keys agree.
size_t common_bytes(std::string_view a, std::string_view b) {
  size_t end = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()) && a[i] == b[i]; ++i)
    if (a[i] == '\0') end = i + 1;
  return end;
}

// What decides between names at one spelling: more components, then whether they are all of the name and of the path.
struct Agreement {
  int components = 0, whole = 0;
  auto operator<=>(const Agreement&) const = default;
};

// The best of the candidates at the nearest spelling at which it is whole or cannot get longer.
PathIndex::Match best_of(const std::vector<int>& candidates, const std::vector<std::string>& names, std::string_view path,
                         int longest) {
  for (const Spelling spelling : kSpellings) {
    const Components wanted = components(path, spelling);
    PathIndex::Match best;
    Agreement max{1, 0};
    for (const int name : candidates) {
      const std::string& text = names[static_cast<size_t>(name)];
      const Components own = components(text, spelling);
      const int length = spelling == Spelling::renamed && differ_in_marks(text, path) ? 0 : common(own, wanted);
      const auto all = [length](const Components& c) { return static_cast<int>(c.size()) == length ? 1 : 0; };
      const Agreement a{length, all(own) + all(wanted)};
      if (a < max) continue;
      if (a > max) best.names.clear();
      max = a;
      best.names.push_back(name);
    }
    if (best.names.empty() || (!max.whole && max.components < longest)) continue;
    std::sort(best.names.begin(), best.names.end());
    best.spelling = spelling;
    best.components = max.components;
    best.whole = max.whole > 0;
    return best;
  }
  return {};
}

// Better is less.
std::array<int, 3> rank(const PathIndex::Match& m) { return {m.whole ? 0 : 1, static_cast<int>(m.spelling), -m.components}; }

// Counts cases of one kind for a warning, with the first as an example.
struct Cases {
  size_t count = 0;
  std::string example;
  void add(const std::string& text) {
    if (!count++) example = text;
  }
  std::string report(const std::string& what) const {
    return std::to_string(count) + (count == 1 ? " image " : " images ") + what + ": " + example + (count > 1 ? ", ..." : "");
  }
};

class Assigning {
 public:
  Assigning(const PathIndex& index, const std::vector<std::string>& paths, const std::string& where, const std::string& what)
      : index_(index), paths_(paths), where_(where), what_(what) {}

  PathAssignment run(bool here) {
    for (const std::string& p : paths_) matches_.push_back(index_.find(here ? absolute_path(p) : p));
    found_.name_of.assign(paths_.size(), -1);
    owner_.assign(index_.names().size(), -1);
    for (size_t i = 0; i < paths_.size(); ++i)
      if (const int name = matches_[i].name(); name >= 0) claim(i, owner_[static_cast<size_t>(name)]);
    for (size_t i = 0; i < paths_.size(); ++i) settle(i);
    add_warnings();
    return std::move(found_);
  }

 private:
  const PathIndex::Match& match(int path) const { return matches_[static_cast<size_t>(path)]; }
  const std::string& name(int i) const { return index_.names()[static_cast<size_t>(i)]; }

  void claim(size_t path, int& owner) const {
    if (owner < 0 || rank(matches_[path]) < rank(match(owner))) owner = static_cast<int>(path);
  }

  void settle(size_t path) {
    const PathIndex::Match& m = matches_[path];
    if (m.names.size() > 1) return check_ambiguous(path);
    if (m.name() < 0) return;
    const int owner = owner_[static_cast<size_t>(m.name())];
    if (owner != static_cast<int>(path) && rank(match(owner)) < rank(m))
      return beaten_.add(paths_[path] + " is not taken for " + name(m.name()) + ", which " + paths_[static_cast<size_t>(owner)] +
                         " matches better");
    if (owner != static_cast<int>(path))
      throw Error(
          where_,
          paths_[static_cast<size_t>(owner)] + " and " + paths_[path] + " both match one " + what_ + ", " + name(m.name()),
          "give only the one that is meant, or name the folders in file_name");
    found_.name_of[path] = m.name();
    const std::string taken = paths_[path] + " is taken for " + name(m.name());
    if (m.spelling > Spelling::unicode) spelt_[static_cast<size_t>(m.spelling)].add(taken);
    if (!m.whole) elsewhere_.add(taken);
  }

  // A path that could be several names is a stranger where other paths are these names in whole.
  void check_ambiguous(size_t path) {
    std::string list;
    size_t left = 0;
    for (const int n : matches_[path].names) {
      const int owner = owner_[static_cast<size_t>(n)];
      if (owner >= 0 && match(owner).whole && rank(match(owner)) < rank(matches_[path])) continue;
      if (++left <= 3) list += (list.empty() ? "" : ", ") + name(n);
    }
    if (left)
      throw Error(where_, paths_[path] + " may be any of " + std::to_string(left) + " names: " + list + (left > 3 ? ", ..." : ""),
                  "give it with the folders that file_name has, or leave it out");
  }

  void add_warnings() {
    for (const Spelling s : kSpellings)
      if (const Cases& c = spelt_[static_cast<size_t>(s)]; c.count)
        found_.warnings.push_back(c.report(std::string("matched but for ") + text_of(s)));
    if (elsewhere_.count) found_.warnings.push_back(elsewhere_.report("matched by name although folders differ"));
    if (beaten_.count) found_.warnings.push_back(beaten_.report("left unmatched"));
  }

  const PathIndex& index_;
  const std::vector<std::string>& paths_;
  const std::string &where_, &what_;
  std::vector<PathIndex::Match> matches_;
  std::vector<int> owner_;  // per name: the path that matches it best, -1
  std::array<Cases, kSpellings.size()> spelt_;
  Cases elsewhere_, beaten_;
  PathAssignment found_;
};

}  // namespace

const char* text_of(Spelling spelling) {
  switch (spelling) {
    case Spelling::exact:
      return "nothing";
    case Spelling::unicode:
      return "Unicode normal forms";
    case Spelling::letter_case:
      return "upper and lower case";
    case Spelling::encoding:
      return "how their characters are written";
    case Spelling::extension:
      return "the extension";
    case Spelling::renamed:
      break;
  }
  return "what an annotation tool added to the name";
}

std::string without_image_extension(std::string_view name) {
  for (int i = 0; i < 2; ++i) {
    const size_t dot = name.rfind('.');
    if (dot == name.npos || dot == 0) break;
    const std::string extension = folded(name.substr(dot + 1));
    if (std::find(std::begin(kExtensions), std::end(kExtensions), extension) == std::end(kExtensions)) break;
    name = name.substr(0, dot);
  }
  return std::string(name);
}

std::string_view last_component(std::string_view path) {
  const size_t slash = path.find_last_of("/\\");
  return slash == path.npos ? path : path.substr(slash + 1);
}

std::string absolute_path(const std::string& path) {
  if (path.empty() || is_slash(path[0]) || path.find("://") != path.npos) return path;
  std::error_code ignored;
  return std::filesystem::current_path(ignored).string() + "/" + path;
}

PathIndex::PathIndex(std::vector<std::string> names) : names_(std::move(names)) {
  keys_.reserve(names_.size());
  for (const std::string& name : names_) keys_.push_back(key_of(name));
  for (size_t i = 0; i < names_.size(); ++i)
    if (!keys_[i].empty()) order_.push_back(static_cast<int>(i));
  const auto key = [&](int i) -> const std::string& { return keys_[static_cast<size_t>(i)]; };
  std::sort(order_.begin(), order_.end(), [&](int a, int b) {
    const int order = key(a).compare(key(b));
    return order != 0 ? order < 0 : a < b;
  });
  by_leaf_.reserve(order_.size());
  for (size_t i = 0; i < order_.size(); ++i) {
    const std::string_view whole = key(order_[i]), leaf = whole.substr(0, whole.find('\0'));
    auto [it, fresh] = by_leaf_.try_emplace(leaf, i, i);
    it->second.second = i + 1;
  }
}

PathIndex::Match PathIndex::find(std::string_view path) const {
  const std::string wanted = key_of(path);
  const auto same_leaf = by_leaf_.find(std::string_view(wanted).substr(0, wanted.find('\0')));
  if (wanted.empty() || same_leaf == by_leaf_.end()) return {};
  const auto begin = order_.begin() + static_cast<long>(same_leaf->second.first);
  const auto end = order_.begin() + static_cast<long>(same_leaf->second.second);
  const auto key = [&](int i) { return std::string_view(keys_[static_cast<size_t>(i)]); };
  const auto first_not_below = [&](std::string_view k) {
    return std::lower_bound(begin, end, k, [&](int i, std::string_view v) { return key(i) < v; });
  };
  const auto at = first_not_below(wanted);
  size_t bytes = 0;
  if (at != end) bytes = common_bytes(key(*at), wanted);
  if (at != begin) bytes = std::max(bytes, common_bytes(key(*std::prev(at)), wanted));
  std::vector<int> candidates;
  // Shorter names that are whole, then all that agree in the longest suffix.
  int longest = 0;
  bool too_many = false;
  for (size_t i = 0; i < bytes; ++i) {
    if (wanted[i] != '\0') continue;
    ++longest;
    const std::string_view suffix = std::string_view(wanted).substr(0, i + 1);
    for (auto it = first_not_below(suffix); it != end && !too_many; ++it) {
      if (key(*it) != suffix && (i + 1 < bytes || !key(*it).starts_with(suffix))) break;
      candidates.push_back(*it);
      too_many = candidates.size() > kMaxCompared;
    }
  }
  if (!too_many) return best_of(candidates, names_, path, longest);
  // Too many candidates to compare them all: only those are compared whose whole name the path ends in.
  std::vector<int> whole;
  std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(whole),
               [&](int i) { return wanted.starts_with(key(i)); });
  Match m = best_of(whole, names_, path, longest);
  if (m.names.empty()) m.names = std::move(candidates);
  return m;
}

PathAssignment assign_paths(const PathIndex& index, const std::vector<std::string>& paths, const std::string& where,
                            const std::string& what, bool here) {
  return Assigning(index, paths, where, what).run(here);
}

}  // namespace cytodet::core
