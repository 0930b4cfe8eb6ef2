// Connections of TCP as one env has them: an epoll of its own, and one memory that they are received into and sent from.
// They end with the env, so that a peer notices when the thread dies that has them.
#pragma once

#include <node_api.h>
#include <sys/epoll.h>
#include <uv.h>

#include <cstdint>
#include <unordered_set>

namespace strowger {

class StreamPoll {
 public:
  explicit StreamPoll(napi_env env) : env_(env) {}
  ~StreamPoll();
  StreamPoll(const StreamPoll&) = delete;
  StreamPoll& operator=(const StreamPoll&) = delete;

  // See openStreams in src/runtime/udp-socket.ts. False: an exception is pending.
  bool open(napi_value area, napi_value ready, uv_loop_t* loop);
  // True, or an exception is pending.
  bool is_open(napi_env env) const;
  // A connection of this env from now on.
  void own(int fd) { connections_.insert(fd); }
  // Closes it. False with errno.
  bool end(int fd);
  // False with errno.
  bool watch(int fd, int32_t interest);
  // How many of `ready` were written; −1: an exception is pending.
  int32_t wait(int32_t wait_ms);
  // A piece of the area; nullptr and an exception pending if it leads out of it.
  uint8_t* piece(napi_env env, int32_t offset, int32_t length) const;

 private:
  static constexpr int32_t MAX_READY = 256;

  void close();
  int32_t note(int32_t count, int32_t fd, int32_t events) const;

  napi_env env_;
  int epoll_ = -1;
  int backend_ = -1;           // of the loop
  uv_loop_t* loop_ = nullptr;  // nullptr: nobody serves it while this env waits
  napi_ref area_ = nullptr;    // both keep their memory alive
  napi_ref ready_ = nullptr;
  uint8_t* bytes_ = nullptr;
  int64_t total_ = 0;
  int32_t* entries_ = nullptr;
  std::unordered_set<int> connections_;
  int32_t capacity_ = 0;  // of `ready`, in entries
  epoll_event events_[MAX_READY];
};

napi_value open_streams(napi_env env, napi_callback_info info);
napi_value watch_stream(napi_env env, napi_callback_info info);
napi_value wait_for_streams(napi_env env, napi_callback_info info);
napi_value accept_stream(napi_env env, napi_callback_info info);
napi_value connect_stream(napi_env env, napi_callback_info info);
napi_value receive_stream(napi_env env, napi_callback_info info);
napi_value send_stream(napi_env env, napi_callback_info info);
napi_value stream_error(napi_env env, napi_callback_info info);
napi_value end_stream(napi_env env, napi_callback_info info);
napi_value close_stream(napi_env env, napi_callback_info info);
napi_value reset_stream(napi_env env, napi_callback_info info);

}  // namespace strowger
