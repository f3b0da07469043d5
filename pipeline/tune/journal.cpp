#include "pipeline/tune/journal.h"

#include <cmath>

#include "core/file.h"
#include "core/settings.h"

namespace cytodet::pipeline {

TuneJournal::TuneJournal(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code ignored;
  if (std::filesystem::exists(path_, ignored)) read(read_json(path_), path_.string());
}

void TuneJournal::read(const Json& json, const std::string& where) {
  auto broken = [&](const std::string& key) {
    return Error(where + ": " + key, "is not what tune wrote", "delete the file to measure anew");
  };
  for (const char* part : {"seconds", "accuracy"})
    if (!json.is_object() || !json.contains(part) || !json[part].is_object()) throw broken(part);
  for (auto it = json["seconds"].begin(); it != json["seconds"].end(); ++it) {
    if (!it.value().is_number() || !(it.value().get<double>() > 0)) throw broken("seconds." + it.key());
    seconds_[it.key()] = it.value();
  }
  for (auto it = json["accuracy"].begin(); it != json["accuracy"].end(); ++it) {
    const Json& v = it.value();
    if (!v.is_array() || v.size() != 2 || !v[0].is_number() || !v[1].is_number()) throw broken("accuracy." + it.key());
    const TuneAccuracy a{v[0], v[1]};
    if (!(a.map >= -1 && a.map <= 1 && a.merge_seconds >= 0)) throw broken("accuracy." + it.key());
    accuracy_[it.key()] = a;
  }
}

const double* TuneJournal::seconds(const std::string& key) const {
  auto it = seconds_.find(key);
  return it == seconds_.end() ? nullptr : &it->second;
}

const TuneAccuracy* TuneJournal::accuracy(const std::string& key) const {
  auto it = accuracy_.find(key);
  return it == accuracy_.end() ? nullptr : &it->second;
}

void TuneJournal::save() const {
  Json json{{"seconds", Json::object()}, {"accuracy", Json::object()}};
  for (const auto& [key, value] : seconds_) json["seconds"][key] = value;
  for (const auto& [key, value] : accuracy_) json["accuracy"][key] = {value.map, value.merge_seconds};
  write_file(path_, json.dump(1) + "\n");
}

}  // namespace cytodet::pipeline
