#include "errors.h"

#include <napi.h>
#include <uv.h>

#include <cstdarg>
#include <cstdio>

namespace strowger {
namespace {

constexpr size_t MESSAGE_BYTES = 256;

template <napi_status (*Throw)(napi_env, const char*, const char*)>
void throw_formatted(napi_env env, const char* format, va_list values) {
  char message[MESSAGE_BYTES];
  vsnprintf(message, sizeof message, format, values);
  Throw(env, nullptr, message);
}

}  // namespace

void throw_error(napi_env env, const char* format, ...) {
  va_list values;
  va_start(values, format);
  throw_formatted<napi_throw_error>(env, format, values);
  va_end(values);
}

void throw_type_error(napi_env env, const char* format, ...) {
  va_list values;
  va_start(values, format);
  throw_formatted<napi_throw_type_error>(env, format, values);
  va_end(values);
}

void throw_range_error(napi_env env, const char* format, ...) {
  va_list values;
  va_start(values, format);
  throw_formatted<napi_throw_range_error>(env, format, values);
  va_end(values);
}

void throw_system_error(napi_env env, int error_number, const char* syscall, const char* subject) {
  char name[32];
  char reason[128];
  char message[MESSAGE_BYTES];
  uv_err_name_r(-error_number, name, sizeof name);
  uv_strerror_r(-error_number, reason, sizeof reason);
  snprintf(message, sizeof message, "%s%s%s: %s, %s", syscall, subject ? " " : "", subject ? subject : "", name,
           reason);

  auto error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, name));
  error.Set("errno", Napi::Number::New(env, -error_number));
  error.Set("syscall", Napi::String::New(env, syscall));
  error.ThrowAsJavaScriptException();
}

}  // namespace strowger
