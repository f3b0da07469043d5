// What becomes of output files: links, devices, pipes, permissions, full disks, names that are too long, left-overs.
#include "core/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>

#include "core/error.h"
#include "tests/error_of.h"

namespace cytodet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class OutputFile : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    folder = fs::temp_directory_path() / ("cytodet_file_" + name + "_" + std::to_string(::getpid()));
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& e : fs::directory_iterator(folder)) all.push_back(e.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }
  struct stat status(const fs::path& path) const {
    struct stat info {};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info;
  }
  fs::path folder;
};

TEST_F(OutputFile, AFullDiskIsReported) {
  const Error full = Error("a.json", "cannot write", "free some space").caused_by(Cause::disk_full);
  EXPECT_EQ(full.cause(), Cause::disk_full);
  EXPECT_EQ(full.within("out").cause(), Cause::disk_full);
  EXPECT_EQ(Error("a.json", "cannot write").cause(), Cause::other);
}

TEST_F(OutputFile, ATooLongNameSaysHowLongItMayBe) {
  EXPECT_THAT(error_of([&] { write_file(folder / std::string(300, 'x'), ""); }), HasSubstr("255 bytes"));
  EXPECT_THAT(error_of([&] { make_folder(folder / std::string(300, 'x')); }), HasSubstr("255 bytes"));
}

TEST_F(OutputFile, TakesANameOfTheFullLength) {
  const std::string name = std::string(250, 'x') + ".json";
  write_file(folder / name, "whole");
  EXPECT_EQ(read_file(folder / name), "whole");
  EXPECT_THAT(names(), ElementsAre(name));
}

TEST_F(OutputFile, ALinkStaysAndItsTargetIsReplaced) {
  fs::create_directory(folder / "elsewhere");
  write_file(folder / "elsewhere" / "real.json", "precious");
  fs::create_symlink("elsewhere/real.json", folder / "link");
  fs::create_symlink("link", folder / "link_of_link");
  write_file(folder / "link_of_link", "new");
  EXPECT_EQ(read_file(folder / "elsewhere" / "real.json"), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_TRUE(fs::is_symlink(folder / "link_of_link"));
  EXPECT_THAT(names(), ElementsAre("elsewhere", "link", "link_of_link"));

  fs::create_symlink("elsewhere/made.json", folder / "dangling");
  write_file(folder / "dangling", "made");
  EXPECT_TRUE(fs::is_symlink(folder / "dangling"));
  EXPECT_EQ(read_file(folder / "elsewhere" / "made.json"), "made");

  fs::create_symlink("none/made.json", folder / "without_folder");
  EXPECT_THAT(error_of([&] { write_file(folder / "without_folder", ""); }), HasSubstr("No such file"));
  fs::create_symlink("a", folder / "b");
  fs::create_symlink("b", folder / "a");
  EXPECT_THAT(error_of([&] { write_file(folder / "a", ""); }), HasSubstr("circle"));
  fs::create_directory_symlink("elsewhere", folder / "to_folder");
  EXPECT_THAT(error_of([&] { write_file(folder / "to_folder", ""); }), HasSubstr("name a file"));
}

// A copy of the old state that shares the file by a hard link (snapshots of backup programs) keeps it.
TEST_F(OutputFile, AHardLinkKeepsWhatItHad) {
  write_file(folder / "a", "old");
  fs::create_hard_link(folder / "a", folder / "snapshot");
  write_file(folder / "a", "new");
  EXPECT_EQ(read_file(folder / "snapshot"), "old");
}

TEST_F(OutputFile, PermissionsOfTheFileThatWasThereAreKept) {
  write_file(folder / "a", "old");
  for (mode_t mode : {0600, 0664, 0755}) {
    ::chmod((folder / "a").c_str(), mode);
    write_file(folder / "a", "new");
    EXPECT_EQ(status(folder / "a").st_mode & 07777, mode);
  }
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown((folder / "a").c_str(), 12345, 23456), 0);
    write_file(folder / "a", "newer");
    EXPECT_EQ(status(folder / "a").st_uid, 12345u);
    EXPECT_EQ(status(folder / "a").st_gid, 23456u);
  }
}

// While it lives, the process is the user "nobody" where it was root, to whom permissions say nothing.
struct AsNobody {
  bool was_root = ::geteuid() == 0, done = !was_root || ::setresuid(65534, 65534, 0) == 0;
  ~AsNobody() {
    if (was_root && done && ::setresuid(0, 0, 0) != 0) std::abort();
  }
};

