#include "unix_socket.h"

#include <napi.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#include "arguments.h"
#include "errors.h"

namespace strowger {
namespace {

// The kernel's own limit (SCM_MAX_FD).
constexpr size_t MAX_FDS = 253;
constexpr int32_t MAX_DATAGRAM_BYTES = 65536;
constexpr int RELAY_BUFFER_BYTES = 4 << 20;

// A name as systemd writes it: a path, or '@' and a name of the abstract name space. False: an exception is pending.
bool read_name(napi_env env, napi_value from, sockaddr_un* address, socklen_t* bytes) {
  *address = {};
  address->sun_family = AF_UNIX;
  size_t length = 0;
  if (napi_get_value_string_utf8(env, from, nullptr, 0, &length) != napi_ok) {
    throw_type_error(env, "path must be a string");
    return false;
  }
  if (length >= sizeof address->sun_path) {
    throw_range_error(env, "path must be at most %zu bytes", sizeof address->sun_path - 1);
    return false;
  }
  napi_get_value_string_utf8(env, from, address->sun_path, sizeof address->sun_path, &length);
  const bool is_abstract = address->sun_path[0] == '@';
  if (!is_abstract && strlen(address->sun_path) != length) {
    throw_type_error(env, "path must not contain a zero");
    return false;
  }
  if (is_abstract) address->sun_path[0] = '\0';
  *bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length + (is_abstract ? 0 : 1));
  return true;
}

napi_value fail(napi_env env, const char* syscall) {
  throw_system_error(env, errno, syscall, "unix datagram socket");
  return nullptr;
}

void close_all(const std::vector<int>& fds) {
  for (const int fd : fds) ::close(fd);
}

}  // namespace

// (path): { fd, path }. An empty path: the kernel picks an abstract name.
napi_value open_unix_datagram(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  sockaddr_un address;
  socklen_t bytes;
  if (!read_name(env, arguments[0], &address, &bytes)) return nullptr;
  if (address.sun_path[0] == '\0' && bytes <= offsetof(sockaddr_un, sun_path) + 1) bytes = sizeof(sa_family_t);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(env, "socket");
  const int on = 1;
  bool is_open = setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0;
  is_open = is_open && bind(fd, reinterpret_cast<sockaddr*>(&address), bytes) == 0;
  bytes = sizeof address;
  is_open = is_open && getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) == 0;
  if (!is_open) {
    fail(env, "bind");
    ::close(fd);
    return nullptr;
  }
  size_t length = bytes - offsetof(sockaddr_un, sun_path);
  if (address.sun_path[0] == '\0') address.sun_path[0] = '@';
  else length = strnlen(address.sun_path, length);
  auto result = Napi::Object::New(env);
  result.Set("fd", Napi::Number::New(env, fd));
  result.Set("path", Napi::String::New(env, address.sun_path, length));
  return result;
}

// (path, bytes, fds): from a socket of its own, which is gone afterwards.
napi_value send_unix_datagram(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  sockaddr_un address;
  socklen_t address_bytes;
  if (!read_name(env, arguments[0], &address, &address_bytes)) return nullptr;
  napi_typedarray_type type;
  size_t length;
  void* bytes;
  if (napi_get_typedarray_info(env, arguments[1], &type, &length, &bytes, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    throw_type_error(env, "bytes must be a Uint8Array");
    return nullptr;
  }
  bool is_array = false;
  uint32_t count = 0;
  napi_is_array(env, arguments[2], &is_array);
  if (!is_array || napi_get_array_length(env, arguments[2], &count) != napi_ok || count > MAX_FDS) {
    throw_type_error(env, "fds must be a list of at most %zu descriptors", MAX_FDS);
    return nullptr;
  }
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(MAX_FDS * sizeof(int))] = {};
  iovec vector = {bytes, length};
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = address_bytes;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (uint32_t i = 0; i < count; i++) {
      napi_value element;
      int32_t fd;
      napi_get_element(env, arguments[2], i, &element);
      if (!read_integer(env, element, "fd", 0, MAX_FD, &fd)) return nullptr;
      memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof fd);
    }
  }
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(env, "socket");
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) fail(env, "sendmsg");
  ::close(fd);
  return nullptr;
}

// (fd): { bytes, fds, pid, uid } of the datagram that came first, null: there is none. The descriptors are the caller's.
napi_value receive_unix_datagram(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int32_t fd;
  if (!arguments.fd(0, &fd)) return nullptr;
  std::vector<uint8_t> bytes(MAX_DATAGRAM_BYTES);
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(MAX_FDS * sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
  iovec vector = {bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received;
  do received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (received < 0 && errno == EINTR);
  if (received < 0) {
    if (errno != EAGAIN) return fail(env, "recvmsg");
    napi_value null;
    napi_get_null(env, &null);
    return null;
  }
  std::vector<int> fds;
  ucred sender{-1, static_cast<uid_t>(-1), static_cast<gid_t>(-1)};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET) continue;
    if (header->cmsg_type == SCM_CREDENTIALS && header->cmsg_len >= CMSG_LEN(sizeof sender)) {
      memcpy(&sender, CMSG_DATA(header), sizeof sender);
    } else if (header->cmsg_type == SCM_RIGHTS) {
      const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; i++) {
        int passed;
        memcpy(&passed, CMSG_DATA(header) + i * sizeof(int), sizeof passed);
        fds.push_back(passed);
      }
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    close_all(fds);
    throw_error(env, "a datagram with more than it can have");
    return nullptr;
  }
  auto result = Napi::Object::New(env);
  result.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, bytes.data(), static_cast<size_t>(received)));
  auto list = Napi::Array::New(env, fds.size());
  for (size_t i = 0; i < fds.size(); i++) list.Set(static_cast<uint32_t>(i), Napi::Number::New(env, fds[i]));
  result.Set("fds", list);
  result.Set("pid", Napi::Number::New(env, sender.pid));
  result.Set("uid", Napi::Number::New(env, static_cast<double>(sender.uid)));
  return result;
}

// (): { sender, receiver }, two ends. Not a queue of net.unix.max_dgram_qlen messages: of a pair, only what the sender's buffer
// holds limits it.
napi_value create_relay(napi_env env, napi_callback_info) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
    return fail(env, "socketpair");
  }
  if (setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &RELAY_BUFFER_BYTES, sizeof RELAY_BUFFER_BYTES) != 0) {
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &RELAY_BUFFER_BYTES, sizeof RELAY_BUFFER_BYTES);
  }
  auto result = Napi::Object::New(env);
  result.Set("sender", Napi::Number::New(env, fds[0]));
  result.Set("receiver", Napi::Number::New(env, fds[1]));
  return result;
}

}  // namespace strowger
