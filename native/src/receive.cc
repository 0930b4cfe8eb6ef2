#include "receive.h"

#include <time.h>

#include <cerrno>

#include "addon.h"
#include "arguments.h"
#include "errors.h"
#include "event_fd.h"
#include "event_loop.h"

namespace strowger {
namespace {

// Calls in a row that may bring an ICMP error instead of datagrams, before the socket has to wait for its next turn.
constexpr int MAX_ERRORS_IN_A_ROW = 16;

// The low 32 bits, as Node's process.hrtime counts too.
int32_t monotonic_us() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int32_t>(static_cast<uint32_t>(now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

// What the kernel says about the address a datagram was sent to; zeros if it says nothing, or if the address is one of
// many (multicast), from which nothing can be sent.
void store_local(int32_t* words, msghdr& message) {
  words[0] = words[1] = words[2] = words[3] = 0;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr; control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      memcpy(&info, CMSG_DATA(control), sizeof info);
      store_v4(words, info.ipi_spec_dst);
    } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      memcpy(&info, CMSG_DATA(control), sizeof info);
      if (!IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) store_v6(words, info.ipi6_addr);
    }
  }
}

}  // namespace

Receiver::Receiver() {
  memset(messages_, 0, sizeof messages_);
  for (int32_t i = 0; i < layout::RECEIVE_BATCH; i++) {
    msghdr& message = messages_[i].msg_hdr;
    message.msg_name = &sources_[i];
    message.msg_iov = vectors_[i];
    message.msg_iovlen = 2;
    message.msg_control = controls_[i];
    vectors_[i][0].iov_len = layout::SLOT_PAYLOAD_BYTES;
    vectors_[i][1].iov_len = layout::SPILL_BYTES;
  }
}

void Receiver::attach(const Arena& arena) {
  for (int32_t i = 0; i < layout::RECEIVE_BATCH; i++) vectors_[i][1].iov_base = arena.spill(i);
}

int32_t Receiver::receive(napi_env env, const Arena& arena, SocketTable& sockets, int32_t count, int32_t wait_ms) {
  if (!aim(env, arena, count)) return -1;
  // With a loop to serve, the last call has taken all there was: the wait tells at once if there is more by now.
  const bool is_drained = loop_ != nullptr && wait_ms != 0;
  const int32_t received = is_drained ? 0 : take(env, arena, sockets, count);
  if (received != 0 || wait_ms == 0) return received;
  const int32_t ready = wait(env, sockets, wait_ms);
  return ready > 0 ? take(env, arena, sockets, count) : ready;
}

// Points the batch at the slots of the plan.
bool Receiver::aim(napi_env env, const Arena& arena, int32_t count) {
  const int32_t* plan = arena.plan();
  for (int32_t i = 0; i < count; i++) {
    const int32_t slot = load(plan + i);
    if (slot < 0 || slot >= arena.slot_count()) {
      throw_range_error(env, "receive plan: slot %d at position %d is out of range", slot, i);
      return false;
    }
    slots_[i] = slot;
    vectors_[i][0].iov_base = arena.payload(slot);
  }
  return true;
}

// One round over the sockets, from the one after the one served last, until the batch is full.
int32_t Receiver::take(napi_env env, const Arena& arena, SocketTable& sockets, int32_t count) {
  const int32_t socket_count = sockets.count();
  int32_t position = served_last_;
  int32_t filled = 0;
  for (int32_t step = 0; step < socket_count && filled < count; step++) {
    if (++position >= socket_count) position = 0;
    UdpSocket& socket = sockets.at(position);
    const int32_t taken = socket.is_relay ? take_from_relay(env, arena, sockets, socket.fd, filled, count)
                                          : take_from(env, socket, filled, count);
    if (taken < 0) return -1;
    if (taken == 0) continue;
    if (!socket.is_relay) label(arena, socket, sockets.index_at(position), filled, filled + taken);
    filled += taken;
    served_last_ = position;
  }
  return filled;
}

