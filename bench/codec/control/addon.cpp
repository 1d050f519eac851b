// The control of the codec benchmark: the calls of native/node once more, without Rust. Each is there twice: through node-addon-api, as an
// addon in C++ is usually written, and through the bare C functions of N-API, which is the least that any addon pays.
#include <napi.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "scan.hpp"
#include "views.hpp"

namespace {

using Bytes = std::span<std::uint8_t>;
using Columns = std::span<std::int32_t>;
using std::uint32_t;

constexpr std::size_t SCHEMA_ID = 32;
constexpr std::int64_t SCHEMA_INCOMPATIBLE = 8;

std::int64_t negotiate(Bytes channel, Bytes accepted) {
  if (channel.size() != SCHEMA_ID || accepted.size() % SCHEMA_ID != 0) return control::REFUSED;
  if (accepted.empty()) return 0;
  for (std::size_t at = 0; at < accepted.size(); at += SCHEMA_ID) {
    if (std::equal(channel.begin(), channel.end(), accepted.begin() + static_cast<std::ptrdiff_t>(at))) return 0;
  }
  return SCHEMA_INCOMPATIBLE;
}

std::int64_t scan(Bytes bytes, uint32_t start, uint32_t end, Columns columns, Bytes names, uint32_t max_frame_bytes) {
  if (end > bytes.size() || control::overlap(bytes, columns) || control::overlap(names, columns)) return control::REFUSED;
  return control::scan(bytes.first(end), start, columns, names, max_frame_bytes);
}

namespace wrapped {

Napi::Value refused(const Napi::CallbackInfo& info) {
  Napi::TypeError::New(info.Env(), "an argument is of the wrong type").ThrowAsJavaScriptException();
  return info.Env().Undefined();
}

void empty(const Napi::CallbackInfo&) {}

Napi::Value byte_length(const Napi::CallbackInfo& info) {
  const auto bytes = control::view<std::uint8_t>(info[0]);
  if (!bytes) return refused(info);
  return Napi::Number::New(info.Env(), static_cast<double>(bytes->size()));
}

Napi::Value negotiate_schema(const Napi::CallbackInfo& info) {
  const auto channel = control::view<std::uint8_t>(info[0]);
  const auto accepted = control::view<std::uint8_t>(info[1]);
  if (!channel || !accepted) return refused(info);
  return Napi::Number::New(info.Env(), static_cast<double>(negotiate(*channel, *accepted)));
}

Napi::Value scan_frames(const Napi::CallbackInfo& info) {
  const auto bytes = control::view<std::uint8_t>(info[0]);
  const auto columns = control::view<std::int32_t>(info[3]);
  const auto names = control::view<std::uint8_t>(info[4]);
  if (!bytes || !columns || !names || !info[1].IsNumber() || !info[2].IsNumber() || !info[5].IsNumber()) {
    return refused(info);
  }
  const uint32_t start = info[1].As<Napi::Number>();
  const uint32_t end = info[2].As<Napi::Number>();
  const uint32_t max_frame_bytes = info[5].As<Napi::Number>();
  const std::int64_t rows = scan(*bytes, start, end, *columns, *names, max_frame_bytes);
  return Napi::Number::New(info.Env(), static_cast<double>(rows));
}

}  // namespace wrapped

namespace bare {

napi_value refused(napi_env env) {
  napi_throw_type_error(env, nullptr, "an argument is of the wrong type");
  return nullptr;
}

napi_value number(napi_env env, std::int64_t value) {
  napi_value result = nullptr;
  napi_create_int64(env, value, &result);
  return result;
}

// The arguments of the running call. False if there are not so many.
template <std::size_t Count>
bool arguments(napi_env env, napi_callback_info info, napi_value (&values)[Count]) {
  std::size_t count = Count;
  return napi_get_cb_info(env, info, &count, values, nullptr, nullptr) == napi_ok && count >= Count;
}

napi_value empty(napi_env, napi_callback_info) { return nullptr; }

napi_value byte_length(napi_env env, napi_callback_info info) {
  napi_value values[1];
  if (!arguments(env, info, values)) return refused(env);
  const auto bytes = control::view<std::uint8_t>(env, values[0]);
  return bytes ? number(env, static_cast<std::int64_t>(bytes->size())) : refused(env);
}

napi_value negotiate_schema(napi_env env, napi_callback_info info) {
  napi_value values[2];
  if (!arguments(env, info, values)) return refused(env);
  const auto channel = control::view<std::uint8_t>(env, values[0]);
  const auto accepted = control::view<std::uint8_t>(env, values[1]);
  return channel && accepted ? number(env, negotiate(*channel, *accepted)) : refused(env);
}

napi_value scan_frames(napi_env env, napi_callback_info info) {
  napi_value values[6];
  if (!arguments(env, info, values)) return refused(env);
  const auto bytes = control::view<std::uint8_t>(env, values[0]);
  const auto columns = control::view<std::int32_t>(env, values[3]);
  const auto names = control::view<std::uint8_t>(env, values[4]);
  uint32_t start;
  uint32_t end;
  uint32_t max_frame_bytes;
  if (!bytes || !columns || !names || napi_get_value_uint32(env, values[1], &start) != napi_ok ||
      napi_get_value_uint32(env, values[2], &end) != napi_ok ||
      napi_get_value_uint32(env, values[5], &max_frame_bytes) != napi_ok) {
    return refused(env);
  }
  return number(env, scan(*bytes, start, end, *columns, *names, max_frame_bytes));
}

}  // namespace bare

Napi::Object make_wrapped(Napi::Env env) {
  auto object = Napi::Object::New(env);
  object.Set("empty", Napi::Function::New(env, wrapped::empty));
  object.Set("byteLength", Napi::Function::New(env, wrapped::byte_length));
  object.Set("negotiateSchema", Napi::Function::New(env, wrapped::negotiate_schema));
  object.Set("scanFrames", Napi::Function::New(env, wrapped::scan_frames));
  return object;
}

Napi::Object make_bare(Napi::Env env) {
  auto object = Napi::Object::New(env);
  const auto add = [&](const char* name, napi_callback callback) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    object.Set(name, Napi::Value(env, function));
  };
  add("empty", bare::empty);
  add("byteLength", bare::byte_length);
  add("negotiateSchema", bare::negotiate_schema);
  add("scanFrames", bare::scan_frames);
  return object;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("wrapped", make_wrapped(env));
  exports.Set("bare", make_bare(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(control, initialise)
