#include "core/input_files.h"

#include <sys/stat.h>

#include "core/output_target.h"

namespace cytodet::core {

void InputFiles::add(const std::filesystem::path& path, const std::string& what) {
  struct stat info {};
  if (path.empty() || descriptor_named(path) || ::stat(path.c_str(), &info) != 0 || S_ISCHR(info.st_mode)) return;
  files_.try_emplace({info.st_dev, info.st_ino}, File{path, what});
}

void InputFiles::add_all(const std::filesystem::path& path, const std::string& what) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return add(path, what);
  for (const auto& e : std::filesystem::directory_iterator(path, ignored)) add(e.path(), what);
}

const InputFiles::File* InputFiles::find(const std::filesystem::path& path) const {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? find(info.st_dev, info.st_ino) : nullptr;
}

const InputFiles::File* InputFiles::find(dev_t device, ino_t inode) const {
  const auto found = files_.find({device, inode});
  return found == files_.end() ? nullptr : &found->second;
}

std::string named_file(const std::string& what, const std::filesystem::path& path, const std::filesystem::path& as) {
  return path == as ? what : what + ", " + path.string();
}

std::string written_over(const std::string& what, const InputFiles::File& input, const std::filesystem::path& output) {
  return what + " would be written over " + named_file(input.what, input.path, output);
}

}  // namespace cytodet::core
