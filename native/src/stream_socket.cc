#include "stream_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "arguments.h"
#include "errors.h"
#include "event_loop.h"
#include "file_descriptor.h"
#include "udp_socket.h"

namespace strowger {
namespace {

// STREAM_EVENT in src/runtime/udp-socket.ts.
constexpr int32_t READABLE = 1;
constexpr int32_t WRITABLE = 2;
constexpr int32_t BROKEN = 4;
constexpr int32_t EDGE = 8;
constexpr int32_t LOOP = -1;

constexpr int32_t MAX_KEEP_ALIVE_SEC = 32'767;
// As libuv has them.
constexpr int KEEP_ALIVE_INTERVAL_SEC = 1;
constexpr int KEEP_ALIVE_PROBES = 10;

bool set(int fd, int level, int option, int value) { return setsockopt(fd, level, option, &value, sizeof value) == 0; }

// What each connection is told. It may be gone already: then there is nothing to tell.
void configure(int fd, int32_t keep_alive_sec) {
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (keep_alive_sec == 0) return;
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, keep_alive_sec);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_ALIVE_INTERVAL_SEC);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_ALIVE_PROBES);
}

bool set_text(napi_env env, napi_value object, const char* name, const SocketAddress& address, socklen_t bytes) {
  char host[NI_MAXHOST];
  napi_value text;
  if (getnameinfo(&address.any, bytes, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0) host[0] = '\0';
  return napi_create_string_latin1(env, host, NAPI_AUTO_LENGTH, &text) == napi_ok &&
         napi_set_named_property(env, object, name, text) == napi_ok;
}

bool set_number(napi_env env, napi_value object, const char* name, int32_t value) {
  return napi_set_named_property(env, object, name, to_number(env, value)) == napi_ok;
}

bool read_integer_property(napi_env env, napi_value from, const char* name, int32_t min, int32_t max, int32_t* value) {
  napi_value property;
  return read_property(env, from, name, &property) && read_integer(env, property, name, min, max, value);
}

bool read_host(napi_env env, napi_value from, const char* name, char (&host)[128]) {
  napi_value property;
  size_t length;
  if (!read_property(env, from, name, &property)) return false;
  if (napi_get_value_string_utf8(env, property, host, sizeof host, &length) == napi_ok && strlen(host) == length) return true;
  throw_type_error(env, "%s must be a string", name);
  return false;
}

}  // namespace

StreamPoll::~StreamPoll() {
  for (const int fd : connections_) ::close(fd);
  close();
}

bool StreamPoll::end(int fd) {
  connections_.erase(fd);
  // Linux closes the descriptor even when it says EINTR.
  return ::close(fd) == 0 || errno == EINTR;
}

void StreamPoll::close() {
  if (epoll_ >= 0) ::close(epoll_);
  epoll_ = -1;
  if (area_ != nullptr) napi_delete_reference(env_, area_);
  if (ready_ != nullptr) napi_delete_reference(env_, ready_);
  area_ = ready_ = nullptr;
}

bool StreamPoll::open(napi_value area, napi_value ready, uv_loop_t* loop) {
  void *bytes, *entries;
  size_t total, words;
  if (!read_shared(env_, area, "area", napi_uint8_array, &bytes, &total)) return false;
  if (!read_shared(env_, ready, "ready", napi_int32_array, &entries, &words)) return false;
  if (words < 4) {
    throw_range_error(env_, "ready has no room");
    return false;
  }
  FileDescriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  if (epoll.get() < 0) {
    throw_system_error(env_, errno, "epoll_create1");
    return false;
  }
  close();
  epoll_ = epoll.release();
  bytes_ = static_cast<uint8_t*>(bytes);
  total_ = static_cast<int64_t>(total);
  entries_ = static_cast<int32_t*>(entries);
  capacity_ = static_cast<int32_t>(words / 2 > MAX_READY ? MAX_READY : words / 2);
  napi_create_reference(env_, area, 1, &area_);
  napi_create_reference(env_, ready, 1, &ready_);
  loop_ = loop;
  backend_ = loop == nullptr ? -1 : uv_backend_fd(loop);
  if (loop == nullptr || watch(backend_, READABLE)) return true;
  throw_system_error(env_, errno, "epoll_ctl");
  return false;
}