int32_t Receiver::take_from(napi_env env, UdpSocket& socket, int32_t first, int32_t count) {
  const socklen_t name_bytes = socket.name_bytes();
  const size_t control_bytes = socket.is_wildcard ? CONTROL_BYTES : 0;
  for (int32_t i = first; i < count; i++) {
    messages_[i].msg_hdr.msg_namelen = name_bytes;
    messages_[i].msg_hdr.msg_controllen = control_bytes;
  }
  for (int errors = 0; errors < MAX_ERRORS_IN_A_ROW;) {
    const int received = recvmmsg(socket.fd, messages_ + first, count - first, MSG_DONTWAIT, nullptr);
    if (received >= 0) return received;
    switch (errno) {
      case EAGAIN:
        return 0;
      case EINTR:
        break;
      case EBADF:
      case ENOTSOCK:
      case EINVAL:
      case EFAULT:
        throw_system_error(env, errno, "recvmmsg");
        return -1;
      default:  // What ICMP said about a datagram sent earlier; datagrams may wait behind it.
        drain_error_queue(socket);
        errors++;
    }
  }
  return 0;
}

// What another process has received and is ours: datagrams with the headers of its slots, which become those of ours. The only
// reason why one of them could be wrong is a mistake of that process: then it becomes a datagram of one zero, which is junk.
int32_t Receiver::take_from_relay(napi_env env, const Arena& arena, SocketTable& sockets, int fd, int32_t first,
                                  int32_t count) {
  constexpr auto HEADER_BYTES = static_cast<unsigned>(layout::SLOT_HEADER_BYTES);
  for (int32_t i = first; i < count; i++) {
    messages_[i].msg_hdr.msg_namelen = 0;
    messages_[i].msg_hdr.msg_controllen = 0;
    vectors_[i][0] = {arena.slot(slots_[i]), layout::SLOT_HEADER_BYTES + layout::SLOT_PAYLOAD_BYTES};
  }
  int received;
  do received = recvmmsg(fd, messages_ + first, count - first, MSG_DONTWAIT, nullptr);
  while (received < 0 && errno == EINTR);
  const int error_number = errno;
  for (int32_t i = first; i < count; i++) vectors_[i][0] = {arena.payload(slots_[i]), layout::SLOT_PAYLOAD_BYTES};
  if (received < 0) {
    // ECONNRESET: the other end was closed while something waited for it there.
    if (error_number == EAGAIN || error_number == ECONNRESET) return 0;
    throw_system_error(env, error_number, "recvmmsg", "relay");
    return -1;
  }
  for (int32_t i = first; i < first + received; i++) {
    int32_t* slot = arena.slot(slots_[i]);
    const int32_t family = slot[layout::SLOT::FAMILY_WORD];
    const bool is_sound = messages_[i].msg_len > HEADER_BYTES && (family == 4 || family == 6) &&
                          sockets.find(slot[layout::SLOT::SOCKET_WORD]) != nullptr;
    slot[layout::SLOT::LENGTH_WORD] = is_sound ? static_cast<int32_t>(messages_[i].msg_len - HEADER_BYTES) : 1;
    slot[layout::SLOT::OWNER_WORD] = layout::OWNER_DISPATCHER;
    slot[layout::SLOT::CLASS_WORD] = 0;
    if (is_sound) continue;
    slot[layout::SLOT::SOCKET_WORD] = 0;
    slot[layout::SLOT::FAMILY_WORD] = 4;
    arena.payload(slots_[i])[0] = 0;
  }
  return received;
}

// Writes the slot headers of messages [first, end).
void Receiver::label(const Arena& arena, const UdpSocket& socket, int32_t index, int32_t first, int32_t end) {
  const int32_t now_us = monotonic_us();
  for (int32_t i = first; i < end; i++) {
    int32_t* slot = arena.slot(slots_[i]);
    slot[layout::SLOT::LENGTH_WORD] = static_cast<int32_t>(messages_[i].msg_len);
    slot[layout::SLOT::SOCKET_WORD] = index;
    slot[layout::SLOT::TIME_WORD] = now_us;
    slot[layout::SLOT::FAULT_WORD] = 0;
    if (socket.family == 4) {
      const sockaddr_in& source = sources_[i].v4;
      slot[layout::SLOT::FAMILY_WORD] = 4;
      slot[layout::SLOT::PORT_WORD] = ntohs(source.sin_port);
      store_v4(slot + layout::SLOT::SOURCE_WORD, source.sin_addr);
      slot[layout::SLOT::SCOPE_WORD] = 0;
    } else {
      const sockaddr_in6& source = sources_[i].v6;
      slot[layout::SLOT::FAMILY_WORD] = store_v6(slot + layout::SLOT::SOURCE_WORD, source.sin6_addr);
      slot[layout::SLOT::PORT_WORD] = ntohs(source.sin6_port);
      slot[layout::SLOT::SCOPE_WORD] = static_cast<int32_t>(source.sin6_scope_id);
    }
    int32_t* local = slot + layout::SLOT::LOCAL_WORD;
    if (socket.is_wildcard) {
      store_local(local, messages_[i].msg_hdr);
    } else {
      local[0] = local[1] = local[2] = local[3] = 0;
    }
  }
}

