// The files that belong to a run folder: only what this program put there is replaced or removed.
//
// Who owns a file is known from a list: run.json lists the files of each slide and of the run with their size and a hash of their
// bytes; run.journal holds what was added since run.json was written last. A file is listed before it gets its name: it is made
// in RUN/.cytodet-PID-0.stage, its line is put into the journal, then it is moved. So whatever the moment at which a run is
// killed, a file under one of the run's names is either listed and has the listed bytes, or somebody else's.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/live_paths.h"
#include "pipeline/results/run_folder.h"

namespace cytodet::pipeline {

// Size and hash of a file as it is now; name is kept. Empty: there is no such file, or it is none that we make (a link, a
// folder).
std::optional<OwnFile> measured_file(const std::filesystem::path& folder, const std::string& name);

// One process at a time writes into a folder; the lock goes with the process, however it ends.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

class RunFiles {
 public:
  enum class Whose { nobody, ours, foreign };
  // Called before each operation that changes the folder; a test may end the process there.
  using Hook = std::function<void(const std::string& operation)>;

  // Makes the folder where it is missing and locks it. Nothing in it is changed.
  explicit RunFiles(std::filesystem::path folder, Hook hook = {});
  // Removes what was not moved to its name, and the folder where this one made it and nothing came into it.
  ~RunFiles();
  RunFiles(const RunFiles&) = delete;
  RunFiles& operator=(const RunFiles&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  // What run.json says; empty where there is none. Throws Error when that file is not this program's.
  const std::optional<RunState>& before() const { return before_; }
  // Whether the run that stands there was made by a version that kept no list of its files, so that they can be recognised by
  // their content alone.
  bool unlisted_before() const;

  // Names are relative to the folder: "run.json", "S1.csv", "boxes/S1.boxes".
  void list(const OwnFile& file) { listed_.emplace(file.name, file); }
  // A name may be listed twice: as it was, and as it is or would have become.
  const std::multimap<std::string, OwnFile>& listed() const { return listed_; }
  // A .boxes file of ours that was cut short is still ours.
  Whose whose(const std::string& name) const;
  // Removes the file if it is ours; false: it is not.
  bool remove(const std::string& name);

  // Removes what killed processes left unfinished and starts a journal of this run. Before it, nothing is changed.
  void begin(const RunState& state);
  // The path at which a file is written before it gets its final name.
  std::filesystem::path staged(const std::string& name);
  // Does what writes staged files; its errors name them as they will be called.
  void make(const std::function<void()>& work) const;
  // Makes and removes a file of this name: whether the file system takes it.
  void try_name(const std::string& name);
  // Lists the staged files of these names, then moves them to their names in this order. A file that is ours is replaced; throws
  // Error when another one is there. Returns what was listed.
  std::vector<OwnFile> place(const std::vector<std::string>& names);
  void discard_staged();

  // run.json, whole. Throws Error when something else has changed it since it was written or read.
  void write_state(const RunState& state);
  // The last run.json: the journal is no longer needed.
  void end(const RunState& state);

 private:
  struct Stamp {
    bool plain = false;  // a file, not a link, folder or device
    uint64_t device = 0, inode = 0;
    int64_t bytes = -1, time_ns = 0;
    bool operator==(const Stamp&) const = default;
  };  // bytes -1: nothing has the name
  static Stamp stamp_of(const std::filesystem::path& path);
  void operation(const std::string& what) const {
    if (hook_) hook_(what);
  }
  void read_before();
  void read_journal();
  void start_journal();
  void reserve(int64_t bytes);
  void append_to_journal(const std::vector<OwnFile>& files);
  void move_to_name(const OwnFile& file);
  std::filesystem::path path(const std::string& name) const { return folder_ / std::filesystem::path(name); }

  std::filesystem::path folder_, stage_;
  Hook hook_;
  bool made_folder_ = false, has_journal_ = false, unlisted_ = false;
  std::optional<FolderLock> lock_;
  std::optional<RunState> before_;
  std::multimap<std::string, OwnFile> listed_;
  LivePath live_folder_;                            // the folder, if this one made it
  std::map<std::filesystem::path, LivePath> live_;  // the stage and what is made in it, until it is moved or discarded
  mutable std::map<std::string, Stamp> known_;      // stamps of files that were found to be as listed
};

}  // namespace cytodet::pipeline