TEST_F(OutputFile, AReadOnlyFileIsRefused) {
  const bool given = ::geteuid() != 0 || ::chown(folder.c_str(), 65534, 65534) == 0;
  const AsNobody user;
  if (!given || !user.done) GTEST_SKIP() << "root writes everything, and there is no other user here";
  write_file(folder / "a", "old");
  ::chmod((folder / "a").c_str(), 0444);
  EXPECT_THAT(error_of([&] { write_file(folder / "a", "new"); }), HasSubstr("check the permissions"));
  EXPECT_EQ(read_file(folder / "a"), "old");
  ::chmod(folder.c_str(), 0555);
  EXPECT_THAT(error_of([&] { write_file(folder / "b", "new"); }), HasSubstr("check the permissions"));
  ::chmod(folder.c_str(), 0755);
}

TEST_F(OutputFile, ANamedPipeIsWrittenThrough) {
  const fs::path pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  auto reader = std::async(std::launch::async, [&] {
    const int fd = ::open(pipe.c_str(), O_RDONLY);
    std::string all, block(65536, '\0');
    for (ssize_t n; (n = ::read(fd, block.data(), block.size())) > 0;) all.append(block, 0, static_cast<size_t>(n));
    ::close(fd);
    return all;
  });
  const std::string text = "first" + std::string(3 << 20, 'x');  // more than a pipe holds
  { AtomicFile{pipe}; }                                          // as commands do before long work
  write_file(pipe, text);
  EXPECT_EQ(reader.get(), text);
  EXPECT_TRUE(S_ISFIFO(status(pipe).st_mode));
  EXPECT_THAT(names(), ElementsAre("pipe"));
}

TEST_F(OutputFile, DevicesAreWrittenThrough) {
  write_file("/dev/null", "gone");
  EXPECT_TRUE(S_ISCHR(status("/dev/null").st_mode));
  fs::create_symlink("/dev/null", folder / "null");
  write_file(folder / "null", "gone");
  EXPECT_TRUE(fs::is_symlink(folder / "null"));
  EXPECT_TRUE(S_ISCHR(status("/dev/null").st_mode));
}

TEST_F(OutputFile, AFullDeviceIsAFullDisk) {
  if (!fs::exists("/dev/full")) GTEST_SKIP();
  try {
    write_file("/dev/full", "x");
    FAIL() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_EQ(e.cause(), Cause::disk_full);
    EXPECT_THAT(e.what(), HasSubstr("/dev/full: cannot write: No space left on device; free some space"));
  }
}

TEST_F(OutputFile, AnOpenDescriptorIsWrittenThrough) {
  const int fd = ::open((folder / "a").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::write(fd, "head ", 5), 5);
  write_file("/dev/fd/" + std::to_string(fd), "tail");
  EXPECT_EQ(read_file(folder / "a"), "head tail");
  ::close(fd);
  EXPECT_THAT(error_of([&] { write_file("/dev/fd/" + std::to_string(fd), "tail"); }), HasSubstr("is not open for writing"));
}

TEST_F(OutputFile, ASocketIsRefused) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder / "s").c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_THAT(error_of([&] { write_file(folder / "s", ""); }), HasSubstr("is a socket"));
  EXPECT_TRUE(S_ISSOCK(status(folder / "s").st_mode));
  ::close(fd);
}

// A process that is gone, and its number.
int gone_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

TEST_F(OutputFile, LeftOversOfProcessesThatAreGoneAreRemovedAndNothingElse) {
  const std::string gone = std::to_string(gone_process());
  const std::vector<std::string> kept = {"a.part-" + gone + "-0",
                                         "cytodet-" + gone + "-0.part.json",
                                         "cytodet-" + gone + "-0.par",
                                         "cytodet-0" + gone + "-0.part",
                                         "cytodet-" + gone + "-00.part",
                                         "cytodet-" + gone + "--1.part",
                                         "cytodet-" + gone + ".part",
                                         "x.cytodet-" + gone + "-0.part",
                                         "cytodet-" + std::to_string(::getppid()) + "-0.part",
                                         "cytodet--1-0.part",
                                         "cytodet-99999999999999999999-0.part",
                                         "cytodet-.part",
                                         ".part",
                                         "my.part-1-1"};
  for (const std::string& name : kept) std::fclose(std::fopen((folder / name).c_str(), "w"));
  for (const char* number : {"-0.part", "-17.part"})
    std::fclose(std::fopen((folder / ("cytodet-" + gone + number)).c_str(), "w"));
  write_file(folder / "precious", "yes");
  fs::create_symlink("precious", folder / ("cytodet-" + gone + "-3.part"));
  fs::create_directory(folder / ("cytodet-" + gone + "-4.part"));
  AtomicFile mine(folder / "b");
  EXPECT_EQ(remove_partial_files(folder), 2);
  EXPECT_EQ(names().size(), kept.size() + 4);  // a link, a folder, precious, and what is being written
  EXPECT_EQ(read_file(folder / "precious"), "yes");
  mine.commit();
  EXPECT_TRUE(fs::exists(folder / "b"));
  EXPECT_EQ(remove_partial_files(folder / "none"), 0);
}

