// What a search has measured, in a file: it goes on where it was killed, and settings that two searches share are measured once.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "pipeline/tune/search.h"

namespace cytodet::pipeline {

// Keys are hashes of all that a figure depends on.
class TuneJournal {
 public:
  // Reads `path` where it exists. Throws Error when it is broken.
  explicit TuneJournal(std::filesystem::path path);
  void read(const Json& json, const std::string& where);

  const double* seconds(const std::string& key) const;
  const TuneAccuracy* accuracy(const std::string& key) const;
  void add_seconds(const std::string& key, double value) { seconds_[key] = value; }
  void add_accuracy(const std::string& key, const TuneAccuracy& value) { accuracy_[key] = value; }
  // Written aside, then renamed.
  void save() const;

 private:
  std::filesystem::path path_;
  std::map<std::string, double> seconds_;
  std::map<std::string, TuneAccuracy> accuracy_;
};

}  // namespace cytodet::pipeline
