// The viewer's HTTP server and what it answers: what is served, and what is refused.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "core/error.h"
#include "core/settings.h"
#include "pipeline/view/http.h"
#include "pipeline/view/pages.h"
#include "pipeline/view/view_server.h"
#include "tests/pipeline/program.h"
#include "tiling/slides/image_io.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kViewSlide = kSource + "/tests/data/slides/blood-mosaic.tif";

// Sends bytes and returns all that comes back until the server closes or is silent for two seconds.
std::string talk(int port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    ::close(fd);
    return "";
  }
  timeval wait{2, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  for (size_t sent = 0; sent < request.size();) {
    const ssize_t n = ::send(fd, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) break;
    sent += static_cast<size_t>(n);
  }
  std::string reply;
  char buffer[1 << 16];
  for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) reply.append(buffer, static_cast<size_t>(n));
  ::close(fd);
  return reply;
}

std::string get(int port, const std::string& path, const std::string& method = "GET", const std::string& more = "") {
  return talk(port, method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + more + "\r\n");
}

class Http : public ::testing::Test {
 protected:
  HttpServer server{{"127.0.0.1", 0, "secret"}, [](std::string_view path) -> HttpReply {
                      if (path == "fail") throw Error("here", "is wrong");
                      return {200, "text/plain", std::make_shared<const std::string>("path=" + std::string(path)), false};
                    }};
};

TEST_F(Http, OnlyTheTokenOpensIt) {
  EXPECT_THAT(get(server.port(), "/secret/a/b?c=d"), HasSubstr("path=a/b"));
  for (const char* path : {"/", "/secret", "/secreT/a", "/secre/a", "/secrets/a", "//secret/a", "/x/../secret/a", "/../secret/a",
                           "/%2e%2e/secret/", "*"})
    EXPECT_THAT(get(server.port(), path), Not(HasSubstr("path="))) << path;
  EXPECT_THAT(get(server.port(), "/secre/a"), StartsWith("HTTP/1.1 404"));
  EXPECT_THROW(HttpServer({"127.0.0.1", 0, ""}, {}), Error);
}

TEST_F(Http, OnlyGetWithoutABody) {
  for (const char* method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "NONSENSE"})
    EXPECT_THAT(get(server.port(), "/secret/a", method), Not(HasSubstr("path="))) << method;
  EXPECT_THAT(get(server.port(), "/secret/a", "POST"), HasSubstr("405"));
  EXPECT_THAT(get(server.port(), "/secret/a", "POST"), HasSubstr("Allow: GET"));
  EXPECT_THAT(get(server.port(), "/secret/a", "GET", "Content-Length: 100000000000\r\n"), HasSubstr("413"));
  EXPECT_THAT(get(server.port(), "/secret/a", "GET", "Transfer-Encoding: chunked\r\n"), Not(HasSubstr("path=")));
}

TEST_F(Http, LargeAndBrokenRequestsAreRefused) {
  EXPECT_THAT(get(server.port(), "/secret/" + std::string(100000, 'a')), Not(HasSubstr("path=")));
  EXPECT_THAT(get(server.port(), "/secret/a", "GET", "X: " + std::string(100000, 'a') + "\r\n"), Not(HasSubstr("path=")));
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "X" + std::to_string(i) + ": 1\r\n";
  EXPECT_THAT(get(server.port(), "/secret/a", "GET", many), Not(HasSubstr("path=")));
  EXPECT_THAT(talk(server.port(), std::string(1000, '\x93') + "\r\n\r\n"), Not(HasSubstr("path=")));
  EXPECT_THAT(talk(server.port(), std::string("GET /secret/\0a HTTP/1.1\r\n\r\n", 26)), Not(HasSubstr("path=\r")));
  EXPECT_THAT(get(server.port(), "/secret/a"), HasSubstr("path=a")) << "still alive";
}

TEST_F(Http, AnErrorIsAReply) {
  EXPECT_THAT(get(server.port(), "/secret/fail"), HasSubstr("500"));
  EXPECT_THAT(get(server.port(), "/secret/fail"), HasSubstr("here: is wrong"));
}

TEST_F(Http, RepliesForbidWhatThePageDoesNotNeed) {
  const std::string reply = get(server.port(), "/secret/a");
  for (const char* header : {"Content-Security-Policy: default-src 'none'", "X-Content-Type-Options: nosniff",
                             "Referrer-Policy: no-referrer", "Cross-Origin-Resource-Policy: same-origin"})
    EXPECT_THAT(reply, HasSubstr(header));
}

