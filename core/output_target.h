// What an output path leads to: a file that is replaced whole, or a stream (device, named pipe, open descriptor) that is
// written through.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <optional>

#include "core/namespaces.h"

namespace cytodet::core {

constexpr int kMaxLinks = 40;  // links in a row that are followed, as the kernel does

struct OutputTarget {
  enum class Kind { file, device, pipe, descriptor };
  Kind kind = Kind::file;
  std::filesystem::path path;         // behind all symbolic links
  int descriptor = -1;                // of "-", /dev/stdout, /dev/stderr, /dev/fd/N
  std::optional<struct stat> before;  // of a file that is there
};

// Throws Error where nothing can be written: a folder, a socket, a disk, a circle of links, a file without write permission.
OutputTarget output_target(const std::filesystem::path& path);

// The descriptor that a name stands for: "-" and /dev/stdout are 1, /dev/fd/N is N.
std::optional<int> descriptor_named(const std::filesystem::path& path);

// The path that a symbolic link leads to; empty: the path is no link.
std::filesystem::path link_target(const std::filesystem::path& path);

// Opens for writing. A named pipe is waited for: 10 s until somebody reads it, then an Error. Standard output is lent to the
// first who opens it: what else the program prints goes to standard error from then on, so that the two do not mix.
int open_stream(const OutputTarget& target, const std::filesystem::path& named);
// What open_stream() gave; a named pipe stays open until it was written to, as closing would end the stream for its reader.
void close_stream(const OutputTarget& target, int fd, bool written);

}  // namespace cytodet::core
