// eventfds: how one thread wakes another, in poll or on its event loop.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <unordered_map>

namespace strowger {

class Watcher;

// The open watchers of an env, by number. A watcher closes itself when its env ends.
struct Watchers {
  std::unordered_map<uint32_t, Watcher*> open;
  uint32_t next_number = 1;
};

// Reads an eventfd empty. False, with errno, if it cannot be read; one that is empty already is fine.
bool drain_event_fd(int fd);

napi_value create_event_fd(napi_env env, napi_callback_info info);
napi_value signal_event_fd(napi_env env, napi_callback_info info);
napi_value watch_event_fd(napi_env env, napi_callback_info info);

}  // namespace strowger
