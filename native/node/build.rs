//! Linker settings that let the addon find N-API in the process that loads it.

fn main() {
    napi_build::setup();
}
