// The event loop of an env that waits for other things than its loop does.
#pragma once

#include <uv.h>

#include <cstdint>

namespace strowger {

// How long nothing of the event loop is due for lack of time: 0 if it wants its turn at once, −1 if it never will by itself.
// What comes from outside (other threads, descriptors) makes its backend's descriptor readable, but for descriptors that it
// was told of since its last turn: those wait in a queue until then.
inline int32_t loop_timeout(uv_loop_t* loop) {
  if (loop->watcher_queue.next != &loop->watcher_queue) return 0;
  uv_update_time(loop);
  return uv_backend_timeout(loop);
}

}  // namespace strowger
