// Cheap, strict reading of call arguments. Hot: three Node-API calls for two integers, nothing allocated.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <limits>

#include "addon.h"
#include "errors.h"

namespace strowger {

constexpr int32_t MAX_FD = std::numeric_limits<int32_t>::max();

// Reads an integer in [min, max]. Otherwise leaves a TypeError (no number) or a RangeError pending and returns false.
inline bool read_integer(napi_env env, napi_value from, const char* name, int32_t min, int32_t max, int32_t* value) {
  double number;
  if (napi_get_value_double(env, from, &number) != napi_ok) {
    throw_type_error(env, "%s must be a number", name);
    return false;
  }
  // Written so that NaN fails as well.
  if (!(number >= min && number <= max) || number != static_cast<int32_t>(number)) {
    throw_range_error(env, "%s must be an integer from %d to %d", name, min, max);
    return false;
  }
  *value = static_cast<int32_t>(number);
  return true;
}

inline bool read_boolean(napi_env env, napi_value from, const char* name, bool* value) {
  if (napi_get_value_bool(env, from, value) == napi_ok) return true;
  throw_type_error(env, "%s must be a boolean", name);
  return false;
}

// The memory of a typed array over a SharedArrayBuffer: another could be detached, and its memory be gone while we hold it.
inline bool read_shared(napi_env env, napi_value from, const char* name, napi_typedarray_type wanted, void** data,
                        size_t* length) {
  bool is_array = false;
  napi_is_typedarray(env, from, &is_array);
  napi_typedarray_type type;
  napi_value buffer;
  if (!is_array || napi_get_typedarray_info(env, from, &type, length, data, &buffer, nullptr) != napi_ok || type != wanted) {
    throw_type_error(env, "%s is no array of the kind that is wanted", name);
    return false;
  }
  bool is_detachable = true;
  napi_is_arraybuffer(env, buffer, &is_detachable);
  if (is_detachable) throw_type_error(env, "%s must lie in a SharedArrayBuffer", name);
  return !is_detachable;
}

// A property of an options object. A getter that throws leaves its own exception pending.
inline bool read_property(napi_env env, napi_value from, const char* name, napi_value* value) {
  napi_valuetype type;
  if (napi_typeof(env, from, &type) != napi_ok || type != napi_object) {
    throw_type_error(env, "options must be an object");
    return false;
  }
  return napi_get_named_property(env, from, name, value) == napi_ok;
}

// The arguments of one call and the addon of its env. Missing arguments read as undefined, so they fail their check.
template <size_t COUNT>
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = COUNT;
    void* data = nullptr;
    napi_get_cb_info(env, info, &count, values_, nullptr, &data);
    addon_ = static_cast<Addon*>(data);
  }

  Addon& addon() const { return *addon_; }
  napi_value operator[](size_t index) const { return values_[index]; }

  bool integer(size_t index, const char* name, int32_t min, int32_t max, int32_t* value) const {
    return read_integer(env_, values_[index], name, min, max, value);
  }
  bool fd(size_t index, int32_t* value) const { return integer(index, "fd", 0, MAX_FD, value); }
  bool boolean(size_t index, const char* name, bool* value) const {
    return read_boolean(env_, values_[index], name, value);
  }

 private:
  napi_env env_;
  Addon* addon_;
  napi_value values_[COUNT];
};

// nullptr while an exception is pending, as Node-API wants it.
inline napi_value to_number(napi_env env, int32_t value) {
  napi_value number = nullptr;
  napi_create_int32(env, value, &number);
  return number;
}

inline napi_value to_number(napi_env env, double value) {
  napi_value number = nullptr;
  napi_create_double(env, value, &number);
  return number;
}

}  // namespace strowger
