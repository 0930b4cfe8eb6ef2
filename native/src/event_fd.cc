#include "event_fd.h"

#include <napi.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>

#include "addon.h"
#include "arguments.h"
#include "errors.h"

namespace strowger {

bool drain_event_fd(int fd) {
  uint64_t count;
  while (read(fd, &count, sizeof count) < 0) {
    if (errno != EINTR) return errno == EAGAIN;
  }
  return true;
}

// One uv_poll on the env's loop. libuv wants the handle to stay until it has closed, on a later turn of the loop, so
// the watcher deletes itself there; the env waits for that through the cleanup hook.
class Watcher {
 public:
  // 0, or a negative libuv error and no watcher.
  static int start(napi_env env, Watchers& watchers, int fd, napi_value callback, uint32_t* number) {
    uv_loop_t* loop;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) return UV_EINVAL;
    auto* watcher = new Watcher(env, watchers, fd);
    const int error = uv_poll_init(loop, &watcher->poll_, fd);
    if (error != 0) {
      delete watcher;
      return error;
    }
    watcher->poll_.data = watcher;
    watcher->callback_ = Napi::Persistent(Napi::Function(env, callback));
    napi_add_async_cleanup_hook(env, on_env_end, watcher, &watcher->hook_);
    *number = watcher->number_ = watchers.next_number++;
    watchers.open.emplace(watcher->number_, watcher);
    uv_poll_start(&watcher->poll_, UV_READABLE, on_readable);
    return 0;
  }

  void close() {
    watchers_.open.erase(number_);
    callback_.Reset();
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), on_closed);
  }

 private:
  Watcher(napi_env env, Watchers& watchers, int fd) : env_(env), watchers_(watchers), fd_(fd) {}

  static void on_readable(uv_poll_t* poll, int status, int) {
    auto* watcher = static_cast<Watcher*>(poll->data);
    const Napi::Env env(watcher->env_);
    const Napi::HandleScope scope(env);
    if (status < 0 || !drain_event_fd(watcher->fd_)) {
      throw_system_error(env, status < 0 ? -status : errno, "read", "watched eventfd");
      watcher->close();
    } else {
      // A local of the callback, because it may close the watcher.
      const Napi::Function callback = watcher->callback_.Value();
      napi_make_callback(env, nullptr, env.Global(), callback, 0, nullptr, nullptr);
    }
    // There is no JavaScript below us to catch it: an exception becomes the thread's uncaught one.
    napi_value exception;
    if (env.IsExceptionPending() && napi_get_and_clear_last_exception(env, &exception) == napi_ok) {
      napi_fatal_exception(env, exception);
    }
  }

  static void on_env_end(napi_async_cleanup_hook_handle, void* data) {
    auto* watcher = static_cast<Watcher*>(data);
    if (!uv_is_closing(reinterpret_cast<uv_handle_t*>(&watcher->poll_))) watcher->close();
  }

  static void on_closed(uv_handle_t* handle) {
    auto* watcher = static_cast<Watcher*>(handle->data);
    napi_remove_async_cleanup_hook(watcher->hook_);
    delete watcher;
  }

  napi_env env_;
  Watchers& watchers_;
  int fd_;
  uint32_t number_ = 0;
  uv_poll_t poll_;
  Napi::FunctionReference callback_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

namespace {

// The close() of a watch handle. It knows its watcher by number only, so that it may be called late, twice or on
// anything.
napi_value close_watcher(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  Addon* addon = nullptr;
  napi_get_instance_data(env, reinterpret_cast<void**>(&addon));
  const auto found = addon->watchers.open.find(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(data)));
  if (found != addon->watchers.open.end()) found->second->close();
  return nullptr;
}

}  // namespace

napi_value create_event_fd(napi_env env, napi_callback_info) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd >= 0) return to_number(env, fd);
  throw_system_error(env, errno, "eventfd");
  return nullptr;
}

napi_value signal_event_fd(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int32_t fd;
  if (!arguments.fd(0, &fd)) return nullptr;
  constexpr uint64_t ONE = 1;
  while (write(fd, &ONE, sizeof ONE) < 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) throw_system_error(env, errno, "write", "eventfd");
    break;  // EAGAIN: it has been signalled 2⁶⁴ − 2 times and not been read, so it is readable.
  }
  return nullptr;
}

napi_value watch_event_fd(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  int32_t fd;
  if (!arguments.fd(0, &fd)) return nullptr;
  napi_valuetype type;
  napi_typeof(env, arguments[1], &type);
  if (type != napi_function) {
    throw_type_error(env, "callback must be a function");
    return nullptr;
  }
  uint32_t number;
  const int error = Watcher::start(env, arguments.addon().watchers, fd, arguments[1], &number);
  if (error != 0) {
    throw_system_error(env, -error, "uv_poll_init");
    return nullptr;
  }
  auto handle = Napi::Object::New(env);
  napi_value close;
  void* data = reinterpret_cast<void*>(uintptr_t{number});
  napi_create_function(env, "close", NAPI_AUTO_LENGTH, close_watcher, data, &close);
  handle.Set("close", close);
  return handle;
}

}  // namespace strowger
