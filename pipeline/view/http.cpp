#include "pipeline/view/http.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace cytodet::pipeline {
namespace {

constexpr unsigned kConnections = 64, kSilentSeconds = 30;
constexpr size_t kMemory = size_t{32} << 10;

struct Address {
  sockaddr_storage storage{};
  bool v6 = false;
};

Address parse_address(const std::string& text, int port) {
  Address a;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&a.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&a.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
  } else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    a.v6 = true;
  } else {
    throw UsageError(text, "is not an IP address", "give one such as 127.0.0.1 or ::1");
  }
  return a;
}

// Takes as long whatever the first difference.
bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

void free_body(void* cls) { delete static_cast<std::shared_ptr<const std::string>*>(cls); }

}  // namespace

HttpReply HttpReply::text(int status, std::string message) {
  return {status, "text/plain; charset=utf-8", std::make_shared<const std::string>(std::move(message) + "\n"), false};
}

struct HttpServer::Daemon {
  std::string token;
  std::function<HttpReply(std::string_view)> answer;
  MHD_Daemon* mhd = nullptr;

  ~Daemon() {
    if (mhd) MHD_stop_daemon(mhd);
  }

  HttpReply reply(MHD_Connection* connection, const char* url, const char* method) const {
    const auto header = [&](const char* name) { return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name); };
    const std::string_view path = url;
    if (std::strcmp(method, MHD_HTTP_METHOD_GET) != 0) return HttpReply::text(405, "only GET is answered");
    const char* length = header(MHD_HTTP_HEADER_CONTENT_LENGTH);
    if ((length && std::strcmp(length, "0") != 0) || header(MHD_HTTP_HEADER_TRANSFER_ENCODING))
      return HttpReply::text(413, "a request has no body here");
    const size_t end = path.find('/', 1);
    if (path.empty() || path[0] != '/' || end == std::string_view::npos || !same(path.substr(1, end - 1), token))
      return HttpReply::text(404, "nothing here; use the address that cytodet view printed");
    try {
      return answer(path.substr(end + 1));
    } catch (const Error& e) {
      return HttpReply::text(500, e.what());
    } catch (const std::bad_alloc&) {
      return HttpReply::text(500, "out of memory");
    }
  }

  static MHD_Result handle(void* cls, MHD_Connection* connection, const char* url, const char* method, const char*, const char*,
                           size_t*, void**) {
    HttpReply r = static_cast<Daemon*>(cls)->reply(connection, url, method);
    auto* keep = new std::shared_ptr<const std::string>(r.body);
    MHD_Response* response = MHD_create_response_from_buffer_with_free_callback_cls(
        (*keep)->size(), const_cast<char*>((*keep)->data()), free_body, keep);
    if (!response) {
      free_body(keep);
      return MHD_NO;
    }
    const std::array<std::array<const char*, 2>, 7> headers = {{
        {MHD_HTTP_HEADER_CONTENT_TYPE, r.type.c_str()},
        {MHD_HTTP_HEADER_CACHE_CONTROL, r.lasting ? "private, max-age=3600" : "no-store"},
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
         "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {r.status == 405 ? MHD_HTTP_HEADER_ALLOW : "X-Frame-Options", r.status == 405 ? "GET" : "DENY"},
    }};
    for (const auto& [name, value] : headers) MHD_add_response_header(response, name, value);
    const MHD_Result queued = MHD_queue_response(connection, static_cast<unsigned>(r.status), response);
    MHD_destroy_response(response);
    return queued;
  }
};

HttpServer::HttpServer(const HttpOptions& options, std::function<HttpReply(std::string_view)> answer)
    : daemon_(std::make_unique<Daemon>()), options_(options) {
  if (options.token.empty()) throw Error("view", "has no token");
  if (options.port < 0 || options.port > 65535) throw UsageError("--port", "must be 0 to 65535");
  const Address address = parse_address(options.address, options.port);
  daemon_->token = options.token;
  daemon_->answer = std::move(answer);
  const unsigned flags =
      MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | (address.v6 ? unsigned{MHD_USE_IPv6} : 0U);
  daemon_->mhd = MHD_start_daemon(flags, static_cast<uint16_t>(options.port), nullptr, nullptr, &Daemon::handle, daemon_.get(),
                                  MHD_OPTION_SOCK_ADDR, reinterpret_cast<const sockaddr*>(&address.storage),
                                  MHD_OPTION_CONNECTION_LIMIT, kConnections, MHD_OPTION_CONNECTION_TIMEOUT, kSilentSeconds,
                                  MHD_OPTION_CONNECTION_MEMORY_LIMIT, kMemory, MHD_OPTION_END);
  if (!daemon_->mhd)
    throw Error(options.address + ":" + std::to_string(options.port), std::string("cannot listen: ") + std::strerror(errno),
                "choose another --port or --listen");
  const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon_->mhd, MHD_DAEMON_INFO_BIND_PORT);
  port_ = info ? info->port : options.port;
}

HttpServer::~HttpServer() = default;

std::string HttpServer::url() const {
  const bool v6 = options_.address.find(':') != std::string::npos;
  return "http://" + (v6 ? "[" + options_.address + "]" : options_.address) + ":" + std::to_string(port_) + "/" + options_.token +
         "/";
}

std::string random_token() {
  std::array<unsigned char, 16> bytes{};
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (n < 0 && errno != EINTR) throw Error("random numbers", std::string("the system gives none: ") + std::strerror(errno));
    if (n > 0) done += static_cast<size_t>(n);
  }
  static constexpr char kHex[] = "0123456789abcdef";
  std::string token;
  for (unsigned char b : bytes) token.append({kHex[b >> 4], kHex[b & 15]});
  return token;
}

bool is_loopback(const std::string& address) {
  const Address a = parse_address(address, 0);
  if (a.v6) return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&a.storage)->sin6_addr);
  return ntohl(reinterpret_cast<const sockaddr_in*>(&a.storage)->sin_addr.s_addr) >> 24 == 127;
}

}  // namespace cytodet::pipeline
