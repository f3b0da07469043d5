// How the C++ interface fails: it throws Error.
#pragma once

#include <stdexcept>
#include <string>

#include "cytodet/c.h"

namespace cytodet {

enum class ErrorKind {
  failed = CYTODET_FAILED,        // a file, graph or slide cannot be used as it is
  usage = CYTODET_USAGE,          // the caller asked for something that cannot be
  stopped = CYTODET_STOPPED,      // a callback asked to stop, and there is nothing to return
  no_memory = CYTODET_NO_MEMORY,  // memory ran out
  internal = CYTODET_INTERNAL     // a mistake of the library
};

// what() is one line of UTF-8, "<where>: <problem>; <advice>", without the parts that are empty.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::string where, std::string problem, std::string advice)
      : std::runtime_error(message),
        kind_(kind),
        where_(std::move(where)),
        problem_(std::move(problem)),
        advice_(std::move(advice)) {}

  ErrorKind kind() const noexcept { return kind_; }
  const std::string& where() const noexcept { return where_; }      // the file, parameter or setting, then the place in it
  const std::string& problem() const noexcept { return problem_; }  // what is wrong
  const std::string& advice() const noexcept { return advice_; }    // what to do

 private:
  ErrorKind kind_;
  std::string where_, problem_, advice_;
};

}  // namespace cytodet
