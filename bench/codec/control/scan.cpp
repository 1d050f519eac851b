#include "scan.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

namespace control {
namespace {

using Bytes = std::span<const std::uint8_t>;

// ts/protocol/columns.ts.
constexpr std::size_t HEAD_WIDTH = 4;
constexpr std::size_t ROW_WIDTH = 13;
using Row = std::array<std::int32_t, ROW_WIDTH>;
enum Column { START, LENGTH, TYPE, FLAGS, STREAM, CHANNEL, ENVELOPE, PAYLOAD, PAYLOAD_LENGTH, KEY, KEY_LENGTH, RUN, ID };
enum Status : std::int32_t { COMPLETE, PARTIAL, FULL, MALFORMED, TOO_LARGE };

// Reason codes of the protocol.
constexpr std::int32_t INVALID_STREAM = 4;
constexpr std::int32_t CODEC_ERROR = 9;

constexpr std::uint8_t PUBLISH = 0x09;
constexpr std::uint8_t HAS_KEY = 0x02;
constexpr std::size_t HEADER = 10;
constexpr std::size_t SCHEMA_ID = 32;
// Bytes of a frame before the content of its first string.
constexpr std::size_t LEAD = HEADER + 4;
// Offset of the causal block in an envelope: behind the schema id and the block's length.
constexpr std::size_t CAUSAL = SCHEMA_ID + 4;
// Bytes of an envelope field without origin, up to its payload: two lengths, a schema id, the causal block and its length.
constexpr std::size_t PLAIN = 4 + CAUSAL + 2 + 4;
// A causal block that says nothing, behind its length.
constexpr std::uint64_t NO_ORIGIN = 0x0000'0002'0000;

template <typename Number>
Number load(const std::uint8_t* at) {
  Number value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::uint32_t u32(const std::uint8_t* at) { return __builtin_bswap32(load<std::uint32_t>(at)); }

std::uint64_t u64(const std::uint8_t* at) { return __builtin_bswap64(load<std::uint64_t>(at)); }

std::int32_t number(std::size_t value) { return static_cast<std::int32_t>(value); }

// The u32 at an offset, if all of it is there.
std::optional<std::size_t> length_at(Bytes block, std::size_t at) {
  if (at > block.size() || block.size() - at < 4) return std::nullopt;
  return u32(block.data() + at);
}

// Bytes of a character by its first byte, and the range that the second one must be in; length 0 for a byte that starts none.
struct Character {
  std::size_t length;
  std::uint8_t low;
  std::uint8_t high;
};

Character character(std::uint8_t first) {
  if (first < 0x80) return {1, 0, 0};
  if (first >= 0xc2 && first <= 0xdf) return {2, 0x80, 0xbf};
  if (first == 0xe0) return {3, 0xa0, 0xbf};
  if (first == 0xed) return {3, 0x80, 0x9f};
  if (first >= 0xe1 && first <= 0xef) return {3, 0x80, 0xbf};
  if (first == 0xf0) return {4, 0x90, 0xbf};
  if (first >= 0xf1 && first <= 0xf3) return {4, 0x80, 0xbf};
  if (first == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

bool is_utf8(Bytes text) {
  constexpr std::uint64_t HIGH_BITS = 0x8080'8080'8080'8080;
  std::size_t at = 0;
  while (at + 8 <= text.size() && (load<std::uint64_t>(text.data() + at) & HIGH_BITS) == 0) at += 8;
  while (at < text.size()) {
    const auto [length, low, high] = character(text[at]);
    if (length == 0 || length > text.size() - at) return false;
    if (length > 1 && (text[at + 1] < low || text[at + 1] > high)) return false;
    for (std::size_t next = 2; next < length; ++next) {
      if ((text[at + next] & 0xc0) != 0x80) return false;
    }
    at += length;
  }
  return true;
}

bool equal(Bytes left, Bytes right) {
  if (left.size() != right.size()) return false;
  const std::size_t size = left.size();
  // Short texts without a call: most channel names are short.
  if (size >= 8 && size <= 16) {
    return load<std::uint64_t>(left.data()) == load<std::uint64_t>(right.data()) &&
           load<std::uint64_t>(left.data() + size - 8) == load<std::uint64_t>(right.data() + size - 8);
  }
  if (size >= 4 && size < 8) {
    return load<std::uint32_t>(left.data()) == load<std::uint32_t>(right.data()) &&
           load<std::uint32_t>(left.data() + size - 4) == load<std::uint32_t>(right.data() + size - 4);
  }
  return std::equal(left.begin(), left.end(), right.begin());
}

// The id of a name in the table of ts/codec/names.ts, or -1.
std::int32_t find(Bytes table, Bytes name) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::size_t ENTRY = 16;
  if (table.size() < ENTRY) return -1;
  const std::size_t slots = load<std::uint32_t>(table.data());
  if (!std::has_single_bit(slots) || table.size() / ENTRY - 1 < slots) return -1;
  std::uint32_t hash = 0x811c'9dc5;
  for (const std::uint8_t byte : name) hash = (hash ^ byte) * 0x0100'0193;
  for (std::size_t probe = 0; probe < slots; ++probe) {
    const std::uint8_t* slot = table.data() + ENTRY * (1 + ((hash + probe) & (slots - 1)));
    const std::uint32_t id = load<std::uint32_t>(slot + 4);
    if (id == 0) return -1;
    const std::size_t offset = load<std::uint32_t>(slot + 8);
    const std::size_t length = load<std::uint32_t>(slot + 12);
    if (load<std::uint32_t>(slot) != hash || length != name.size() || offset + length > table.size()) continue;
    if (equal(table.subspan(offset, length), name)) return static_cast<std::int32_t>(id - 1);
  }
  return -1;
}

// What an envelope says about its origin: an optional text and an optional u64.
bool is_causal(Bytes block) {
  std::size_t at = 0;
  if (block.empty() || block[at] > 1) return false;
  if (block[at++] == 1) {
    const auto length = length_at(block, at);
    if (!length || *length > block.size() - at - 4 || !is_utf8(block.subspan(at + 4, *length))) return false;
    at += 4 + *length;
  }
  if (at == block.size() || block[at] > 1) return false;
  return block.size() - at == (block[at] == 1 ? 9 : 1);
}

class Scan {
 public:
  Scan(Bytes chunk, std::size_t start, std::span<Row> rows, Bytes names, std::size_t max_frame_bytes)
      : chunk_(chunk), rows_(rows), names_(names), max_frame_bytes_(max_frame_bytes), at_(start) {}

  // Returns false at a frame of another type.
  bool run() {
    for (;;) {
      const std::size_t rest = chunk_.size() - at_;
      if (rest == 0) return stop(COMPLETE, 0);
      if (count_ == rows_.size()) return stop(FULL, 0);
      if (rest < HEADER) return stop(PARTIAL, 0);
      const std::size_t length = HEADER + u32(chunk_.data() + at_ + 6);
      if (length > max_frame_bytes_) return stop(TOO_LARGE, 0);
      if (length > rest) return stop(PARTIAL, number(length));
      if (chunk_[at_] != PUBLISH) return false;
      if (const std::int32_t reason = publish(chunk_.subspan(at_, length)); reason != 0) return stop(MALFORMED, reason);
      at_ += length;
      rest_of_run();
    }
  }

  std::int64_t finish(std::int32_t* head) {
    end_run();
    head[0] = number(count_);
    head[1] = number(at_);
    head[2] = status_;
    head[3] = detail_;
    return static_cast<std::int64_t>(count_);
  }

 private:
  bool stop(Status status, std::int32_t detail) {
    status_ = status;
    detail_ = detail;
    return true;
  }

  // Checks a frame and adds its row, or returns the reason against it.
  std::int32_t publish(Bytes frame) {
    const std::uint64_t lead = u64(frame.data()) >> 16;
    const std::uint8_t flags = frame[1];
    if (u32(frame.data() + 2) == 0) return INVALID_STREAM;
    const auto name_length = length_at(frame, HEADER);
    if (!name_length || *name_length > frame.size() - LEAD) return CODEC_ERROR;
    const Bytes name = frame.subspan(LEAD, *name_length);

    const std::size_t field = LEAD + *name_length;
    const auto envelope_length = length_at(frame, field);
    if (!envelope_length || *envelope_length > frame.size() - field - 4) return CODEC_ERROR;
    const Bytes envelope = frame.subspan(field + 4, *envelope_length);
    const auto causal_length = length_at(envelope, CAUSAL - 4);
    if (!causal_length) return CODEC_ERROR;
    const std::size_t payload = CAUSAL + *causal_length + 4;
    const auto payload_length = length_at(envelope, payload - 4);
    if (!payload_length || payload + *payload_length != envelope.size()) return CODEC_ERROR;
    const Bytes causal = envelope.subspan(CAUSAL, *causal_length);
    const bool plain = causal.size() == 2 && causal[0] == 0 && causal[1] == 0;
    if (!plain && !is_causal(causal)) return CODEC_ERROR;

    Row row{};
    const std::size_t end = field + 4 + envelope.size();
    row[KEY_LENGTH] = -1;
    if ((flags & HAS_KEY) != 0) {
      const auto key_length = length_at(frame, end);
      if (!key_length || *key_length != frame.size() - end - 4 || !is_utf8(frame.subspan(end + 4))) return CODEC_ERROR;
      row[KEY] = number(at_ + end + 4);
      row[KEY_LENGTH] = number(*key_length);
    } else if (end != frame.size()) {
      return CODEC_ERROR;
    }

    const bool same_channel = has_channel_ && equal(channel_, name);
    if (!same_channel) {
      const std::int32_t id = find(names_, name);
      if (id < 0 && !is_utf8(name)) return CODEC_ERROR;
      has_channel_ = true;
      channel_ = name;
      channel_id_ = id;
    }
    row[START] = number(at_);
    row[LENGTH] = number(frame.size());
    row[TYPE] = PUBLISH;
    row[FLAGS] = flags;
    row[STREAM] = static_cast<std::int32_t>(u32(frame.data() + 2));
    row[CHANNEL] = channel_id_;
    row[ENVELOPE] = number(at_ + field + 4);
    row[PAYLOAD] = number(at_ + field + 4 + payload);
    row[PAYLOAD_LENGTH] = number(*payload_length);
    if (same_channel && lead == run_lead_) {
      ++run_length_;
    } else {
      end_run();
      run_first_ = count_;
      run_length_ = 1;
      run_lead_ = lead;
    }
    rows_[count_++] = row;
    return 0;
  }

  // Scans what follows a Publish and is of its run; the first frame that is not, or not well formed, is for the general way.
  void rest_of_run() {
    const std::uint64_t lead = run_lead_;
    const auto flags = static_cast<std::uint8_t>(lead >> 32);
    const bool keyed = (flags & HAS_KEY) != 0;
    const Bytes name = channel_;
    const std::size_t name_end = LEAD + name.size();
    const std::size_t payload_at = name_end + PLAIN;
    const std::size_t before = count_;
    std::size_t at = at_;
    std::size_t count = count_;
    for (; count < rows_.size() && chunk_.size() - at >= payload_at; ++count) {
      const std::uint8_t* start = chunk_.data() + at;
      const std::size_t length = HEADER + u32(start + 6);
      if (length < payload_at || length > chunk_.size() - at || length > max_frame_bytes_) break;
      if (u64(start) >> 16 != lead || u32(start + 10) != name.size() || !equal({start + LEAD, name.size()}, name)) break;
      const std::uint8_t* fields = start + name_end;
      const std::size_t payload_length = u32(fields + PLAIN - 4);
      if (u64(fields + PLAIN - 10) >> 16 != NO_ORIGIN || u32(fields) != PLAIN - 4 + payload_length) break;
      const std::size_t end = payload_at + payload_length;
      std::int32_t key_at = 0;
      std::int32_t key_length = -1;
      if (keyed) {
        if (end + 4 > length || u32(start + end) != length - end - 4) break;
        if (!is_utf8({start + end + 4, length - end - 4})) break;
        key_at = number(at + end + 4);
        key_length = number(length - end - 4);
      } else if (end != length) {
        break;
      }
      rows_[count] = {number(at), number(length), PUBLISH, flags, static_cast<std::int32_t>(lead), channel_id_,
                      number(at + name_end + 4), number(at + payload_at), number(payload_length), key_at, key_length,
                      0, 0};
      at += length;
    }
    run_length_ += number(count - before);
    at_ = at;
    count_ = count;
  }

  void end_run() {
    if (run_length_ > 0) rows_[run_first_][RUN] = run_length_;
  }

  Bytes chunk_;
  std::span<Row> rows_;
  Bytes names_;
  std::size_t max_frame_bytes_;
  std::size_t at_;
  std::size_t count_ = 0;
  std::size_t run_first_ = 0;
  std::int32_t run_length_ = 0;
  std::uint64_t run_lead_ = 0;
  bool has_channel_ = false;
  Bytes channel_;
  std::int32_t channel_id_ = -1;
  std::int32_t status_ = COMPLETE;
  std::int32_t detail_ = 0;
};

}  // namespace

std::int64_t scan(Bytes chunk, std::size_t start, std::span<std::int32_t> columns, Bytes names,
                  std::size_t max_frame_bytes) {
  if (start > chunk.size() || columns.size() < HEAD_WIDTH) return REFUSED;
  const std::size_t capacity = (columns.size() - HEAD_WIDTH) / ROW_WIDTH;
  // An array of int32 has no padding: rows lie in the columns one after the other.
  static_assert(sizeof(Row) == ROW_WIDTH * sizeof(std::int32_t));
  const std::span rows(reinterpret_cast<Row*>(columns.data() + HEAD_WIDTH), capacity);
  Scan scan(chunk, start, rows, names, max_frame_bytes);
  if (!scan.run()) return UNKNOWN_TYPE;
  return scan.finish(columns.data());
}

}  // namespace control
