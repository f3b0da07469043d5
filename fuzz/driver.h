// A fuzzer is an ordinary program: it includes this and defines
//   void fuzz_one(std::string_view bytes);                  // may throw cytodet::Error and nothing else
//   std::vector<std::string> fuzz_seeds();                  // files and folders to start from
// usage: PROGRAM [--seconds N] [--seed S] [FILE...]   Replays the seeds (or the FILEs alone), then mutates them. Every input is
// written to a scratch file before it runs, so that after a crash it is there; the name is printed at the start.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/file.h"

void fuzz_one(std::string_view bytes);
std::vector<std::string> fuzz_seeds();

namespace fuzz {

// Bytes in a file of this process, for readers that take paths; removed at its end.
struct ScratchFile {
  ScratchFile(const std::string& name, std::string_view bytes)
      : path((std::filesystem::temp_directory_path() / (name + "-" + std::to_string(::getpid()))).string()) {
    if (std::FILE* f = std::fopen(path.c_str(), "wb")) {
      std::fwrite(bytes.data(), 1, bytes.size(), f);
      std::fclose(f);
    }
  }
  ~ScratchFile() { std::filesystem::remove(path); }
  ScratchFile(const ScratchFile&) = delete;
  const std::string path;
};

inline std::string mutate(std::string s, const std::vector<std::string>& seeds, std::mt19937_64& random) {
  auto below = [&](size_t n) { return n ? static_cast<size_t>(random() % n) : 0; };
  for (size_t i = 1 + below(6); i-- > 0;) {
    size_t at = below(s.size() + 1), length = 1 + below(below(2) ? 8 : 200);
    switch (below(8)) {
      case 0:
        if (at < s.size()) s[at] ^= static_cast<char>(1 << below(8));
        break;
      case 1:
        if (at < s.size()) s[at] = static_cast<char>(random());
        break;
      case 2:
        s.erase(at, length);
        break;
      case 3:
        s.insert(at, std::string(length, static_cast<char>(random())));
        break;
      case 4:
        s.resize(at);
        break;
      case 5: {  // a piece of another seed
        const std::string& other = seeds[below(seeds.size())];
        size_t from = below(other.size() + 1);
        s.insert(at, other.substr(from, length));
        break;
      }
      case 6: {  // lengths and counts at their ends
        static const char* const kEnds[] = {
            "\xff\xff\xff\xff", "\x7f\xff\xff\xff", "\x80\x80\x80\x80\x10", "99999999999", "-1", "0", "1e999", "\0\0\0\0"};
        const char* end = kEnds[below(8)];
        size_t n = std::max<size_t>(1, std::strlen(end));
        s.replace(at, std::min(n, s.size() - at), end, n);
        break;
      }
      default:
        s.insert(at, s.substr(below(s.size() + 1), length));
        break;
    }
    if (s.size() > size_t{4} << 20) s.resize(size_t{4} << 20);
  }
  return s;
}

inline int run(int argc, char** argv) {
  double seconds = 5;
  uint64_t seed = 1;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    if (a == "--seconds" && i + 1 < argc)
      seconds = std::atof(argv[++i]);
    else if (a == "--seed" && i + 1 < argc)
      seed = std::strtoull(argv[++i], nullptr, 10);
    else
      files.push_back(a);
  }
  bool replay = !files.empty();
  std::vector<std::string> seeds;
  for (const std::string& f : replay ? files : fuzz_seeds()) {
    if (!std::filesystem::is_directory(f)) {
      seeds.push_back(cytodet::read_file(f));
      continue;
    }
    for (const auto& e : std::filesystem::recursive_directory_iterator(f))
      if (e.is_regular_file() && e.file_size() < size_t{1} << 20) seeds.push_back(cytodet::read_file(e.path()));
  }
  if (seeds.empty()) seeds.emplace_back("");
  const std::filesystem::path last =
      std::filesystem::temp_directory_path() /
      ("fuzz-" + std::filesystem::path(argv[0]).filename().string() + "-" + std::to_string(::getpid()));
  std::printf("%zu seeds; the running input is kept in %s\n", seeds.size(), last.c_str());
  std::fflush(stdout);
  std::mt19937_64 random(seed);
  int64_t runs = 0, refused = 0;
  auto one = [&](const std::string& bytes) {
    if (std::FILE* f = std::fopen(last.c_str(), "wb")) {
      std::fwrite(bytes.data(), 1, bytes.size(), f);
      std::fclose(f);
    }
    ++runs;
    try {
      fuzz_one(bytes);
    } catch (const cytodet::Error&) {
      ++refused;
    }
  };
  for (const std::string& s : seeds) one(s);
  auto start = std::chrono::steady_clock::now();
  while (!replay && std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds)
    one(mutate(seeds[random() % seeds.size()], seeds, random));
  std::filesystem::remove(last);
  std::printf("%lld inputs, %lld refused, no crash\n", static_cast<long long>(runs), static_cast<long long>(refused));
  return 0;
}

}  // namespace fuzz

int main(int argc, char** argv) { return fuzz::run(argc, argv); }
