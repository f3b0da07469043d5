// Another program, run without a shell in between.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

// The words of a command line as a POSIX shell splits them: blanks between; '...' and "..." hold blanks, a backslash the
// character behind it (in "..." only before " \ $ ` and a line end). Nothing is expanded. Throws UsageError of `where` for a
// quote that is not closed and for a line without words.
std::vector<std::string> split_command(std::string_view line, const std::string& where);

struct ProcessEnd {
  int code = 0;            // its exit code; 128 + the signal that ended it
  bool timed_out = false;  // it was ended for taking too long
};

// Runs words[0], found in PATH, in a process group of its own, with nothing on its standard input. Each line that it writes to
// standard output or standard error, in their order, goes to `line` without its end; of lines over 1 MiB the beginning. After
// `timeout_s` seconds (0: never) the whole group is ended. Throws Error where the program cannot be started.
ProcessEnd run_process(const std::vector<std::string>& words, double timeout_s,
                       const std::function<void(std::string_view)>& line);

}  // namespace cytodet::core
