// How a native call fails: a JavaScript exception is left pending, and the callee returns false or nullptr.
#pragma once

#include <node_api.h>

#include <cstdint>

namespace strowger {

// Error with `.code` ('EADDRINUSE'), `.errno` (negative, as Node has it) and `.syscall`. `subject` says what the call
// was about, nullptr: nothing to say.
void throw_system_error(napi_env env, int error_number, const char* syscall, const char* subject = nullptr);

// Error, TypeError, RangeError with a printf-like message. For mistakes of our own TypeScript.
[[gnu::format(printf, 2, 3)]] void throw_error(napi_env env, const char* format, ...);
[[gnu::format(printf, 2, 3)]] void throw_type_error(napi_env env, const char* format, ...);
[[gnu::format(printf, 2, 3)]] void throw_range_error(napi_env env, const char* format, ...);

}  // namespace strowger
