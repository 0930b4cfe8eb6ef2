#include "huge_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "arguments.h"

namespace strowger {

// (bytes): 0 or an errno. Only whole pages: what lies beside them is not ours to give advice about.
napi_value advise_huge_pages(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  void* data;
  size_t length;
  if (!read_shared(env, arguments[0], "bytes", napi_uint8_array, &data, &length)) return nullptr;
  const auto page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<uintptr_t>(data);
  const uintptr_t first = (start + page_bytes - 1) & ~(page_bytes - 1);
  const uintptr_t end = (start + length) & ~(page_bytes - 1);
  if (end <= first) return to_number(env, 0);
  const bool is_taken = madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE) == 0;
  return to_number(env, is_taken ? 0 : errno);
}

}  // namespace strowger