// Sleeps until a socket is readable (1), or the wake fd, the event loop or the time says so (0). −1: an exception is pending.
int32_t Receiver::wait(napi_env env, SocketTable& sockets, int32_t wait_ms) {
  const int32_t count = sockets.count();
  for (int32_t i = 0; i < count; i++) polled_[i] = {sockets.at(i).fd, POLLIN, 0};
  // poll passes over a negative fd.
  polled_[count] = {wake_fd_, POLLIN, 0};
  polled_[count + 1] = {-1, POLLIN, 0};
  if (loop_ != nullptr) {
    const int32_t limit_ms = loop_timeout(loop_);
    if (limit_ms == 0) return 0;
    if (limit_ms > 0 && (wait_ms < 0 || limit_ms < wait_ms)) wait_ms = limit_ms;
    polled_[count + 1].fd = uv_backend_fd(loop_);
  }
  const int ready = poll(polled_, count + 2, wait_ms);
  if (ready < 0 && errno != EINTR) {
    throw_system_error(env, errno, "poll");
    return -1;
  }
  if (ready <= 0) return 0;  // A signal ends the wait early: the caller comes again anyway.
  if (polled_[count].revents != 0 && !drain_event_fd(wake_fd_)) {
    throw_system_error(env, errno, "read", "wake eventfd");
    return -1;
  }
  bool is_ready = false;
  for (int32_t i = 0; i < count; i++) {
    if (polled_[i].revents != 0) is_ready = true;
    // A shard may have met the error itself and left others of its kind in the queue, which keep poll from sleeping.
    if ((polled_[i].revents & POLLERR) != 0) drain_error_queue(sockets.at(i));
  }
  return is_ready ? 1 : 0;
}

bool Receiver::nap(int32_t microseconds) {
  timespec left = {microseconds / 1'000'000, microseconds % 1'000'000 * 1000L};
  if (loop_ == nullptr) {
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
    return false;
  }
  const int32_t limit_ms = loop_timeout(loop_);
  if (limit_ms == 0) return true;
  const bool is_limited = limit_ms > 0 && limit_ms < microseconds / 1000;
  if (is_limited) left = {limit_ms / 1000, limit_ms % 1000 * 1'000'000L};
  pollfd loop = {uv_backend_fd(loop_), POLLIN, 0};
  const int ready = ppoll(&loop, 1, &left, nullptr);
  return ready > 0 || (ready == 0 && is_limited);
}

napi_value set_wake(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int32_t fd;
  if (arguments.fd(0, &fd)) arguments.addon().receiver.set_wake(fd);
  return nullptr;
}

napi_value wake_for_loop(napi_env env, napi_callback_info info) {
  void* addon = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &addon);
  uv_loop_t* loop;
  if (napi_get_uv_event_loop(env, &loop) == napi_ok) {
    static_cast<Addon*>(addon)->receiver.set_loop(loop);
  } else {
    throw_error(env, "this thread has no event loop");
  }
  return nullptr;
}

napi_value receive_batch(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  int32_t count, wait_ms;
  if (!arguments.integer(0, "count", 1, layout::RECEIVE_BATCH, &count)) return nullptr;
  if (!arguments.integer(1, "waitMs", -1, INT32_MAX, &wait_ms)) return nullptr;
  Addon& addon = arguments.addon();
  if (!addon.has_arena(env)) return nullptr;
  const int32_t received = addon.receiver.receive(env, addon.arena, addon.sockets, count, wait_ms);
  return received < 0 ? nullptr : to_number(env, received);
}

}  // namespace strowger
