// The addon as one env (the main thread, the dispatcher, a shard) has it. Nothing is shared between envs but the arena.
#pragma once

#include <node_api.h>

#include "arena.h"
#include "event_fd.h"
#include "receive.h"
#include "send.h"
#include "stream_socket.h"
#include "udp_socket.h"

namespace strowger {

struct Addon {
  explicit Addon(napi_env env) : env(env), streams(env) {}
  ~Addon();
  Addon(const Addon&) = delete;
  Addon& operator=(const Addon&) = delete;

  // True, or an exception is pending.
  bool has_arena(napi_env env) const;

  napi_env env;
  Arena arena;
  napi_ref arena_bytes = nullptr;  // keeps the memory alive
  SocketTable sockets;
  Receiver receiver;
  Sender sender;
  Watchers watchers;
  StreamPoll streams;
};

}  // namespace strowger