bool StreamPoll::is_open(napi_env env) const {
  if (epoll_ >= 0) return true;
  throw_error(env, "no streams: call openStreams first");
  return false;
}

bool StreamPoll::watch(int fd, int32_t interest) {
  epoll_event event{};
  event.data.fd = fd;
  if ((interest & READABLE) != 0) event.events |= EPOLLIN;
  if ((interest & WRITABLE) != 0) event.events |= EPOLLOUT;
  if ((interest & EDGE) != 0) event.events |= EPOLLET;
  // Without any interest the kernel would still tell of what is broken, again and again.
  if (interest == 0) return epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, &event) == 0 || errno == ENOENT;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0) return true;
  return errno == ENOENT && epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

int32_t StreamPoll::note(int32_t count, int32_t fd, int32_t events) const {
  entries_[2 * count] = fd;
  entries_[2 * count + 1] = events;
  return count + 1;
}

int32_t StreamPoll::wait(int32_t wait_ms) {
  bool is_loop_due = false;
  if (loop_ != nullptr && wait_ms != 0) {
    const int32_t limit_ms = loop_timeout(loop_);
    is_loop_due = limit_ms == 0;
    if (limit_ms >= 0 && (wait_ms < 0 || limit_ms < wait_ms)) wait_ms = limit_ms;
  }
  // One entry is the loop's.
  const int found = epoll_wait(epoll_, events_, capacity_ - 1, wait_ms);
  if (found < 0 && errno != EINTR) {
    throw_system_error(env_, errno, "epoll_wait");
    return -1;
  }
  int32_t count = 0;
  for (int i = 0; i < found; i++) {
    const int fd = events_[i].data.fd;
    const uint32_t events = events_[i].events;
    if (fd == backend_) {
      is_loop_due = true;
      continue;
    }
    count = note(count, fd,
                 ((events & EPOLLIN) != 0 ? READABLE : 0) | ((events & EPOLLOUT) != 0 ? WRITABLE : 0) |
                     ((events & (EPOLLERR | EPOLLHUP)) != 0 ? BROKEN : 0));
  }
  return is_loop_due ? note(count, LOOP, READABLE) : count;
}

uint8_t* StreamPoll::piece(napi_env env, int32_t offset, int32_t length) const {
  if (!is_open(env)) return nullptr;
  if (int64_t{offset} + length <= total_) return bytes_ + offset;
  throw_range_error(env, "%d bytes at %d lead out of the area", length, offset);
  return nullptr;
}

napi_value open_streams(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  bool has_loop;
  uv_loop_t* loop = nullptr;
  if (!arguments.boolean(2, "forLoop", &has_loop)) return nullptr;
  if (has_loop && napi_get_uv_event_loop(env, &loop) != napi_ok) {
    throw_error(env, "this thread has no event loop");
    return nullptr;
  }
  arguments.addon().streams.open(arguments[0], arguments[1], loop);
  return nullptr;
}

napi_value watch_stream(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  int32_t fd, interest;
  if (!arguments.fd(0, &fd) || !arguments.integer(1, "interest", 0, READABLE | WRITABLE | EDGE, &interest)) return nullptr;
  StreamPoll& streams = arguments.addon().streams;
  if (streams.is_open(env) && !streams.watch(fd, interest)) throw_system_error(env, errno, "epoll_ctl");
  return nullptr;
}

napi_value wait_for_streams(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int32_t wait_ms;
  if (!arguments.integer(0, "waitMs", -1, INT32_MAX, &wait_ms)) return nullptr;
  StreamPoll& streams = arguments.addon().streams;
  if (!streams.is_open(env)) return nullptr;
  const int32_t count = streams.wait(wait_ms);
  return count < 0 ? nullptr : to_number(env, count);
}

