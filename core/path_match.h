// Who is who: which of many known names (of a ground truth, of regions) a path is. A name and a path agree in a suffix of whole
// components; '/' and '\' both part components. The longest suffix decides, spelt exactly before spelt otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

// How far two spellings are apart, nearest first; a looser one allows all that the nearer ones do.
enum class Spelling {
  exact,        // byte for byte
  unicode,      // Unicode normal forms: the same text
  letter_case,  // IMG1.JPG, img1.jpg
  encoding,     // my%20slide.jpg, my slide.jpg; Latin-1 and UTF-8
  extension,    // S1.ome.tif, S1.svs, S1
  renamed,      // 1a2b3c4d-S1.jpg (Label Studio), S1_jpg.rf.1a2b....jpg (Roboflow)
};
// "upper and lower case", for messages.
const char* text_of(Spelling spelling);

// Known extensions of images and slides are cut: "S1.ome.tif" -> "S1", "a.v2.jpg" -> "a.v2".
std::string without_image_extension(std::string_view file_name);

// What follows the last '/' or '\'.
std::string_view last_component(std::string_view path);

// With the current folder before a relative path, so that all of its folders can be compared; addresses stay.
std::string absolute_path(const std::string& path);

class PathIndex {
 public:
  static constexpr size_t kMaxCompared =
      1000;  // names of one suffix that are distinguished by their spelling; of more, only whole ones

  struct Match {
    std::vector<int> names;  // ascending; none: unknown; several: they match equally well
    Spelling spelling = Spelling::exact;
    int components = 0;  // that agree
    bool whole = false;  // all of the name or all of the path; else the folders before the suffix differ
    int name() const { return names.size() == 1 ? names[0] : -1; }
  };

  PathIndex() = default;
  PathIndex(PathIndex&&) = default;
  PathIndex& operator=(PathIndex&&) = default;
  // Takes time and memory in proportion to the names, but for sorting.
  explicit PathIndex(std::vector<std::string> names);

  const std::vector<std::string>& names() const { return names_; }
  // Takes time in proportion to the path's length where few names agree in its file name.
  Match find(std::string_view path) const;

 private:
  std::vector<std::string> names_, keys_;                                    // a key: see key_of in the source
  std::vector<int> order_;                                                   // names by key
  std::unordered_map<std::string_view, std::pair<size_t, size_t>> by_leaf_;  // last component of the key -> places in order_
};

// For every path of a list the index of the name that it matches; -1: none.
struct PathAssignment {
  std::vector<int> name_of;
  std::vector<std::string> warnings;  // one for each way in which names were not exact, with counts and an example
};

// Relative paths count from the current folder, unless `here` is false. When two paths match one name, the better match has it
// and the other is a stranger. Throws Error where two match it equally well, and where a path matches several names equally well
// that no other path has. `where` is the file of the names, `what` says what they are ("image of the ground truth").
PathAssignment assign_paths(const PathIndex& index, const std::vector<std::string>& paths, const std::string& where,
                            const std::string& what, bool here = true);

}  // namespace cytodet::core
