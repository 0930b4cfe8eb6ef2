#include "send.h"

#include <poll.h>

#include <cerrno>

#include "addon.h"
#include "arguments.h"
#include "errors.h"

namespace strowger {
namespace {

// How long a batch may wait for room in a full send buffer, once.
constexpr int SEND_WAIT_MS = 5;

// How many messages of a socket leave one by one after the kernel refused a run that it took apart: the path has a small
// MTU, or its device cannot do checksums.
constexpr int32_t UNSEGMENTED_MESSAGES = 1024;

// Appends to the control data of a message, which has `used` bytes so far. Returns what it has now.
template <typename Info>
uint32_t write_control(uint8_t* control, uint32_t used, int level, int type, const Info& info) {
  memset(control + used, 0, CMSG_SPACE(sizeof info));  // padding included: what is the same compares as the same
  auto* header = reinterpret_cast<cmsghdr*>(control + used);
  header->cmsg_len = CMSG_LEN(sizeof info);
  header->cmsg_level = level;
  header->cmsg_type = type;
  memcpy(CMSG_DATA(header), &info, sizeof info);
  return used + CMSG_SPACE(sizeof info);
}

// The address to send from on a wildcard socket. All zeros: the kernel chooses.
uint32_t write_source(uint8_t* control, const UdpSocket& socket, const int32_t* local, int32_t family) {
  int32_t words[4];
  memcpy(words, local, sizeof words);
  if ((words[0] | words[1] | words[2] | words[3]) == 0) return 0;
  if (socket.family == 4) {
    in_pktinfo info{};
    memcpy(&info.ipi_spec_dst, words, 4);
    return write_control(control, 0, IPPROTO_IP, IP_PKTINFO, info);
  }
  in6_pktinfo info{};
  info.ipi6_addr = load_v6(words, family);
  return write_control(control, 0, IPPROTO_IPV6, IPV6_PKTINFO, info);
}

// Some bits in which destinations are likely to differ.
uint32_t hash(const UdpSocket& socket, const SocketAddress& target) {
  uint32_t words[4] = {};
  uint32_t port;
  if (socket.family == 4) {
    memcpy(words, &target.v4.sin_addr, 4);
    port = target.v4.sin_port;
  } else {
    memcpy(words, &target.v6.sin6_addr, 16);
    port = target.v6.sin6_port;
  }
  return ((words[0] ^ words[1] ^ words[2] ^ words[3]) + (port << 16)) * 0x9e3779b1u >> 16;
}

}  // namespace

Sender::Sender() {
  memset(batch_, 0, sizeof batch_);
  memset(apart_, 0, sizeof apart_);
}

int32_t Sender::send(napi_env env, const Arena& arena, SocketTable& sockets, int32_t shard, int32_t first,
                     int32_t count) {
  message_count_ = vector_count_ = failure_count_ = 0;
  has_waited_ = false;
  for (int32_t i = first; i < first + count; i++) {
    if (!prepare(env, arena, sockets, arena.egress(shard, i), i)) return -1;
  }
  sort();
  // Socket by socket, so that each needs one call only.
  for (int32_t i = 0; i < run_count_; i++) {
    if (runs_[i].count > 0) send_all(*messages_[runs_[i].first].socket);
  }
  return failure_count_;
}

// Checks one egress entry and appends it to the batch. One that its socket can never send fails here, by itself.
bool Sender::prepare(napi_env env, const Arena& arena, SocketTable& sockets, int32_t* entry, int32_t number) {
  const int32_t index = load(entry + layout::EGRESS::SOCKET_WORD);
  if (index >= 0 && (index & layout::ELSEWHERE) != 0) return true;
  const int32_t family = load(entry + layout::EGRESS::FAMILY_WORD);
  const int32_t port = load(entry + layout::EGRESS::PORT_WORD);
  const int32_t span_count = load(entry + layout::EGRESS::SPAN_COUNT_WORD);
  UdpSocket* socket = sockets.find(index);
  if (socket == nullptr) {
    throw_range_error(env, "egress entry %d: there is no socket %d", number, index);
    return false;
  }
  if ((family != 4 && family != 6) || port < 0 || port > 65535) {
    throw_range_error(env, "egress entry %d: family %d or port %d is out of range", number, family, port);
    return false;
  }
  if (span_count < 0 || span_count > layout::EGRESS_SPANS) {
    throw_range_error(env, "egress entry %d: span count %d is out of range", number, span_count);
    return false;
  }
  const int32_t* spans = entry + layout::EGRESS::SPANS_WORD;
  int64_t bytes = 0;
  for (int32_t i = 0; i < span_count; i++) {
    const int32_t offset = load(spans + 2 * i);
    const int32_t length = load(spans + 2 * i + 1);
    iovec& vector = vectors_[vector_count_ + i];  // by index, which the sanitizer watches
    vector.iov_base = arena.span(offset, length);
    vector.iov_len = static_cast<size_t>(length);
    if (vector.iov_base == nullptr) {
      throw_range_error(env, "egress entry %d: span %d (%d bytes at %d) leads out of the arena", number, i, length,
                        offset);
      return false;
    }
    bytes += length;
  }
  if (family == 6 && socket->family == 4) {
    fail(entry, EAFNOSUPPORT);
    return true;
  }
  entry[layout::EGRESS::RESULT_WORD] = 0;
  // Spans may overlap, so that their sum is limited by nothing; what is longer than any message is refused by the kernel.
  const auto capped = static_cast<uint32_t>(bytes > INT32_MAX ? INT32_MAX : bytes);
  Message& message = messages_[message_count_];
  const bool any_order = (entry[layout::EGRESS::FLAGS_WORD] & layout::EGRESS_FLAG::ANY_ORDER) != 0;
  message = {socket, entry, vector_count_, span_count, capped, 0, NONE, any_order};
  address(message, targets_[message_count_], family, port);
  if (socket->is_wildcard) {
    message.control_bytes =
        write_source(controls_[message_count_], *socket, entry + layout::EGRESS::LOCAL_WORD, family);
  }
  vector_count_ += span_count;
  message_count_++;
  return true;
}

void Sender::address(Message& message, SocketAddress& target, int32_t family, int32_t port) {
  const int32_t* words = message.entry + layout::EGRESS::ADDRESS_WORD;
  if (message.socket->family == 4) {
    target.v4 = {};
    target.v4.sin_family = AF_INET;
    target.v4.sin_port = htons(static_cast<uint16_t>(port));
    memcpy(&target.v4.sin_addr, words, 4);
  } else {
    target.v6 = {};
    target.v6.sin6_family = AF_INET6;
    target.v6.sin6_port = htons(static_cast<uint16_t>(port));
    target.v6.sin6_addr = load_v6(words, family);
    target.v6.sin6_scope_id = static_cast<uint32_t>(message.entry[layout::EGRESS::SCOPE_WORD]);
  }
}

// Puts each message into the latest run to its destination, or begins another one. The latest run is found by a small hash
// table; of two destinations in one place the later takes it, which costs the other a run but not its order.
void Sender::sort() {
  run_count_ = 0;
  for (int16_t& run : latest_run_) run = NONE;
  for (int16_t number = 0; number < message_count_; number++) {
    Message& message = messages_[number];
    // Those that may leave in any order make runs of their own, one for each length.
    const uint32_t loose = message.any_order ? message.bytes * LENGTH_SPREAD >> 16 : 0;
    int16_t& latest = latest_run_[(hash(*message.socket, targets_[number]) ^ loose) & (DESTINATIONS - 1)];
    if (latest != NONE && continues(runs_[latest], number)) {
      Run& run = runs_[latest];
      messages_[run.last].next = number;
      run.last = number;
      run.count++;
      run.is_closed = message.bytes < messages_[run.first].bytes;
      run.bytes += message.bytes;
    } else {
      latest = static_cast<int16_t>(run_count_);
      const bool is_closed = message.bytes == 0 || message.bytes > MAX_SEGMENT_BYTES || !message.socket->may_segment();
      runs_[run_count_++] = {number, number, 1, is_closed, message.bytes};
    }
  }
}

// All messages of a run have one length; only the last may be shorter, and ends it.
bool Sender::continues(const Run& run, int32_t number) const {
  const uint32_t bytes = messages_[number].bytes;
  return !run.is_closed && bytes > 0 && bytes <= messages_[run.first].bytes && run.count < MAX_SEGMENTS &&
         run.bytes + bytes <= MAX_RUN_BYTES && messages_[run.first].any_order == messages_[number].any_order &&
         is_same_destination(run.first, number);
}

bool Sender::is_same_destination(int32_t one, int32_t other) const {
  const Message& a = messages_[one];
  const Message& b = messages_[other];
  return a.socket == b.socket && a.control_bytes == b.control_bytes &&
         memcmp(&targets_[one], &targets_[other], a.socket->name_bytes()) == 0 &&
         memcmp(controls_[one], controls_[other], a.control_bytes) == 0;
}

// Sends all runs of a socket and empties them.
void Sender::send_all(UdpSocket& socket) {
  joined_end_ = joined_;
  int32_t count = 0;
  for (int32_t i = 0; i < run_count_; i++) {
    Run& run = runs_[i];
    if (run.count == 0 || messages_[run.first].socket != &socket) continue;
    compose(run, batch_[count], batch_vectors_[count]);
    batch_runs_[count++] = run;
    run.count = 0;
  }
  transmit(socket, batch_, batch_runs_, count);
}

// Makes a run one message for sendmmsg. The messages of a long run, and a short message of many pieces, are copied into one
// piece: the kernel pays more for a vector than a copy of a few hundred bytes costs here.
// perf/micro/native/batch.bench.ts says where the break-even lies.
void Sender::compose(const Run& run, mmsghdr& to, iovec& joined) {
  const Message& first = messages_[run.first];
  describe(run.first, to.msg_hdr);
  if (run.count == 1 && (first.vector_count < JOIN_SPANS || first.bytes > JOIN_BYTES)) return;
  joined = {joined_end_, run.bytes};
  to.msg_hdr.msg_iov = &joined;
  to.msg_hdr.msg_iovlen = 1;
  for (int32_t number = run.first; number != NONE; number = messages_[number].next) {
    joined_end_ = copy(messages_[number], joined_end_);
  }
  if (run.count == 1) return;
  const auto segment_bytes = static_cast<uint16_t>(first.bytes);
  uint8_t* control = controls_[run.first];
  to.msg_hdr.msg_control = control;
  to.msg_hdr.msg_controllen = write_control(control, first.control_bytes, SOL_UDP, UDP_SEGMENT, segment_bytes);
}

// A message by itself, gathered from its spans.
void Sender::describe(int32_t number, msghdr& to) {
  const Message& message = messages_[number];
  to.msg_name = &targets_[number];
  to.msg_namelen = message.socket->name_bytes();
  to.msg_iov = vectors_ + message.vector;
  to.msg_iovlen = static_cast<size_t>(message.vector_count);
  to.msg_control = controls_[number];
  to.msg_controllen = message.control_bytes;
}

uint8_t* Sender::copy(const Message& message, uint8_t* to) {
  for (int32_t i = message.vector; i < message.vector + message.vector_count; i++) {
    memcpy(to, vectors_[i].iov_base, vectors_[i].iov_len);
    to += vectors_[i].iov_len;
  }
  return to;
}

// Sends a batch, all of one socket. sendmmsg stops at the first that fails, and says why only when that is the first of its
// call. An error may be an earlier datagram's (ICMP), so what fails gets one more try; what fails again is given up and
// passed over.
void Sender::transmit(UdpSocket& socket, mmsghdr* batch, const Run* runs, int32_t count) {
  bool is_retry = false;
  for (int32_t next = 0; next < count;) {
    const int sent = sendmmsg(socket.fd, batch + next, static_cast<unsigned>(count - next), MSG_DONTWAIT | MSG_NOSIGNAL);
    int error_number = errno;
    if (sent > 0) {
      next += sent;
      is_retry = false;
      // The error that stopped the call has left the socket, but not its queue.
      if (next < count) drain_error_queue(socket);
      continue;
    }
    if (error_number == EINTR) continue;
    if (error_number == EMSGSIZE && runs[next].count == 1) {
      if (send_fragmented(socket, batch[next].msg_hdr)) {
        next++;
        is_retry = false;
        continue;
      }
      error_number = errno;
    }
    drain_error_queue(socket);  // also because poll would return at once while something is in it
    if (error_number == EAGAIN && !has_waited_) {
      has_waited_ = true;
      pollfd writable = {socket.fd, POLLOUT, 0};
      poll(&writable, 1, SEND_WAIT_MS);
      continue;
    }
    // EAGAIN and ENOBUFS are about this datagram and this moment.
    if (!is_retry && error_number != EAGAIN && error_number != ENOBUFS) {
      is_retry = true;
      continue;
    }
    give_up(socket, runs[next], error_number);
    next++;
    is_retry = false;
  }
}

// A message fails; the messages of a longer run are tried one by one. If one of them leaves, it was the run that the kernel
// refused.
void Sender::give_up(UdpSocket& socket, const Run& run, int error_number) {
  if (run.count == 1) {
    fail(messages_[run.first].entry, error_number);
    return;
  }
  const int32_t failures = failure_count_;
  send_apart(socket, run);
  const bool has_sent = failure_count_ - failures < run.count;
  if (has_sent && error_number != EAGAIN && error_number != ENOBUFS) socket.unsegmented_left = UNSEGMENTED_MESSAGES;
}

void Sender::send_apart(UdpSocket& socket, const Run& run) {
  int32_t count = 0;
  for (int16_t number = run.first; number != NONE; number = messages_[number].next) {
    describe(number, apart_[count].msg_hdr);
    apart_runs_[count++] = {number, number, 1, true, messages_[number].bytes};
  }
  transmit(socket, apart_, apart_runs_, count);
}

void Sender::fail(int32_t* entry, int error_number) {
  entry[layout::EGRESS::RESULT_WORD] = error_number;
  failure_count_++;
}

napi_value send_batch(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  Addon& addon = arguments.addon();
  if (!addon.has_arena(env)) return nullptr;
  int32_t shard, first, count;
  if (!arguments.integer(0, "shard", 0, addon.arena.shard_count() - 1, &shard)) return nullptr;
  if (!arguments.integer(1, "first", 0, layout::EGRESS_ENTRIES - 1, &first)) return nullptr;
  if (!arguments.integer(2, "count", 0, layout::EGRESS_ENTRIES - first, &count)) return nullptr;
  const int32_t failures = addon.sender.send(env, addon.arena, addon.sockets, shard, first, count);
  return failures < 0 ? nullptr : to_number(env, failures);
}

}  // namespace strowger
