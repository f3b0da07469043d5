// Enums that files and the command line name: a visible table of {value, name}, read in both directions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/join.h"

namespace cytodet::core {

template <class Enum>
struct EnumName {
  Enum value;
  const char* name;
};

// "" where the table has no such value.
template <class Enum, size_t N>
const char* name_in(const EnumName<Enum> (&table)[N], Enum value) {
  for (const EnumName<Enum>& entry : table)
    if (entry.value == value) return entry.name;
  return "";
}

// Null where the table has no such name.
template <class Enum, size_t N>
const Enum* value_in(const EnumName<Enum> (&table)[N], std::string_view name) {
  for (const EnumName<Enum>& entry : table)
    if (name == entry.name) return &entry.value;
  return nullptr;
}

// Throws UsageError at `where`: "there is no WHAT "NAME"", with the known ones.
template <class Enum, size_t N>
Enum value_named(const EnumName<Enum> (&table)[N], std::string_view name, const std::string& where, const std::string& what) {
  if (const Enum* value = value_in(table, name)) return *value;
  std::vector<std::string> known;
  for (const EnumName<Enum>& entry : table) known.push_back(entry.name);
  throw UsageError(where, "there is no " + what + " \"" + std::string(name) + "\"", "known: " + join(known, ", "));
}

// A field of settings that is written as the name of a value and read by `named`, which throws on an unknown name.
template <class Fields, class Enum, class Named>
void enum_field(Fields& f, const char* key, Enum& value, Named named) {
  std::string name = name_of(value);
  f(key, name);
  value = named(name);
}
// A field that is written as the name that `table` gives its value; an unknown name throws UsageError at `where`.
template <class Fields, class Enum, size_t N>
void enum_field(Fields& f, const char* key, Enum& value, const EnumName<Enum> (&table)[N], const std::string& where) {
  std::string name = name_in(table, value);
  f(key, name);
  value = value_named(table, name, where, key);
}

}  // namespace cytodet::core
