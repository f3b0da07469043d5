// A small HTTP server for one person at this machine: GET only, below a secret path, small requests, few connections.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace cytodet::pipeline {

struct HttpReply {
  int status = 200;
  std::string type;  // MIME
  std::shared_ptr<const std::string> body;
  bool lasting = false;  // the browser may keep it

  static HttpReply text(int status, std::string message);
};

struct HttpOptions {
  std::string address = "127.0.0.1";  // IPv4 or IPv6 of an interface
  int port = 0;                       // 0: any free one
  std::string token;                  // first segment of every path; empty is refused
};

class HttpServer {
 public:
  // `answer` gets the path below "/<token>/", percent-decoded, without the query; it is called from several threads at once. An
  // Error that it throws becomes a reply 500 with its text. Everything else is refused before: other methods than GET (405),
  // other paths (404), a body (413), over 32 KiB of headers (431). At most 64 connections, closed after 30 s of silence. Throws
  // Error when it cannot listen.
  HttpServer(const HttpOptions& options, std::function<HttpReply(std::string_view path)> answer);
  ~HttpServer();  // stops; waits for running answers
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const { return port_; }
  std::string url() const;  // http://127.0.0.1:PORT/TOKEN/

 private:
  struct Daemon;
  std::unique_ptr<Daemon> daemon_;
  HttpOptions options_;
  int port_ = 0;
};

// 128 random bits from the system, as 32 hexadecimal digits.
std::string random_token();
// Loopback addresses, for which no one else can connect.
bool is_loopback(const std::string& address);

}  // namespace cytodet::pipeline