napi_value accept_stream(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  int32_t listener, keep_alive_sec;
  if (!arguments.fd(0, &listener)) return nullptr;
  if (!arguments.integer(1, "keepAliveSec", 0, MAX_KEEP_ALIVE_SEC, &keep_alive_sec)) return nullptr;
  SocketAddress peer{}, local{};
  socklen_t peer_bytes = sizeof peer, local_bytes = sizeof local;
  FileDescriptor fd(accept4(listener, &peer.any, &peer_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd.get() < 0) return to_number(env, -errno);
  configure(fd.get(), keep_alive_sec);
  getsockname(fd.get(), &local.any, &local_bytes);
  const uint16_t port = ntohs(peer.any.sa_family == AF_INET ? peer.v4.sin_port : peer.v6.sin6_port);
  napi_value result;
  if (napi_create_object(env, &result) != napi_ok || !set_number(env, result, "fd", fd.get()) ||
      !set_text(env, result, "host", peer, peer_bytes) || !set_number(env, result, "port", port) ||
      !set_text(env, result, "localHost", local, local_bytes)) {
    return nullptr;
  }
  arguments.addon().streams.own(fd.release());
  return result;
}

napi_value connect_stream(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  const napi_value options = arguments[0];
  char host[128], local_host[128];
  int32_t port, family, keep_alive_sec;
  if (!read_host(env, options, "host", host) || !read_host(env, options, "localHost", local_host) ||
      !read_integer_property(env, options, "port", 1, 65535, &port) ||
      !read_integer_property(env, options, "family", 4, 6, &family) ||
      !read_integer_property(env, options, "keepAliveSec", 0, MAX_KEEP_ALIVE_SEC, &keep_alive_sec)) {
    return nullptr;
  }
  if (family == 5) {
    throw_range_error(env, "family must be 4 or 6");
    return nullptr;
  }
  SocketAddress peer, local;
  socklen_t peer_bytes, local_bytes = 0;
  if (!resolve(env, host, port, family, &peer, &peer_bytes)) return nullptr;
  if (local_host[0] != '\0' && !resolve(env, local_host, 0, family, &local, &local_bytes)) return nullptr;
  FileDescriptor fd(socket(peer.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return to_number(env, -errno);
  configure(fd.get(), keep_alive_sec);
  // The port is chosen by connect, with the peer known: so there are as many for each peer.
  set(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  if (local_bytes > 0 && bind(fd.get(), &local.any, local_bytes) != 0) return to_number(env, -errno);
  if (connect(fd.get(), &peer.any, peer_bytes) != 0 && errno != EINPROGRESS) return to_number(env, -errno);
  arguments.addon().streams.own(fd.get());
  return to_number(env, fd.release());
}

napi_value receive_stream(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  int32_t fd, offset, length;
  if (!arguments.fd(0, &fd) || !arguments.integer(1, "offset", 0, INT32_MAX, &offset) ||
      !arguments.integer(2, "length", 1, INT32_MAX, &length)) {
    return nullptr;
  }
  uint8_t* piece = arguments.addon().streams.piece(env, offset, length);
  if (piece == nullptr) return nullptr;
  ssize_t received;
  do received = recv(fd, piece, length, MSG_DONTWAIT);
  while (received < 0 && errno == EINTR);
  return to_number(env, static_cast<int32_t>(received < 0 ? -errno : received));
}

napi_value send_stream(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  int32_t fd, offset, length;
  if (!arguments.fd(0, &fd) || !arguments.integer(1, "offset", 0, INT32_MAX, &offset) ||
      !arguments.integer(2, "length", 1, INT32_MAX, &length)) {
    return nullptr;
  }
  const uint8_t* piece = arguments.addon().streams.piece(env, offset, length);
  if (piece == nullptr) return nullptr;
  ssize_t sent;
  do sent = send(fd, piece, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return to_number(env, static_cast<int32_t>(sent < 0 ? -errno : sent));
}

napi_value stream_error(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int32_t fd;
  if (!arguments.fd(0, &fd)) return nullptr;
  int error = 0;
  socklen_t bytes = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) error = errno;
  return to_number(env, error);
}

napi_value end_stream(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int32_t fd;
  // One that the peer has reset has no half left to close.
  if (arguments.fd(0, &fd) && shutdown(fd, SHUT_WR) != 0 && errno != ENOTCONN) throw_system_error(env, errno, "shutdown");
  return nullptr;
}

napi_value close_stream(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int32_t fd;
  if (arguments.fd(0, &fd) && !arguments.addon().streams.end(fd)) throw_system_error(env, errno, "close");
  return nullptr;
}

napi_value reset_stream(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int32_t fd;
  if (!arguments.fd(0, &fd)) return nullptr;
  const linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  if (!arguments.addon().streams.end(fd)) throw_system_error(env, errno, "close");
  return nullptr;
}

}  // namespace strowger