TEST_F(OutputFile, APartialFileThatIsLockedElsewhereStays) {
  const fs::path other = folder / ("cytodet-" + std::to_string(gone_process()) + "-0.part");
  const int fd = ::open(other.c_str(), O_WRONLY | O_CREAT, 0600);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  EXPECT_EQ(remove_partial_files(folder), 0);
  ::close(fd);
  EXPECT_EQ(remove_partial_files(folder), 1);
}

TEST_F(OutputFile, AFolderIsMadeWhereALinkLeads) {
  fs::create_symlink("far/away", folder / "link");
  fs::create_symlink("link", folder / "link_of_link");
  fs::create_symlink("circle", folder / "circle");
  make_folder(folder / "link_of_link");
  EXPECT_TRUE(fs::is_directory(folder / "far/away"));
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_THAT(error_of([&] { make_folder(folder / "circle"); }), HasSubstr("circle: cannot make the folder"));
}

TEST_F(OutputFile, NoLinkAtThePartialNameIsFollowed) {
  write_file(folder / "precious", "yes");
  int number = 0;  // the next partial file's
  {
    AtomicFile probe(folder / "a");
    for (const std::string& name : names())
      if (name.starts_with("cytodet-")) number = std::stoi(name.substr(name.rfind('-') + 1)) + 1;
  }
  const std::string next = "cytodet-" + std::to_string(::getpid()) + "-" + std::to_string(number) + ".part";
  fs::create_symlink("precious", folder / next);
  write_file(folder / "a", "new");
  EXPECT_EQ(read_file(folder / "precious"), "yes");
  EXPECT_EQ(read_file(folder / "a"), "new");
  EXPECT_TRUE(fs::is_symlink(folder / next));
}

// What a child does that a signal ends while it writes.
int ended_by(int signal, const std::function<void()>& child_work) {
  const pid_t child = ::fork();
  if (child == 0) {
    clean_up_on_signals();
    child_work();
    ::raise(signal);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_F(OutputFile, ASignalRemovesWhatIsPartialAndEndsTheProcessAsItWouldHave) {
  write_file(folder / "a", "old");
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    EXPECT_EQ(ended_by(signal,
                       [&] {
                         static AtomicFile one(folder / "a"), two(folder / "b");
                         one.write("half");
                       }),
              signal);
    EXPECT_THAT(names(), ElementsAre("a"));
    EXPECT_EQ(read_file(folder / "a"), "old");
  }
}

TEST_F(OutputFile, ASignalRemovesLiveFoldersInWhateverOrderTheyWereMade) {
  EXPECT_EQ(ended_by(SIGTERM,
                     [&] {
                       static LivePath outer(folder / "stage"), file(folder / "stage/boxes/a"), later(folder / "stage/b"),
                           inner(folder / "stage/boxes"), kept(folder / "results");
                       fs::create_directories(folder / "stage/boxes");
                       fs::create_directory(folder / "results");
                       write_file(folder / "results/done", "whole");
                       write_file(folder / "stage/boxes/a", "half");
                       write_file(folder / "stage/b", "half");
                     }),
            SIGTERM);
  EXPECT_THAT(names(), ElementsAre("results"));
  EXPECT_EQ(read_file(folder / "results/done"), "whole");
}

TEST_F(OutputFile, AnIgnoredSignalStaysIgnored) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGHUP, SIG_IGN);
    clean_up_on_signals();
    ::raise(SIGHUP);
    ::_exit(7);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

}  // namespace
}  // namespace cytodet
