#include "core/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/error.h"
#include "core/timing.h"

namespace cytodet::core {
namespace {

constexpr size_t kMaxLine = size_t{1} << 20;  // bytes

class Splitter {
 public:
  Splitter(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  std::vector<std::string> words() {
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == ' ' || c == '\t' || c == '\n')
        finish();
      else if (c == '\'' || c == '"')
        quoted(c);
      else if (c == '\\' && at_ < text_.size())
        add(text_[at_++]);
      else
        add(c);
    }
    finish();
    if (words_.empty()) throw UsageError(where_, "names no program");
    return words_;
  }

 private:
  void add(char c) {
    word_ += c;
    open_ = true;
  }
  void finish() {
    if (open_) words_.push_back(word_);
    word_.clear();
    open_ = false;
  }
  void quoted(char quote) {
    open_ = true;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == quote) {
        ++at_;
        return;
      }
      const bool escape = quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size();
      if (escape && std::strchr("\"\\$`\n", text_[at_ + 1])) ++at_;
      word_ += text_[at_];
    }
    throw UsageError(where_, std::string("has a quote ") + quote + " that is not closed");
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
  bool open_ = false;  // a word has begun, which may be empty
  std::string word_;
  std::vector<std::string> words_;
};

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw Error("", std::string("cannot make a pipe: ") + std::strerror(errno));
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    close_read();
    close_write();
  }
  Pipe(const Pipe&) = delete;
  void close_read() { close(read); }
  void close_write() { close(write); }

 private:
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
};

// In the child: becomes the program, or writes errno into `failure`.
[[noreturn]] void become(const std::vector<char*>& argv, int nothing, int output, int failure) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (::dup2(nothing, 0) >= 0 && ::dup2(output, 1) >= 0 && ::dup2(output, 2) >= 0) ::execvp(argv[0], argv.data());
  const int problem = errno;
  [[maybe_unused]] const ssize_t sent = ::write(failure, &problem, sizeof problem);
  ::_exit(127);
}

pid_t start(const std::vector<std::string>& words, Pipe& output) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  Pipe failure;
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t child = ::fork();
  if (child == 0) become(argv, nothing, output.write, failure.write);
  if (nothing >= 0) ::close(nothing);
  if (child < 0) throw Error(words[0], std::string("cannot be started: ") + std::strerror(errno));
  ::setpgid(child, child);
  failure.close_write();
  output.close_write();
  int problem = 0;
  if (::read(failure.read, &problem, sizeof problem) != static_cast<ssize_t>(sizeof problem)) return child;
  ::waitpid(child, nullptr, 0);
  throw Error(words[0], std::string("cannot be started: ") + std::strerror(problem), "check the command");
}

// Bytes that come in pieces -> lines.
class Lines {
 public:
  explicit Lines(const std::function<void(std::string_view)>& line) : line_(line) {}
  void add(std::string_view bytes) {
    for (size_t end; (end = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(end + 1)) {
      keep(bytes.substr(0, end));
      finish();
    }
    keep(bytes);
  }
  void finish() {
    if (!begun_.empty() && begun_.back() == '\r') begun_.pop_back();
    line_(begun_);
    begun_.clear();
  }
  bool open() const { return !begun_.empty(); }

 private:
  void keep(std::string_view bytes) { begun_ += bytes.substr(0, kMaxLine - begun_.size()); }
  const std::function<void(std::string_view)>& line_;
  std::string begun_;
};

// The whole group, unless it has ended before.
class Group {
 public:
  explicit Group(pid_t leader) : leader_(leader) {}
  ~Group() {
    if (leader_ > 0) end();
  }
  Group(const Group&) = delete;
  void end() {
    ::kill(-leader_, SIGKILL);
    wait();
  }
  int wait() {
    int status = 0;
    while (::waitpid(leader_, &status, 0) < 0 && errno == EINTR) {
    }
    leader_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  // Whether the leader has ended; it is not yet waited for.
  bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(leader_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == leader_;
  }

 private:
  pid_t leader_;
};

}  // namespace

std::vector<std::string> split_command(std::string_view line, const std::string& where) { return Splitter(line, where).words(); }

ProcessEnd run_process(const std::vector<std::string>& words, double timeout_s,
                       const std::function<void(std::string_view)>& line) {
  constexpr int kLook = 200;  // ms between looks at the clock and at a leader whose children still hold the pipe
  Pipe output;
  Group group(start(words, output));
  Lines lines(line);
  Stopwatch watch;
  std::array<char, 65536> buffer;
  while (true) {
    pollfd ready{output.read, POLLIN, 0};
    const int events = ::poll(&ready, 1, kLook);
    if (timeout_s > 0 && watch.ms() > timeout_s * 1000) {
      group.end();
      return {128 + SIGKILL, true};
    }
    if (events <= 0) {
      if (group.ended()) break;
      continue;
    }
    const ssize_t n = ::read(output.read, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    lines.add({buffer.data(), static_cast<size_t>(n)});
  }
  if (lines.open()) lines.finish();
  // It closed its output and may still be at work.
  while (timeout_s > 0 && !group.ended()) {
    if (watch.ms() > timeout_s * 1000) {
      group.end();
      return {128 + SIGKILL, true};
    }
    ::usleep(1000 * 10);
  }
  return {group.wait(), false};
}

}  // namespace cytodet::core
