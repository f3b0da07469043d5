// The files that a slide consists of, and what decides whether it is the slide of an earlier run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace cytodet::pipeline {

// Beside the slide's own file: the folder of a MIRAX or Olympus slide, what a Hamamatsu .vms or .vmu names. Sorted; folders in
// the folder are looked into. Empty for slides of one file and where they are missing.
std::vector<std::filesystem::path> companions_of(const std::filesystem::path& slide);

struct SlideIdentity {
  int64_t bytes = 0, time_ns = 0;  // size and time of change of the slide's own file; 0: not known
  std::string hash;                // of parts of it and of its companions; empty: not asked for, or it cannot be read
};

SlideIdentity slide_stamp(const std::filesystem::path& slide);     // without the hash
SlideIdentity slide_identity(const std::filesystem::path& slide);  // with it: milliseconds, whatever the slide's size

}  // namespace cytodet::pipeline
