// Batched receiving, straight into slots.
#pragma once

#include <node_api.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <uv.h>

#include <cstdint>

#include "arena.h"
#include "udp_socket.h"

namespace strowger {

// The recvmmsg arrays of one env, wired up once: a batch writes only the slots' addresses and the lengths that the
// kernel overwrote.
class Receiver {
 public:
  Receiver();

  void set_wake(int fd) { wake_fd_ = fd; }
  // Waits end when the event loop of the env has something to do.
  void set_loop(uv_loop_t* loop) { loop_ = loop; }
  // Says where the overflow of slots goes.
  void attach(const Arena& arena);

  // Fills the slots of the receive plan, see receiveBatch in src/runtime/udp-socket.ts. −1: an exception is pending.
  int32_t receive(napi_env env, const Arena& arena, SocketTable& sockets, int32_t count, int32_t wait_ms);

  // Sleeps, whatever comes to the sockets. True: less than that, as the event loop has something to do.
  bool nap(int32_t microseconds);

 private:
  // Room for one in_pktinfo or in6_pktinfo.
  static constexpr size_t CONTROL_BYTES = CMSG_SPACE(sizeof(in6_pktinfo));

  bool aim(napi_env env, const Arena& arena, int32_t count);
  int32_t take(napi_env env, const Arena& arena, SocketTable& sockets, int32_t count);
  int32_t take_from(napi_env env, UdpSocket& socket, int32_t first, int32_t count);
  int32_t take_from_relay(napi_env env, const Arena& arena, SocketTable& sockets, int fd, int32_t first, int32_t count);
  void label(const Arena& arena, const UdpSocket& socket, int32_t index, int32_t first, int32_t end);
  int32_t wait(napi_env env, SocketTable& sockets, int32_t wait_ms);

  mmsghdr messages_[layout::RECEIVE_BATCH];
  iovec vectors_[layout::RECEIVE_BATCH][2];
  SocketAddress sources_[layout::RECEIVE_BATCH];
  alignas(cmsghdr) uint8_t controls_[layout::RECEIVE_BATCH][CONTROL_BYTES];
  int32_t slots_[layout::RECEIVE_BATCH];
  pollfd polled_[layout::SOCKET_PLACES + 2];
  int32_t served_last_ = 0;
  int wake_fd_ = -1;
  uv_loop_t* loop_ = nullptr;  // nullptr: nobody serves it while this env waits
};

napi_value wake_for_loop(napi_env env, napi_callback_info info);
napi_value set_wake(napi_env env, napi_callback_info info);
napi_value receive_batch(napi_env env, napi_callback_info info);

}  // namespace strowger
