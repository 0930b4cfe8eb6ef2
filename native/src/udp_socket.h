// UDP sockets as one env knows them, and addresses on their way between sockaddr and words of the arena.
#pragma once

#include <netinet/in.h>
#include <netinet/udp.h>
#include <node_api.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

#include "layout.h"

#ifndef UDP_SEGMENT  // musl
#define UDP_SEGMENT 103
#endif

namespace strowger {

// Either kind of address: a socket's names are all of its own family.
union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

// A destination that ICMP says cannot be reached.
struct Unreachable {
  int32_t family;
  int32_t port;
  int32_t address[4];
};

struct UdpSocket {
  static constexpr int32_t MAX_UNREACHABLE = 16;

  int fd = -1;  // −1: no socket under this index.
  int family = 0;
  bool is_wildcard = false;
  bool is_relay = false;         // The way to or from another process, see Receiver::take_from_relay.
  bool can_segment = false;      // The kernel knows UDP_SEGMENT.
  int32_t unsegmented_left = 0;  // messages to send one by one before segmentation is tried again
  double error_count = 0;        // taken off the error queue by this env so far
  // Taken off the queue and not yet by `take_unreachable`; what is more is only counted.
  Unreachable unreachable[MAX_UNREACHABLE];
  int32_t unreachable_count = 0;

  // Asked once for each message that could begin a run.
  bool may_segment() {
    if (unsegmented_left > 0) unsegmented_left--;
    return can_segment && unsegmented_left == 0;
  }
  // A relay is connected and has no names.
  socklen_t name_bytes() const { return is_relay ? 0 : family == 4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6); }
};

// The sockets this env was told of. They are opened and closed elsewhere: an env that ends leaves them as they are.
class SocketTable {
 public:
  void add(int32_t index, int fd, int family, bool is_wildcard);
  void add_relay(int fd, bool is_receiver);
  // Whether a socket that is there takes part in receiving; all do at first.
  void receive_from(int32_t index, bool is_wanted);
  void remove(int32_t index);
  // nullptr where there is none. Any index.
  UdpSocket* find(int32_t index) {
    if (index < 0 || index >= layout::SOCKET_PLACES || sockets_[index].fd < 0) return nullptr;
    return &sockets_[index];
  }
  // The sockets in the order of service, positions 0 … count() − 1.
  int32_t count() const { return count_; }
  int32_t index_at(int32_t position) const { return order_[position]; }
  UdpSocket& at(int32_t position) { return sockets_[order_[position]]; }

 private:
  UdpSocket sockets_[layout::SOCKET_PLACES];
  int32_t order_[layout::SOCKET_PLACES];
  int32_t count_ = 0;
};

// Takes what ICMP reported off the socket's error queue, counts it and notes which destinations it was about. At most 1,024 at a time, so that a flood of ICMP
// cannot hold a thread. Needed because the queue's memory counts against the receive buffer.
void drain_error_queue(UdpSocket& socket);

// Sends one datagram that is larger than the path takes in a piece. False with errno: EMSGSIZE if no IPv4 datagram is so
// large, or what else was wrong.
bool send_fragmented(const UdpSocket& socket, const msghdr& message);

// Reads a numeric address. IPv6 zones ("fe80::1%eth0") are understood, names are not. False: an exception is pending.
bool resolve(napi_env env, const char* host, int32_t port, int32_t family, SocketAddress* address, socklen_t* bytes);

constexpr uint8_t V4_MAPPED_PREFIX[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Writes an IPv6 address to four words of the arena and returns its family there: 4 for a v4-mapped one.
inline int32_t store_v6(int32_t* words, const in6_addr& address) {
  if (memcmp(address.s6_addr, V4_MAPPED_PREFIX, sizeof V4_MAPPED_PREFIX) == 0) {
    memcpy(words, address.s6_addr + 12, 4);
    words[1] = words[2] = words[3] = 0;
    return 4;
  }
  memcpy(words, address.s6_addr, 16);
  return 6;
}

inline void store_v4(int32_t* words, const in_addr& address) {
  memcpy(words, &address, 4);
  words[1] = words[2] = words[3] = 0;
}

// The reverse of `store_v6`: an address of `family` (4, 6) as a socket of family 6 wants it.
inline in6_addr load_v6(const int32_t* words, int32_t family) {
  in6_addr address;
  if (family == 4) {
    memcpy(address.s6_addr, V4_MAPPED_PREFIX, sizeof V4_MAPPED_PREFIX);
    memcpy(address.s6_addr + 12, words, 4);
  } else {
    memcpy(address.s6_addr, words, 16);
  }
  return address;
}

napi_value open_udp(napi_env env, napi_callback_info info);
napi_value open_tcp(napi_env env, napi_callback_info info);
napi_value duplicate_fd(napi_env env, napi_callback_info info);
napi_value close_fd(napi_env env, napi_callback_info info);
napi_value add_socket(napi_env env, napi_callback_info info);
napi_value remove_socket(napi_env env, napi_callback_info info);
napi_value receive_from(napi_env env, napi_callback_info info);
napi_value set_filter(napi_env env, napi_callback_info info);
napi_value add_relay(napi_env env, napi_callback_info info);
napi_value inspect_socket(napi_env env, napi_callback_info info);
napi_value receive_drops(napi_env env, napi_callback_info info);
napi_value receive_queued(napi_env env, napi_callback_info info);
napi_value socket_errors(napi_env env, napi_callback_info info);
napi_value take_unreachable(napi_env env, napi_callback_info info);

}  // namespace strowger
