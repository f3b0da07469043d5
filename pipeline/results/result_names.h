// NAME of a slide's files in a run folder: safe on every file system, and no two of a list alike on any.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

namespace cytodet::pipeline {

// "%" and two hexadecimal digits for each byte that is not UTF-8, and for the "%" of what would else be read as such; with
// `names` also for what a file's name may not hold somewhere: control characters and < > : " / \ | ? *. unescaped() is the way
// back.
std::string escaped(std::string_view bytes, bool names = false);
std::string unescaped(std::string_view text);

// `stem` with what some file system refuses or takes otherwise escaped: the above, a dot, dash or blank in front, a dot or blank
// at the end, names of devices (CON, NUL, COM1, ...). A name of over `max_bytes` is cut at a whole character, and ends in a hash
// of all of it.
std::string safe_name(std::string_view stem, size_t max_bytes);

// Gives names in the order of a list. A name is the file's own without its extension, made safe; where one of its files would be
// another slide's or the program's own (upper or lower case, normal forms: see name_key), "_2", "_3", ... is added.
class ResultNames {
 public:
  ResultNames();
  std::string name_for(const std::filesystem::path& slide);

 private:
  bool is_taken(const std::string& name) const;
  void take(const std::string& name);
  std::set<std::string> suffixes_;               // of all files that a slide may have in the run folder
  std::set<std::string> taken_;                  // keys of files
  std::unordered_map<std::string, int> counts_;  // by key of a name: the number last added to it
};

}  // namespace cytodet::pipeline
