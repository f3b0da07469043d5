// The one way to fail: throw Error with where, what, and what to do. main catches once.
#pragma once

#include <stdexcept>
#include <string>

#include "core/namespaces.h"

namespace cytodet::core {

// Exit codes of every command.
enum class Exit : int { ok = 0, failed = 1, usage = 2, partial = 3 };

// What a caller may act on, beside the text: with a full disk a batch stops, as every further slide would fail too.
enum class Cause { other, disk_full };

// what() is one line: "<where>: <what>; <fix>". Context is added once, outermost first, by the
// code that knows it (file, then node / tile / image). Empty parts are left out.
class Error : public std::runtime_error {
 public:
  Error(std::string where, std::string what, std::string fix = {}, Exit code = Exit::failed);

  // A copy of this error that has a cause: throw Error(...).caused_by(Cause::disk_full).
  Error caused_by(Cause cause) const;
  // A copy of this error with `outer` put before where: Error("node x", ...).within("g.pb") -> "g.pb: node x: ...".
  Error within(const std::string& outer) const;

  const std::string& where() const { return where_; }
  const std::string& problem() const { return what_; }
  const std::string& fix() const { return fix_; }
  Exit code() const { return code_; }
  Cause cause() const { return cause_; }

 private:
  std::string where_, what_, fix_;
  Exit code_;
  Cause cause_ = Cause::other;
};

// A wrong command line or configuration: exit code 2.
class UsageError : public Error {
 public:
  UsageError(std::string where, std::string what, std::string fix = {})
      : Error(std::move(where), std::move(what), std::move(fix), Exit::usage) {}
};

}  // namespace cytodet::core