TEST(HttpServer, APortInUseIsAnError) {
  const auto answer = [](std::string_view) { return HttpReply::text(200, "a"); };
  HttpServer one({"127.0.0.1", 0, "t"}, answer);
  EXPECT_THROW(HttpServer({"127.0.0.1", one.port(), "t"}, answer), Error);
  EXPECT_THROW(HttpServer({"localhost", 0, "t"}, answer), Error);
  EXPECT_THROW(HttpServer({"127.0.0.1", 70000, "t"}, answer), Error);
}

TEST(HttpServer, TokensAreRandomAndLoopbackIsKnown) {
  const std::string a = random_token(), b = random_token();
  EXPECT_EQ(a.size(), 32u);
  EXPECT_EQ(a.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(a, b);
  EXPECT_TRUE(is_loopback("127.0.0.1"));
  EXPECT_TRUE(is_loopback("127.3.2.1"));
  EXPECT_TRUE(is_loopback("::1"));
  EXPECT_FALSE(is_loopback("0.0.0.0"));
  EXPECT_FALSE(is_loopback("::"));
  EXPECT_THROW(is_loopback("example"), Error);
}

class ViewServerTest : public ::testing::Test {
 protected:
  ViewServerTest() {
    classes.add(1, "R<B>C");
    slides = {{"one", kViewSlide, 4120, 3160, 0.25, 2, ImageState::done, ""},
              {"gone", "", 1000, 500, std::nullopt, 0, ImageState::done, ""}};
    server = std::make_unique<ViewServer>("</script>", slides, classes, [](size_t i) {
      return i == 0 ? Detections{{{1, 2, 3, 4}, 0, 0.5F}, {{5, 6, 7, 8.5}, 0, 0.25F}} : Detections{};
    });
  }
  HttpReply ask(const std::string& path) { return server->answer(path); }
  Classes classes;
  std::vector<ViewSlide> slides;
  std::unique_ptr<ViewServer> server;
};

TEST_F(ViewServerTest, ThePageLoadsNothingFromElsewhere) {
  ASSERT_EQ(pages().size(), 3u);
  for (const Page& p : pages()) {
    EXPECT_EQ(*ask(std::string(p.path)).body, p.text);
    EXPECT_GT(p.text.size(), 500u);
    for (const char* outside : {"http:", "https:", "//cdn", "innerHTML", "eval("})
      EXPECT_THAT(std::string(p.text), Not(HasSubstr(outside)));
  }
}

TEST_F(ViewServerTest, SlidesAreListedAsTheyAre) {
  Json j = Json::parse(*ask("slides.json").body);
  EXPECT_EQ(j["title"], "</script>");
  EXPECT_EQ(j["classes"][0]["name"], "R<B>C");
  EXPECT_EQ(j["slides"][0]["zooms"], 5) << "4120 pixels halved until they fit 512";
  EXPECT_EQ(j["slides"][0]["pixels"], true);
  EXPECT_EQ(j["slides"][1]["pixels"], false);
}

TEST_F(ViewServerTest, BoxesAreColumns) {
  const std::string b = *ask("0/boxes").body;
  ASSERT_EQ(b.size(), 8 + 2 * 22u);
  EXPECT_EQ(b.substr(0, 4), "CYB1");
  float y1 = 0;
  std::memcpy(&y1, b.data() + 8 + 4 * (3 * 2 + 1), 4);
  EXPECT_EQ(y1, 8.5F);
  EXPECT_EQ(ask("1/boxes").body->size(), 8u);
}

TEST_F(ViewServerTest, TruthSaysWhichBoxesAreRight) {
  EXPECT_EQ(ask("0/truth").status, 404) << "none was given";
  server->set_truth([](size_t) {
    return pack_truth({{{1, 2, 3, 4}, 0, 0.5F}, {{5, 6, 7, 8.5}, 0, 0.25F}, {{50, 50, 60, 60}, 1, 0.2F}},
                      {{{5, 6, 7, 8}, 0, false}, {{40, 40, 90, 90}, 1, true}}, 2);
  });
  const std::string b = *ask("0/truth").body;
  ASSERT_EQ(b.size(), 12 + 2 * 4 + 3u);
  EXPECT_EQ(b.substr(0, 4), "CYT1");
  uint32_t numbers[4];
  std::memcpy(numbers, b.data() + 4, sizeof numbers);
  EXPECT_EQ(numbers[0], 3u);
  EXPECT_EQ(numbers[1], 2u);
  EXPECT_EQ(numbers[2], 1u) << "truths of the first class";
  EXPECT_EQ(numbers[3], 0u) << "a crowd is no truth";
  EXPECT_EQ(b.substr(20), std::string("\0\1\2", 3)) << "false, right, in a crowd";
  EXPECT_EQ(Json::parse(*ask("slides.json").body)["truth"], true);
}

TEST_F(ViewServerTest, TilesCoverTheSlide) {
  for (int zoom = 0; zoom < 5; ++zoom) {
    const int64_t side = int64_t{512} << zoom, x = (4120 - 1) / side, y = (3160 - 1) / side;
    HttpReply r = ask("0/tile/" + std::to_string(zoom) + "/" + std::to_string(x) + "/" + std::to_string(y));
    ASSERT_EQ(r.status, 200);
    const Image image = decode_jpeg({reinterpret_cast<const uint8_t*>(r.body->data()), r.body->size()});
    const auto ceil = [&](int64_t v) { return static_cast<int>((v + (1 << zoom) - 1) >> zoom); };
    EXPECT_EQ(image.width, ceil(4120 - x * side));
    EXPECT_EQ(image.height, ceil(3160 - y * side));
    EXPECT_EQ(ask("0/tile/" + std::to_string(zoom) + "/" + std::to_string(x + 1) + "/0").status, 404);
  }
  EXPECT_EQ(ask("0/tile/2/1/1").body, ask("0/tile/2/1/1").body) << "kept";
}

TEST_F(ViewServerTest, PathsAreNumbersAndFixedWords) {
  for (const char* path : {"../etc/passwd",
                           "0/../../etc/passwd",
                           "/etc/passwd",
                           "2/boxes",
                           "-1/boxes",
                           "0/boxes/",
                           "0/tile/0/0",
                           "0/tile/5/0/0",
                           "0/tile/0/99999999999/0",
                           "0/tile/99/0/0",
                           "0/tile/0/0/0/0",
                           "0/tile/0/0x0/0",
                           "0/tile/0/ 0/0",
                           "0/tile/-0/0/0",
                           "1/tile/0/0/0",
                           "view.js/",
                           "slides.json/..",
                           "0",
                           "00000000000000000000/boxes",
                           "////////////////"})
    EXPECT_EQ(ask(path).status, 404) << path;
  EXPECT_EQ(ask(std::string("view.js\0", 8)).status, 404);
}

TEST(ByteCache, ForgetsTheLeastRecentlyUsed) {
  ByteCache cache(100);
  const auto bytes = [](size_t n) { return std::make_shared<const std::string>(n, 'x'); };
  cache.put("a", bytes(40));
  cache.put("b", bytes(40));
  EXPECT_TRUE(cache.get("a"));
  cache.put("c", bytes(40));
  EXPECT_FALSE(cache.get("b"));
  EXPECT_TRUE(cache.get("a"));
  EXPECT_TRUE(cache.get("c"));
  cache.put("large", bytes(1000));
  EXPECT_TRUE(cache.get("large")) << "the newest stays whatever its size";
}

class View : public ProgramTest {};

TEST_F(View, ServesUntilInterrupted) {
  const std::string out = path("url");
  const pid_t child = ::fork();
  if (child == 0) {
    if (!std::freopen(out.c_str(), "w", stdout) || !std::freopen("/dev/null", "w", stderr)) _exit(126);
    ::execl(kProgram.c_str(), kProgram.c_str(), "view", kViewSlide.c_str(), nullptr);
    _exit(127);
  }
  std::string url;
  for (int i = 0; i < 600 && url.find('\n') == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    url = std::filesystem::exists(out) ? read_file(out) : "";
  }
  ASSERT_THAT(url, StartsWith("http://127.0.0.1:"));
  const int port = std::atoi(url.c_str() + 17);
  const std::string token = url.substr(url.find('/', 17) + 1, 32);
  EXPECT_THAT(get(port, "/" + token + "/"), HasSubstr("<!doctype html>"));
  EXPECT_THAT(get(port, "/" + token + "/0/tile/3/0/0"), HasSubstr("image/jpeg"));
  EXPECT_THAT(get(port, "/" + std::string(32, '0') + "/"), HasSubstr("404"));
  ::kill(child, SIGINT);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(get(port, "/" + token + "/"), "") << "no one listens any more";
}

TEST_F(View, SaysWhatIsWrong) {
  EXPECT_EQ(run({"view", path("none.tif")}).code, 1);
  EXPECT_EQ(run({"view", folder.string()}).code, 1);
  EXPECT_EQ(run({"view", kViewSlide, "--port", "70000"}).code, 2);
  EXPECT_EQ(run({"view", kViewSlide, "--listen", "example"}).code, 2);
  Output o = run({"view", kViewSlide, "--seconds", "0.2"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, StartsWith("http://127.0.0.1:"));
}

}  // namespace
}  // namespace cytodet::test
