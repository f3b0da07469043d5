// Sorted tables of keys and values in one file (LevelDB's table format), as the .index of a checkpoint is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::graph {

struct TableEntry {
  std::string key, value;
};

// Whether the bytes end as such a table does.
bool is_table_file(std::string_view bytes);

// All entries, in the order of their keys. Checksums, order and every length are checked; an Error of `where` names the byte of
// the block that is damaged.
std::vector<TableEntry> read_table_file(std::string_view bytes, const std::string& where);

}  // namespace cytodet::graph
