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

template <typename Info>
void write_control(msghdr& message, uint8_t* control, int level, int type, const Info& info) {
  auto* header = reinterpret_cast<cmsghdr*>(control);
  header->cmsg_len = CMSG_LEN(sizeof info);
  header->cmsg_level = level;
  header->cmsg_type = type;
  memcpy(CMSG_DATA(header), &info, sizeof info);
  message.msg_controllen = CMSG_SPACE(sizeof info);
}

}  // namespace

Sender::Sender() {
  memset(messages_, 0, sizeof messages_);
  for (int32_t i = 0; i < layout::EGRESS_ENTRIES; i++) {
    messages_[i].msg_hdr.msg_name = &targets_[i];
    messages_[i].msg_hdr.msg_control = controls_[i];
  }
}

int32_t Sender::send(napi_env env, const Arena& arena, SocketTable& sockets, int32_t shard, int32_t first,
                     int32_t count) {
  message_count_ = vector_count_ = failure_count_ = 0;
  has_waited_ = false;
  for (int32_t i = first; i < first + count; i++) {
    if (!prepare(env, arena, sockets, arena.egress(shard, i), i)) return -1;
  }
  for (int32_t run = 0; run < message_count_;) {
    int32_t end = run + 1;
    while (end < message_count_ && prepared_[end].socket == prepared_[run].socket) end++;
    send_run(run, end);
    run = end;
  }
  return failure_count_;
}

// Checks one egress entry and appends it to the batch. One that its socket can never send fails here, by itself.
bool Sender::prepare(napi_env env, const Arena& arena, SocketTable& sockets, int32_t* entry, int32_t number) {
  const int32_t index = load(entry + layout::EGRESS::SOCKET_WORD);
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
  }
  if (family == 6 && socket->family == 4) {
    fail(entry, EAFNOSUPPORT);
    return true;
  }
  entry[layout::EGRESS::RESULT_WORD] = 0;
  address(*socket, entry, family, port);
  msghdr& message = messages_[message_count_].msg_hdr;
  const int32_t vector_count = join(vectors_ + vector_count_, span_count);
  message.msg_iov = vectors_ + vector_count_;
  message.msg_iovlen = static_cast<size_t>(vector_count);
  prepared_[message_count_] = {socket, entry};
  vector_count_ += vector_count;
  message_count_++;
  return true;
}

// Copies a short message of many pieces into one: the kernel pays more for a vector than a copy of a few hundred bytes
// costs here. Returns the vectors that are left. perf/micro/native/batch.bench.ts says where the break-even lies.
int32_t Sender::join(iovec* vectors, int32_t count) {
  if (count < JOIN_SPANS) return count;
  size_t length = 0;
  for (int32_t i = 0; i < count; i++) length += vectors[i].iov_len;
  if (length > JOIN_BYTES) return count;
  uint8_t* joined = joined_[message_count_];
  uint8_t* to = joined;
  for (int32_t i = 0; i < count; i++) {
    memcpy(to, vectors[i].iov_base, vectors[i].iov_len);
    to += vectors[i].iov_len;
  }
  vectors[0] = {joined, length};
  return 1;
}

// Target and, on a wildcard socket, source address of the message being prepared.
void Sender::address(const UdpSocket& socket, const int32_t* entry, int32_t family, int32_t port) {
  msghdr& message = messages_[message_count_].msg_hdr;
  SocketAddress& target = targets_[message_count_];
  message.msg_namelen = socket.name_bytes();
  message.msg_controllen = 0;
  if (socket.family == 4) {
    target.v4.sin_family = AF_INET;
    target.v4.sin_port = htons(static_cast<uint16_t>(port));
    memcpy(&target.v4.sin_addr, entry + layout::EGRESS::ADDRESS_WORD, 4);
  } else {
    target.v6.sin6_family = AF_INET6;
    target.v6.sin6_port = htons(static_cast<uint16_t>(port));
    target.v6.sin6_flowinfo = 0;
    target.v6.sin6_addr = load_v6(entry + layout::EGRESS::ADDRESS_WORD, family);
    target.v6.sin6_scope_id = static_cast<uint32_t>(entry[layout::EGRESS::SCOPE_WORD]);
  }
  if (socket.is_wildcard) {
    set_source(message, socket, entry + layout::EGRESS::LOCAL_WORD, family, controls_[message_count_]);
  }
}

// All zeros: the kernel chooses.
void Sender::set_source(msghdr& message, const UdpSocket& socket, const int32_t* local, int32_t family,
                        uint8_t* control) {
  int32_t words[4];
  memcpy(words, local, sizeof words);
  if ((words[0] | words[1] | words[2] | words[3]) == 0) return;
  if (socket.family == 4) {
    in_pktinfo info{};
    memcpy(&info.ipi_spec_dst, words, 4);
    write_control(message, control, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    info.ipi6_addr = load_v6(words, family);
    write_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

// Sends messages [next, end), all of one socket. sendmmsg stops at the first that fails, and says why only when that is
// the first of its call. An error may be an earlier datagram's (ICMP), so what fails gets one more try; what fails
// again is marked and passed over.
void Sender::send_run(int32_t next, int32_t end) {
  UdpSocket& socket = *prepared_[next].socket;
  bool is_retry = false;
  while (next < end) {
    const int sent = sendmmsg(socket.fd, messages_ + next, end - next, MSG_DONTWAIT | MSG_NOSIGNAL);
    int error_number = errno;
    if (sent > 0) {
      next += sent;
      is_retry = false;
      // The error that stopped the call has left the socket, but not its queue.
      if (next < end) drain_error_queue(socket);
      continue;
    }
    if (error_number == EINTR) continue;
    if (error_number == EMSGSIZE) {
      if (send_fragmented(socket, messages_[next].msg_hdr)) {
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
    fail(prepared_[next].entry, error_number);
    next++;
    is_retry = false;
  }
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
