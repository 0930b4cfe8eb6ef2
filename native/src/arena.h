// This env's view of the arena (src/memory/layout.ts). The header's figures are checked and copied once, on attach;
// from then on every offset is computed from the copies, so that nothing another thread writes can lead out of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layout.h"

namespace strowger {

// One load of a word that another thread may be writing: what was checked is what is used.
inline int32_t load(const int32_t* word) { return *static_cast<const volatile int32_t*>(word); }

class Arena {
 public:
  // Returns nullptr, or says what is wrong and leaves the arena as it was.
  const char* attach(uint8_t* bytes, size_t length);

  bool is_attached() const { return bytes_ != nullptr; }
  int32_t shard_count() const { return shard_count_; }
  int32_t slot_count() const { return slot_count_; }

  // Callers have checked the index.
  int32_t* slot(int32_t index) const { return at(slots_ + int64_t{index} * layout::SLOT_STRIDE_BYTES); }
  uint8_t* payload(int32_t slot_index) const {
    return reinterpret_cast<uint8_t*>(slot(slot_index)) + layout::SLOT_HEADER_BYTES;
  }
  uint8_t* spill(int32_t position) const { return bytes_ + spill_ + int64_t{position} * layout::SPILL_BYTES; }
  const int32_t* plan() const { return at(plan_); }
  int32_t* egress(int32_t shard, int32_t entry) const {
    return at(egress_ + int64_t{shard} * layout::EGRESS_BYTES + int64_t{entry} * layout::EGRESS_STRIDE_BYTES);
  }

  // A span of the arena, or nullptr if it leads out of it.
  uint8_t* span(int32_t offset, int32_t length) const {
    if (offset < 0 || length < 0 || int64_t{offset} + length > total_) return nullptr;
    return bytes_ + offset;
  }

 private:
  int32_t* at(int64_t offset) const { return reinterpret_cast<int32_t*>(bytes_ + offset); }

  uint8_t* bytes_ = nullptr;
  int64_t total_ = 0;
  int32_t shard_count_ = 0;
  int32_t slot_count_ = 0;
  int64_t slots_ = 0;
  int64_t spill_ = 0;
  int64_t egress_ = 0;
  int64_t plan_ = 0;
};

}  // namespace strowger
