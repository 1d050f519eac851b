// The column scan of native/core/src/scan.rs in C++, for Publish frames: what the benchmark holds beside the Rust one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace control {

// The arguments do not describe memory that can be scanned.
inline constexpr std::int64_t REFUSED = -1;
// The chunk has a frame of another type than Publish, which this scan does not know.
inline constexpr std::int64_t UNKNOWN_TYPE = -2;

// Scans the Publish frames of chunk[start..] into columns and returns the number of rows. Writes what scan::scan of native/core writes.
std::int64_t scan(std::span<const std::uint8_t> chunk, std::size_t start, std::span<std::int32_t> columns,
                  std::span<const std::uint8_t> names, std::size_t max_frame_bytes);

}  // namespace control
