// The model file: what a graph's inputs and outputs mean. JSON beside the graph; keys are the field names. Every family
// of networks has the keys below; its own keys are described in the family's folder.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "models/common/input_settings.h"
#include "models/common/operating_scores.h"
#include "models/common/suppress.h"

namespace cytodet::models {

// The keys that one family adds: which nodes are its outputs, and how they are read.
class FamilySettings {
 public:
  virtual ~FamilySettings() = default;
  virtual const char* family() const = 0;  // its name in families()
  virtual std::unique_ptr<FamilySettings> clone() const = 0;
  virtual void describe(Fields& f) = 0;  // f("key", field) for each key
};

// The settings of one family, which are copied with the model file.
class OwnSettings {
 public:
  OwnSettings() = default;
  OwnSettings(std::unique_ptr<FamilySettings> settings) : settings_(std::move(settings)) {}
  OwnSettings(const OwnSettings& other) : settings_(other.settings_ ? other.settings_->clone() : nullptr) {}
  OwnSettings(OwnSettings&&) = default;
  OwnSettings& operator=(OwnSettings other) {
    settings_ = std::move(other.settings_);
    return *this;
  }
  FamilySettings* get() const { return settings_.get(); }  // null: none yet

 private:
  std::unique_ptr<FamilySettings> settings_;
};

struct ModelFile {
  std::string family;  // a name in families(); empty: the file has no such key, and the other keys give the family
  std::string name;
  std::string graph;  // path, relative to the model file
  InputSettings input;
  OwnSettings own;                   // of the family
  std::vector<std::string> classes;  // names, in channel order
  // Instead of naming them: a text of one name a line (path, relative to the model file); or how many there are, and their names
  // are 0, 1, 2, ...
  std::string classes_file;
  int numbered_classes = 0;  // key "class_count"
  // Families that detect have, too:
  std::vector<int> category_ids;  // COCO ids, in channel order; empty: 1, 2, ...
  SuppressionSettings suppression;
  std::optional<OperatingScores> operating_scores;  // none: kDefaultOperatingScore

  int class_count() const { return static_cast<int>(classes.size()); }
  int category_id(int c) const { return category_ids.empty() ? c + 1 : category_ids[static_cast<size_t>(c)]; }
};
// The family's keys are read and written where `own` is there.
void fields(Fields& f, ModelFile& s);

// Reads the keys, and checks them; the family's, too. UsageError with `where` and the key; for an unknown family with the nearest
// known ones.
ModelFile parse_model_file(const Json& json, const std::string& where);
void check(const ModelFile& model, const std::string& where);

// parse_model_file() of a file; `graph` and `classes_file` come back as paths that can be opened, `classes` filled from the
// latter.
ModelFile read_model_file(const std::filesystem::path& path);
// Sets the key operating_scores of a model file and leaves the rest of its text as it is. Throws Error where the file cannot be
// read or written, or is no model file that detects.
void write_operating_scores(const std::filesystem::path& path, const OperatingScores& scores);
// A text of one class name a line; blanks around a name and empty lines at the end do not count. Throws Error with the file.
std::vector<std::string> read_class_names(const std::string& file);
// Written aside, then renamed; paths are written relative to the file.
void write_model_file(const ModelFile& model, const std::filesystem::path& path);

}  // namespace cytodet::models
