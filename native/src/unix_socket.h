// Datagrams over Unix sockets, which Node does not have: the way to a service manager, and of descriptors from one process to
// another. Cold.
#pragma once

#include <node_api.h>

namespace strowger {

napi_value open_unix_datagram(napi_env env, napi_callback_info info);
napi_value send_unix_datagram(napi_env env, napi_callback_info info);
napi_value receive_unix_datagram(napi_env env, napi_callback_info info);
napi_value create_relay(napi_env env, napi_callback_info info);

}  // namespace strowger
