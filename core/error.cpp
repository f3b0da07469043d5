#include "core/error.h"

namespace cytodet::core {
namespace {

std::string one_line(const std::string& where, const std::string& what, const std::string& fix) {
  std::string line = where;
  if (!what.empty()) line += (line.empty() ? "" : ": ") + what;
  if (!fix.empty()) line += (line.empty() ? "" : "; ") + fix;
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return line;
}

}  // namespace

Error::Error(std::string where, std::string what, std::string fix, Exit code)
    : std::runtime_error(one_line(where, what, fix)),
      where_(std::move(where)),
      what_(std::move(what)),
      fix_(std::move(fix)),
      code_(code) {}

Error Error::caused_by(Cause cause) const {
  Error same = *this;
  same.cause_ = cause;
  return same;
}

Error Error::within(const std::string& outer) const {
  return Error(where_.empty() ? outer : outer + ": " + where_, what_, fix_, code_).caused_by(cause_);
}

}  // namespace cytodet::core
