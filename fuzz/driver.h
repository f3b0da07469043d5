// A fuzzer includes this and defines
//   void fuzz_one(std::string_view bytes);                  // may throw cytodet::Error and nothing else
//   std::vector<std::string> fuzz_seeds();                  // files and folders to start from
// usage: PROGRAM [--seconds N] [--seed S] [FILE...]   Replays the seeds (or the FILEs alone), then mutates them.
// With CYTODET_LIBFUZZER (clang and sanitizers) libFuzzer has main and mutates by what an input reaches; its own options work too
// (-help=1), and what it finds worth keeping stays in the folder that CYTODET_CORPUS names. Otherwise the program is an ordinary
// one: mutations are blind, and every input is written to a scratch file before it runs, so that after a crash it is there; the
// name is printed at the start.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
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

struct Arguments {
  std::string seconds = "5", seed = "1";
  std::vector<std::string> files, others;  // others: libFuzzer's -name=value
};

inline Arguments parse(int argc, char** argv) {
  Arguments a;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--seconds" && i + 1 < argc)
      a.seconds = argv[++i];
    else if (word == "--seed" && i + 1 < argc)
      a.seed = argv[++i];
    else
      (word.starts_with("-") ? a.others : a.files).push_back(word);
  }
  return a;
}

// The files under 1 MiB of files and folders.
inline std::vector<std::filesystem::path> files_of(const std::vector<std::string>& paths) {
  std::vector<std::filesystem::path> files;
  for (const std::string& p : paths) {
    if (!std::filesystem::is_directory(p)) {
      files.emplace_back(p);
      continue;
    }
    for (const auto& e : std::filesystem::recursive_directory_iterator(p))
      if (e.is_regular_file() && e.file_size() < size_t{1} << 20) files.push_back(e.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

#ifndef CYTODET_LIBFUZZER

inline int run(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  const double seconds = std::atof(arguments.seconds.c_str());
  const bool replay = !arguments.files.empty();
  std::vector<std::string> seeds;
  for (const auto& f : files_of(replay ? arguments.files : fuzz_seeds())) seeds.push_back(cytodet::core::read_file(f));
  if (seeds.empty()) seeds.emplace_back("");
  const std::filesystem::path last =
      std::filesystem::temp_directory_path() /
      ("fuzz-" + std::filesystem::path(argv[0]).filename().string() + "-" + std::to_string(::getpid()));
  std::printf("%zu seeds; the running input is kept in %s\n", seeds.size(), last.c_str());
  std::fflush(stdout);
  std::mt19937_64 random(std::strtoull(arguments.seed.c_str(), nullptr, 10));
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

#else

// libFuzzer's arguments for ours. Seeds are copied into the corpus, as libFuzzer takes either files or folders.
inline std::vector<std::string> libfuzzer_arguments(int argc, char** argv) {
  namespace fs = std::filesystem;
  const Arguments a = parse(argc, argv);
  std::vector<std::string> out = {argv[0], "-seed=" + a.seed};
  out.push_back(std::atof(a.seconds.c_str()) > 0 ? "-max_total_time=" + a.seconds : "-runs=0");
  out.insert(out.end(), a.others.begin(), a.others.end());
  if (!a.files.empty()) {
    out.insert(out.end(), a.files.begin(), a.files.end());
    return out;
  }
  const char* kept = std::getenv("CYTODET_CORPUS");
  const std::string name = fs::path(argv[0]).filename().string();
  static struct Scratch {
    fs::path path;
    ~Scratch() {
      if (!path.empty()) fs::remove_all(path);
    }
  } scratch;
  if (!kept) scratch.path = fs::temp_directory_path() / ("corpus-" + name + "-" + std::to_string(::getpid()));
  const fs::path corpus = kept ? fs::path(kept) / name : scratch.path;
  fs::create_directories(corpus);
  size_t n = 0;
  for (const fs::path& f : files_of(fuzz_seeds()))
    fs::copy_file(f, corpus / ("seed-" + std::to_string(n++)), fs::copy_options::overwrite_existing);
  out.push_back(corpus.string());
  return out;
}

#endif

}  // namespace fuzz

#ifdef CYTODET_LIBFUZZER
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  static std::vector<std::string> words = fuzz::libfuzzer_arguments(*argc, *argv);
  static std::vector<char*> pointers;
  for (std::string& w : words) pointers.push_back(w.data());
  pointers.push_back(nullptr);
  *argc = static_cast<int>(words.size());
  *argv = pointers.data();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    fuzz_one({reinterpret_cast<const char*>(data), size});
  } catch (const cytodet::core::Error&) {  // refused; kept all the same, as what lies behind the refusal is near
  }
  return 0;
}
#else
int main(int argc, char** argv) { return fuzz::run(argc, argv); }
#endif
