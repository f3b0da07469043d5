#include "pipeline/cli/boolean_flag.h"

#include <CLI/CLI.hpp>

#include "core/ascii.h"
#include "core/error.h"

namespace cytodet::pipeline {
namespace {

bool boolean_of(const std::string& where, const std::string& text) {
  const std::string word = lower_ascii(text);
  if (word.empty() || word == "{}" || word == "true" || word == "1" || word == "yes") return true;
  if (word == "false" || word == "0" || word == "no") return false;
  throw UsageError(where, "is \"" + text + "\"", "true or false");
}

template <class Value>
void add(CLI::App& app, const std::string& flag, Value& value, const std::string& help) {
  const std::string where = "cytodet " + app.get_name() + " " + flag.substr(0, flag.find(','));
  app.add_option_function<std::string>(
         flag, [where, &value](const std::string& text) { value = boolean_of(where, text); }, help)
      ->expected(0, 1)
      ->type_name("BOOL");
}

}  // namespace

void add_boolean(CLI::App& app, const std::string& flag, bool& value, const std::string& help) { add(app, flag, value, help); }
void add_boolean(CLI::App& app, const std::string& flag, std::optional<bool>& value, const std::string& help) {
  add(app, flag, value, help);
}

}  // namespace cytodet::pipeline
