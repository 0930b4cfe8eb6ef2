// Batched sending, gathered from spans of the arena.
#pragma once

#include <node_api.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>

#include "arena.h"
#include "udp_socket.h"

namespace strowger {

// The sendmmsg arrays of one env. A batch is first prepared as a whole, which checks all of it, and then sent.
class Sender {
 public:
  Sender();

  // See sendBatch in src/runtime/udp-socket.ts. −1: an exception is pending and nothing was sent.
  int32_t send(napi_env env, const Arena& arena, SocketTable& sockets, int32_t shard, int32_t first, int32_t count);

 private:
  // Messages of at least so many spans and at most so many bytes are joined before they are sent.
  static constexpr int32_t JOIN_SPANS = 2;
  static constexpr size_t JOIN_BYTES = 2048;
  static constexpr size_t CONTROL_BYTES = CMSG_SPACE(sizeof(in6_pktinfo));

  // What sendmmsg's arrays do not say about a message.
  struct Prepared {
    UdpSocket* socket;
    int32_t* entry;
  };

  bool prepare(napi_env env, const Arena& arena, SocketTable& sockets, int32_t* entry, int32_t number);
  int32_t join(iovec* vectors, int32_t count);
  void address(const UdpSocket& socket, const int32_t* entry, int32_t family, int32_t port);
  void set_source(msghdr& message, const UdpSocket& socket, const int32_t* local, int32_t family, uint8_t* control);
  void send_run(int32_t first, int32_t end);
  void fail(int32_t* entry, int error_number);

  mmsghdr messages_[layout::EGRESS_ENTRIES];
  Prepared prepared_[layout::EGRESS_ENTRIES];
  SocketAddress targets_[layout::EGRESS_ENTRIES];
  alignas(cmsghdr) uint8_t controls_[layout::EGRESS_ENTRIES][CONTROL_BYTES];
  alignas(64) uint8_t joined_[layout::EGRESS_ENTRIES][JOIN_BYTES];
  iovec vectors_[layout::EGRESS_ENTRIES * layout::EGRESS_SPANS];
  int32_t message_count_ = 0;
  int32_t vector_count_ = 0;
  int32_t failure_count_ = 0;
  bool has_waited_ = false;
};

napi_value send_batch(napi_env env, napi_callback_info info);

}  // namespace strowger
