// Generated from src/memory/layout.ts by `npm run generate`. Do not edit; the meaning of each figure is told there.
#pragma once

#include <cstdint>

namespace strowger::layout {

constexpr int32_t COUNTERS_PER_THREAD = 256;
constexpr int32_t DISPATCHER_BYTES = 1024;
constexpr int32_t EGRESS_BYTES = 98304;
constexpr int32_t EGRESS_ENTRIES = 256;
constexpr int32_t EGRESS_MARK_SHIFT = 8;
constexpr int32_t EGRESS_SPANS = 40;
constexpr int32_t EGRESS_STRIDE_BYTES = 384;
constexpr int32_t ELSEWHERE = 1073741824;
constexpr int32_t EXTRA_THREADS = 3;
constexpr int32_t HEADER_BYTES = 512;
constexpr int32_t HISTOGRAMS_PER_THREAD = 4;
constexpr int32_t HISTOGRAM_DOUBLES = 64;
constexpr int32_t JUMBO_PAYLOAD_BYTES = 65536;
constexpr int32_t JUMBO_STRIDE_BYTES = 65600;
constexpr int32_t LAYOUT_MAGIC = 1400140391;
constexpr int32_t LAYOUT_VERSION = 6;
constexpr int32_t MAX_DATAGRAM_BYTES = 65535;
constexpr int32_t MAX_SHARDS = 64;
constexpr int32_t MAX_SOCKETS = 64;
constexpr int32_t MESSAGE_RING_BYTES = 2097152;
constexpr int32_t OWNER_DISPATCHER = -1;
constexpr int32_t PADDING_BYTES = 128;
constexpr int32_t RECEIVE_BATCH = 64;
constexpr int32_t RECORD_PADDING = -1;
constexpr int32_t RELAY_SOCKET = 64;
constexpr int32_t SCRATCH_BYTES = 1048576;
constexpr int32_t SHARD_CONTROL_BYTES = 128;
constexpr int32_t SLOT_HEADER_BYTES = 64;
constexpr int32_t SLOT_PAYLOAD_BYTES = 2304;
constexpr int32_t SLOT_STRIDE_BYTES = 2368;
constexpr int32_t SOCKET_PLACES = 65;
constexpr int32_t SPILL_BYTES = 65536;

namespace DISPATCHER {
constexpr int32_t STOP_WORD = 0;
constexpr int32_t SWEEP_REQUEST_WORD = 1;
constexpr int32_t SWEEP_DONE_WORD = 2;
constexpr int32_t FREE_SLOTS_WORD = 3;
constexpr int32_t FREE_JUMBOS_WORD = 4;
constexpr int32_t COMMANDS_WORD = 5;
constexpr int32_t THREAD_ID_WORD = 6;
constexpr int32_t STREAMS_THREAD_ID_WORD = 7;
constexpr int32_t SHEDDING_WORD = 8;
constexpr int32_t FILTER_EPOCH_WORD = 9;
constexpr int32_t SOCKET_COUNTS_WORD = 64;
constexpr int32_t FILTERED_WORD = 128;
constexpr int32_t OVERFLOWS_WORD = 192;
}  // namespace DISPATCHER

namespace EGRESS {
constexpr int32_t SPAN_COUNT_WORD = 0;
constexpr int32_t SOCKET_WORD = 1;
constexpr int32_t FAMILY_WORD = 2;
constexpr int32_t PORT_WORD = 3;
constexpr int32_t ADDRESS_WORD = 4;
constexpr int32_t LOCAL_WORD = 8;
constexpr int32_t SCOPE_WORD = 12;
constexpr int32_t CONNECTION_WORD = 12;
constexpr int32_t RESULT_WORD = 13;
constexpr int32_t TAG_WORD = 14;
constexpr int32_t FLAGS_WORD = 15;
constexpr int32_t SPANS_WORD = 16;
}  // namespace EGRESS

namespace EGRESS_FLAG {
constexpr int32_t ONLY_CONNECTION = 1;
constexpr int32_t NAMED = 2;
constexpr int32_t MOVED = 4;
constexpr int32_t WITH_ORIGIN = 8;
constexpr int32_t ANY_ORDER = 16;
}  // namespace EGRESS_FLAG

namespace HEADER {
constexpr int32_t MAGIC_WORD = 0;
constexpr int32_t VERSION_WORD = 1;
constexpr int32_t TOTAL_KIB_WORD = 2;
constexpr int32_t SHARD_COUNT_WORD = 3;
constexpr int32_t SLOT_COUNT_WORD = 4;
constexpr int32_t JUMBO_COUNT_WORD = 5;
constexpr int32_t RING_CAPACITY_WORD = 6;
constexpr int32_t SLOTS_WORD = 7;
constexpr int32_t JUMBOS_WORD = 8;
constexpr int32_t SPILL_WORD = 9;
constexpr int32_t EGRESS_WORD = 10;
constexpr int32_t SCRATCH_WORD = 11;
constexpr int32_t PLAN_WORD = 12;
constexpr int32_t KEPT_KIB_WORD = 13;
constexpr int32_t HAS_STREAMS_WORD = 14;
}  // namespace HEADER

namespace KEPT_STRIDE_BYTES {
constexpr int32_t SMALL = 576;
constexpr int32_t MEDIUM = 1088;
constexpr int32_t LARGE = 2368;
constexpr int32_t JUMBO = 65600;
}  // namespace KEPT_STRIDE_BYTES

namespace MESSAGE_RING {
constexpr int32_t TAIL_WORD = 0;
constexpr int32_t HEAD_WORD = 32;
constexpr int32_t NOTIFIED_WORD = 64;
constexpr int32_t RECORDS_WORD = 96;
}  // namespace MESSAGE_RING

namespace RECORD {
constexpr int32_t TAG_WORD = 13;
constexpr int32_t NAME_BYTES_WORD = 14;
constexpr int32_t FLAGS_WORD = 15;
}  // namespace RECORD

namespace RETURNED {
constexpr int32_t MOVED = 256;
constexpr int32_t FLOW = 257;
constexpr int32_t UNDELIVERED = 258;
}  // namespace RETURNED

namespace RING {
constexpr int32_t TAIL_WORD = 0;
constexpr int32_t HEAD_WORD = 32;
constexpr int32_t SLEEP_WORD = 33;
constexpr int32_t ENTRIES_WORD = 64;
}  // namespace RING

namespace SHARD {
constexpr int32_t CURSOR_WORD = 0;
constexpr int32_t IN_HAND_WORD = 1;
constexpr int32_t CYCLES_WORD = 2;
constexpr int32_t INCARNATION_WORD = 3;
constexpr int32_t STATE_WORD = 4;
constexpr int32_t RING_HIGH_WORD = 5;
constexpr int32_t KEPT_BLOCKS_WORD = 6;
constexpr int32_t KEPT_KIB_WORD = 7;
constexpr int32_t PARKED_WORD = 8;
constexpr int32_t THREAD_ID_WORD = 9;
constexpr int32_t LOG_LEVEL_WORD = 10;
}  // namespace SHARD

namespace SHARD_STATE {
constexpr int32_t DOWN = 0;
constexpr int32_t RUNNING = 1;
constexpr int32_t STOPPED = 2;
}  // namespace SHARD_STATE

namespace SLOT {
constexpr int32_t LENGTH_WORD = 0;
constexpr int32_t SOCKET_WORD = 1;
constexpr int32_t FAMILY_WORD = 2;
constexpr int32_t PORT_WORD = 3;
constexpr int32_t SOURCE_WORD = 4;
constexpr int32_t LOCAL_WORD = 8;
constexpr int32_t SCOPE_WORD = 12;
constexpr int32_t CONNECTION_WORD = 12;
constexpr int32_t TIME_WORD = 13;
constexpr int32_t OWNER_WORD = 14;
constexpr int32_t CLASS_WORD = 15;
constexpr int32_t FAULT_WORD = 15;
}  // namespace SLOT

namespace UNDELIVERED {
constexpr int32_t TAG_WORD = 4;
constexpr int32_t FLAGS_WORD = 5;
constexpr int32_t ERRNO_WORD = 6;
constexpr int32_t PLACE_WORD = 7;
}  // namespace UNDELIVERED

}  // namespace strowger::layout
