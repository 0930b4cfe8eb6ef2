// Batched sending, gathered from spans of the arena.
#pragma once

#include <node_api.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>

#include "arena.h"
#include "udp_socket.h"

namespace strowger {

// The sendmmsg arrays of one env. A batch is first prepared as a whole, which checks all of it, then sorted into runs, and
// then sent.
//
// A run is a piece of work for the kernel: one message, or several of one length to one destination, which it takes as
// one and cuts apart at the very end (UDP_SEGMENT). Runs to one destination leave in the order of their messages, but for
// messages that may leave in any order; those to different ones need not.
class Sender {
 public:
  Sender();

  // See sendBatch in src/runtime/udp-socket.ts. −1: an exception is pending and nothing was sent.
  int32_t send(napi_env env, const Arena& arena, SocketTable& sockets, int32_t shard, int32_t first, int32_t count);

 private:
  // Messages of at least so many spans and at most so many bytes are joined before they are sent.
  static constexpr int32_t JOIN_SPANS = 2;
  static constexpr uint32_t JOIN_BYTES = 2048;
  // The kernel's own limit for the messages of a run; newer ones allow more.
  static constexpr int32_t MAX_SEGMENTS = 64;
  // What fits the frame of an Ethernet under IPv4 and IPv6 alike. The kernel refuses a run whose segments would need
  // fragments.
  static constexpr uint32_t MAX_SEGMENT_BYTES = 1452;
  // The largest UDP datagram under IPv4, and less than under IPv6.
  static constexpr uint32_t MAX_RUN_BYTES = 65'507;
  static constexpr size_t CONTROL_BYTES = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t));
  static constexpr int32_t DESTINATIONS = 64;  // a power of two
  static constexpr uint32_t LENGTH_SPREAD = 2'654'435'761U;
  static constexpr int16_t NONE = -1;
  static_assert(MAX_SEGMENT_BYTES <= JOIN_BYTES, "each message has JOIN_BYTES of joined_");

  struct Message {
    UdpSocket* socket;
    int32_t* entry;
    int32_t vector;  // its first of vectors_
    int32_t vector_count;
    uint32_t bytes;
    uint32_t control_bytes;
    int16_t next;  // of the same run
    bool any_order;
  };
  struct Run {
    int16_t first;
    int16_t last;
    int16_t count;
    bool is_closed;
    uint32_t bytes;
  };

  bool prepare(napi_env env, const Arena& arena, SocketTable& sockets, int32_t* entry, int32_t number);
  void address(Message& message, SocketAddress& target, int32_t family, int32_t port);
  void sort();
  bool continues(const Run& run, int32_t number) const;
  bool is_same_destination(int32_t one, int32_t other) const;
  void send_all(UdpSocket& socket);
  void compose(const Run& run, mmsghdr& to, iovec& joined);
  void describe(int32_t number, msghdr& to);
  uint8_t* copy(const Message& message, uint8_t* to);
  void transmit(UdpSocket& socket, mmsghdr* batch, const Run* runs, int32_t count);
  void give_up(UdpSocket& socket, const Run& run, int error_number);
  void send_apart(UdpSocket& socket, const Run& run);
  void fail(int32_t* entry, int error_number);

  // Of each message that can be sent.
  Message messages_[layout::EGRESS_ENTRIES];
  SocketAddress targets_[layout::EGRESS_ENTRIES];
  alignas(cmsghdr) uint8_t controls_[layout::EGRESS_ENTRIES][CONTROL_BYTES];
  iovec vectors_[layout::EGRESS_ENTRIES * layout::EGRESS_SPANS];
  int32_t message_count_ = 0;
  int32_t vector_count_ = 0;

  Run runs_[layout::EGRESS_ENTRIES];
  int32_t run_count_ = 0;
  int16_t latest_run_[DESTINATIONS];

  // Of one socket's runs.
  mmsghdr batch_[layout::EGRESS_ENTRIES];
  Run batch_runs_[layout::EGRESS_ENTRIES];
  iovec batch_vectors_[layout::EGRESS_ENTRIES];
  alignas(64) uint8_t joined_[layout::EGRESS_ENTRIES * JOIN_BYTES];
  uint8_t* joined_end_ = joined_;

  // The messages of one run, each by itself.
  mmsghdr apart_[MAX_SEGMENTS];
  Run apart_runs_[MAX_SEGMENTS];

  int32_t failure_count_ = 0;
  bool has_waited_ = false;
};

napi_value send_batch(napi_env env, napi_callback_info info);

}  // namespace strowger
