#include "thread.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <cerrno>

#include "addon.h"
#include "arguments.h"
#include "errors.h"

namespace strowger {

napi_value schedule_thread(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  napi_value batch, slack;
  bool is_batch;
  int32_t slack_ns;
  if (!read_property(env, arguments[0], "batch", &batch)) return nullptr;
  if (!read_boolean(env, batch, "batch", &is_batch)) return nullptr;
  if (!read_property(env, arguments[0], "timerSlackNs", &slack)) return nullptr;
  if (!read_integer(env, slack, "timerSlackNs", 1, INT32_MAX, &slack_ns)) return nullptr;
  const sched_param no_priority{};
  // Linux: 0 is the calling thread, not the process.
  if (sched_setscheduler(0, is_batch ? SCHED_BATCH : SCHED_OTHER, &no_priority) != 0) {
    throw_system_error(env, errno, "sched_setscheduler");
  } else if (prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(slack_ns), 0, 0, 0) != 0) {
    throw_system_error(env, errno, "prctl", "PR_SET_TIMERSLACK");
  }
  return nullptr;
}

napi_value nap(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int32_t microseconds;
  if (!arguments.integer(0, "microseconds", 0, 1'000'000, &microseconds)) return nullptr;
  napi_value is_loop_due = nullptr;
  napi_get_boolean(env, arguments.addon().receiver.nap(microseconds), &is_loop_due);
  return is_loop_due;
}

napi_value yield_thread(napi_env, napi_callback_info) {
  sched_yield();
  return nullptr;
}

napi_value thread_cpu_ns(napi_env env, napi_callback_info) {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return to_number(env, static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec));
}

}  // namespace strowger
