// What stands under the name of a file in its place: pages of servers, pointers of version control, files of another kind.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

struct StrayText {
  const char* name;    // "a web page (HTML)"
  const char* advice;  // how to get the file itself
};

// A web page, or a pointer of Git LFS or git-annex, by the first bytes in any encoding; nothing: none of them.
std::optional<StrayText> stray_text(std::string_view head);

// The start of a text, at most 1024 bytes of it, in lower-case ASCII: without byte-order mark, leading blanks and other letters;
// UTF-16 by its low bytes.
std::string ascii_head(std::string_view text);

// Throws Error of `where` when bytes that should have been JSON are known to be something else.
void refuse_other_than_json(std::string_view bytes, const std::string& where);

}  // namespace cytodet::core
