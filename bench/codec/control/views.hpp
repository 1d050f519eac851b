// The arguments of a call as memory, in the two ways that an addon without Rust can be written.
#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <span>

namespace control {

template <typename Element>
constexpr napi_typedarray_type KIND = napi_uint8_array;
template <>
inline constexpr napi_typedarray_type KIND<std::int32_t> = napi_int32_array;

// Through node-addon-api. Refuses what the Rust binding refuses: other types, and memory that other threads may write to.
template <typename Element>
std::optional<std::span<Element>> view(const Napi::Value& value) {
  if (!value.IsTypedArray()) return std::nullopt;
  const auto any = value.As<Napi::TypedArray>();
  if (any.TypedArrayType() != KIND<Element>) return std::nullopt;
  auto array = value.As<Napi::TypedArrayOf<Element>>();
  if (!array.ArrayBuffer().IsArrayBuffer()) return std::nullopt;
  return std::span(array.Data(), array.ElementLength());
}

// Through the C functions that the Rust binding calls, and no others.
template <typename Element>
std::optional<std::span<Element>> view(napi_env env, napi_value value) {
  napi_typedarray_type kind;
  std::size_t length;
  void* data;
  napi_value buffer;
  if (napi_get_typedarray_info(env, value, &kind, &length, &data, &buffer, nullptr) != napi_ok) return std::nullopt;
  bool local = false;
  if (kind != KIND<Element> || napi_is_arraybuffer(env, buffer, &local) != napi_ok || !local) return std::nullopt;
  return std::span(static_cast<Element*>(data), length);
}

// Whether what is written overlaps what is read.
template <typename Read, typename Written>
bool overlap(std::span<Read> read, std::span<Written> written) {
  const auto* read_start = reinterpret_cast<const std::uint8_t*>(read.data());
  const auto* written_start = reinterpret_cast<const std::uint8_t*>(written.data());
  return read_start < written_start + written.size_bytes() && written_start < read_start + read.size_bytes();
}

}  // namespace control
