// Files and folders that must not outlive the process: a table that a signal handler can read. Whoever makes something
// temporary enters it, so that Ctrl-C, SIGTERM or SIGHUP leaves nothing behind.
#pragma once

#include <csignal>
#include <filesystem>
#include <utility>

#include "core/namespaces.h"

namespace cytodet::core {

// From construction to destruction, a signal that ends the program removes the file, or the folder if it is empty when all that
// is live in it is gone. The path need not exist yet. The destructor forgets the path and removes nothing.
class LivePath {
 public:
  LivePath() = default;
  explicit LivePath(const std::filesystem::path& path);
  LivePath(LivePath&& other) noexcept : entry_(other.entry_) { other.entry_ = -1; }
  LivePath& operator=(LivePath&& other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~LivePath();

 private:
  int entry_ = -1;
};

// While one exists, a handler waits: between the making of a file and its entry nothing may end the process.
class MakingPath {
 public:
  MakingPath();
  ~MakingPath();
  MakingPath(const MakingPath&) = delete;
  MakingPath& operator=(const MakingPath&) = delete;

 private:
  sigset_t before_;
};

// Called once, before any thread starts. Signals that would end the program (INT, TERM, HUP, QUIT, XCPU, USR1, USR2) remove
// the live paths first, then end it as they would have: the shell sees 130, 143, 129. What the caller ignores (nohup, a job in
// the background) stays ignored. A closed pipe and a file over its limit become errors of write().
void clean_up_on_signals();

}  // namespace cytodet::core
