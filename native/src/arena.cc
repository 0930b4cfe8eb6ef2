#include "arena.h"

namespace strowger {

const char* Arena::attach(uint8_t* bytes, size_t length) {
  if (reinterpret_cast<uintptr_t>(bytes) % 8 != 0) return "the arena is not aligned";
  if (length < layout::HEADER_BYTES || length > INT32_MAX) return "this is no arena: its size is out of range";
  const auto* header = reinterpret_cast<const int32_t*>(bytes);
  if (load(header + layout::HEADER::MAGIC_WORD) != layout::LAYOUT_MAGIC) return "this is no arena: wrong magic";
  if (load(header + layout::HEADER::VERSION_WORD) != layout::LAYOUT_VERSION) {
    return "the addon was built for another layout of the arena: run 'npm run install'";
  }
  const auto total = static_cast<int64_t>(length);
  if (int64_t{load(header + layout::HEADER::TOTAL_KIB_WORD)} * 1024 != total) {
    return "the arena is not as long as it says";
  }

  Arena next;
  next.bytes_ = bytes;
  next.total_ = total;
  next.shard_count_ = load(header + layout::HEADER::SHARD_COUNT_WORD);
  next.slot_count_ = load(header + layout::HEADER::SLOT_COUNT_WORD);
  next.slots_ = load(header + layout::HEADER::SLOTS_WORD);
  next.spill_ = load(header + layout::HEADER::SPILL_WORD);
  next.egress_ = load(header + layout::HEADER::EGRESS_WORD);
  next.plan_ = load(header + layout::HEADER::PLAN_WORD);

  if (next.shard_count_ < 1 || next.shard_count_ > layout::MAX_SHARDS) return "the arena's shard count is out of range";
  if (next.slot_count_ < 1) return "the arena's slot count is out of range";
  const auto fits = [total](int64_t offset, int64_t count, int64_t bytes_each) {
    return offset >= layout::HEADER_BYTES && offset % 4 == 0 && offset + count * bytes_each <= total;
  };
  if (!fits(next.slots_, next.slot_count_, layout::SLOT_STRIDE_BYTES) ||
      !fits(next.spill_, layout::RECEIVE_BATCH, layout::SPILL_BYTES) ||
      !fits(next.egress_, next.shard_count_, layout::EGRESS_BYTES) || !fits(next.plan_, layout::RECEIVE_BATCH, 4)) {
    return "a region of the arena leads out of it";
  }
  *this = next;
  return nullptr;
}

}  // namespace strowger
