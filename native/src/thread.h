// What a thread asks of the scheduler.
#pragma once

#include <node_api.h>

namespace strowger {

napi_value schedule_thread(napi_env env, napi_callback_info info);
napi_value nap(napi_env env, napi_callback_info info);
napi_value yield_thread(napi_env env, napi_callback_info info);
napi_value thread_cpu_ns(napi_env env, napi_callback_info info);

}  // namespace strowger
