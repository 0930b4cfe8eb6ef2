// What the kernel is told of large memory.
#pragma once

#include <node_api.h>

namespace strowger {

napi_value advise_huge_pages(napi_env env, napi_callback_info info);

}  // namespace strowger
