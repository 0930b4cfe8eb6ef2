// What the .node exports, and an env's beginning and end. Documented in src/runtime/udp-socket.ts, its typed face.

#include "addon.h"

#include <malloc.h>
#include <napi.h>

#include <mutex>

#include "arguments.h"
#include "errors.h"
#include "huge_pages.h"
#include "thread.h"
#include "unix_socket.h"

namespace strowger {

Addon::~Addon() {
  if (arena_bytes != nullptr) napi_delete_reference(env, arena_bytes);
}

bool Addon::has_arena(napi_env env) const {
  if (arena.is_attached()) return true;
  throw_error(env, "no arena: call attach first");
  return false;
}

namespace {

napi_value attach(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  const Napi::Value value(env, arguments[0]);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw_type_error(env, "bytes must be a Uint8Array");
    return nullptr;
  }
  size_t length;
  void* bytes;
  napi_value buffer;
  napi_get_typedarray_info(env, value, nullptr, &length, &bytes, &buffer, nullptr);
  // An ordinary ArrayBuffer could be detached, and its memory be gone while we hold it.
  if (Napi::Value(env, buffer).IsArrayBuffer()) {
    throw_type_error(env, "bytes must lie in a SharedArrayBuffer");
    return nullptr;
  }
  Addon& addon = arguments.addon();
  const char* complaint = addon.arena.attach(static_cast<uint8_t*>(bytes), length);
  if (complaint != nullptr) {
    throw_error(env, "%s", complaint);
    return nullptr;
  }
  addon.receiver.attach(addon.arena);
  if (addon.arena_bytes != nullptr) napi_delete_reference(env, addon.arena_bytes);
  napi_create_reference(env, value, 1, &addon.arena_bytes);
  return nullptr;
}

struct Export {
  const char* name;
  napi_callback function;
};

constexpr Export EXPORTS[] = {
    {"attach", attach},
    {"openUdp", open_udp},
    {"openTcp", open_tcp},
    {"duplicate", duplicate_fd},
    {"close", close_fd},
    {"addSocket", add_socket},
    {"removeSocket", remove_socket},
    {"receiveFrom", receive_from},
    {"setFilter", set_filter},
    {"addRelay", add_relay},
    {"inspectSocket", inspect_socket},
    {"createRelay", create_relay},
    {"openUnixDatagram", open_unix_datagram},
    {"sendUnixDatagram", send_unix_datagram},
    {"receiveUnixDatagram", receive_unix_datagram},
    {"setWake", set_wake},
    {"wakeForLoop", wake_for_loop},
    {"receiveBatch", receive_batch},
    {"receiveDrops", receive_drops},
    {"receiveQueued", receive_queued},
    {"socketErrors", socket_errors},
    {"takeUnreachable", take_unreachable},
    {"createEventFd", create_event_fd},
    {"signal", signal_event_fd},
    {"watch", watch_event_fd},
    {"sendBatch", send_batch},
    {"openStreams", open_streams},
    {"watchStream", watch_stream},
    {"waitForStreams", wait_for_streams},
    {"acceptStream", accept_stream},
    {"connectStream", connect_stream},
    {"receiveStream", receive_stream},
    {"sendStream", send_stream},
    {"streamError", stream_error},
    {"endStream", end_stream},
    {"closeStream", close_stream},
    {"resetStream", reset_stream},
    {"scheduleThread", schedule_thread},
    {"nap", nap},
    {"yieldThread", yield_thread},
    {"threadCpuNs", thread_cpu_ns},
    {"adviseHugePages", advise_huge_pages},
};

// Larger blocks, such as the tables of a shard, are mapped by themselves: untouched pages take no memory, and all of it goes back
// to the system with its thread. By itself glibc stops doing so once the first of them has been freed: from then on a shard that
// took the place of a dead one had all of its tables in memory, and left them there.
constexpr int MAPPED_BYTES = 1024 * 1024;

void map_large_blocks() {
#ifdef __GLIBC__
  static std::once_flag once;
  std::call_once(once, [] { mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES); });
#endif
}

Napi::Object set_up(Napi::Env env, Napi::Object exports) {
  map_large_blocks();
  auto* addon = new Addon(env);
  env.SetInstanceData(addon);  // which deletes it when the env ends
  for (const auto& [name, function] : EXPORTS) {
    napi_value value;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, addon, &value) != napi_ok) break;
    exports.Set(name, value);
  }
  return exports;
}

}  // namespace
}  // namespace strowger

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return strowger::set_up(env, exports); }

NODE_API_MODULE(strowger, Init)
