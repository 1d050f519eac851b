//! The memory of JavaScript, borrowed for one synchronous call: the one module with unsafe code.
//!
//! An argument arrives as a [`View`], which is an address that nobody may look behind. [`lend`] takes the views of a call and turns them
//! into slices, all at once, and refuses views of which one is written and overlaps another: two JavaScript arrays may well lie on the same
//! buffer. The slices end with the call, and nothing here calls back into JavaScript, so the memory cannot go away meanwhile.
#![expect(unsafe_code, reason = "this module is where raw memory becomes slices")]

use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};
use std::slice::{from_raw_parts, from_raw_parts_mut};

use napi::bindgen_prelude::FromNapiValue;
use napi::{Error, Result, Status, check_status, sys};

/// What a call returns that has nothing else to say about its failure.
const FAILED: i64 = -1;

/// A number type that has a typed array.
pub trait Element: Copy {
    /// What N-API calls the typed array.
    const KIND: sys::napi_typedarray_type;
    /// What JavaScript calls it.
    const NAME: &'static str;
}

impl Element for u8 {
    const KIND: sys::napi_typedarray_type = sys::TypedarrayType::uint8_array;
    const NAME: &'static str = "Uint8Array";
}

impl Element for u32 {
    const KIND: sys::napi_typedarray_type = sys::TypedarrayType::uint32_array;
    const NAME: &'static str = "Uint32Array";
}

impl Element for i32 {
    const KIND: sys::napi_typedarray_type = sys::TypedarrayType::int32_array;
    const NAME: &'static str = "Int32Array";
}

/// Where the elements of a typed array are, for the time of one call.
pub struct View<'call, T> {
    data: NonNull<T>,
    length: usize,
    call: PhantomData<&'call mut [T]>,
}

impl<T> View<'_, T> {
    /// A view of nothing.
    pub const EMPTY: Self = Self { data: NonNull::dangling(), length: 0, call: PhantomData };

    fn range(&self) -> Range<usize> {
        let start = self.data.addr().get();
        start..start + self.length * size_of::<T>()
    }
}

impl<T: Element> FromNapiValue for View<'_, T> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut kind = 0;
        let mut length = 0;
        let mut data = null_mut();
        let mut buffer = null_mut();
        // SAFETY: `env` and `value` are those of the running call, and the out-parameters are live locals; null is allowed for the last.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                env,
                value,
                &raw mut kind,
                &raw mut length,
                &raw mut data,
                &raw mut buffer,
                null_mut(),
            )
        };
        if status != sys::Status::napi_ok || kind != T::KIND {
            return Err(Error::new(Status::InvalidArg, format!("the argument is not a {}", T::NAME)));
        }
        let mut local = false;
        // SAFETY: `buffer` is the handle that the call above made.
        check_status!(unsafe { sys::napi_is_arraybuffer(env, buffer, &raw mut local) })?;
        if !local {
            // Other threads could write to it while Rust relies on it to stand still.
            return Err(Error::new(Status::InvalidArg, "the argument lies on shared memory"));
        }
        // A detached or empty array may have no address.
        let data = NonNull::new(data.cast::<T>()).filter(|_| length > 0);
        Ok(data.map_or(Self::EMPTY, |data| Self { data, length, call: PhantomData }))
    }
}

/// Runs a call on the memory of its arguments: up to three arrays that it reads and one that it writes.
///
/// Gives what `call` returns, or -1 if that is `None`, if the written array overlaps one of the others, or if the call panics, which must
/// not unwind into Node.
pub fn lend<A, B, C, T>(
    first: View<'_, A>,
    second: View<'_, B>,
    third: View<'_, C>,
    target: View<'_, T>,
    call: impl FnOnce(&[A], &[B], &[C], &mut [T]) -> Option<i64> + 'static,
) -> i64
where
    A: Element,
    B: Element,
    C: Element,
    T: Element,
{
    lend_to(&mut (), first, second, third, target, move |(), first, second, third, target| {
        call(first, second, third, target)
    })
}

/// Runs a call like [`lend`] does, on a thing of Rust's own beside the memory of JavaScript.
#[expect(clippy::needless_pass_by_value, reason = "a view is good for one loan")]
pub fn lend_to<S: 'static, A, B, C, T>(
    state: &mut S,
    first: View<'_, A>,
    second: View<'_, B>,
    third: View<'_, C>,
    target: View<'_, T>,
    call: impl FnOnce(&mut S, &[A], &[B], &[C], &mut [T]) -> Option<i64> + 'static,
) -> i64
where
    A: Element,
    B: Element,
    C: Element,
    T: Element,
{
    let written = target.range();
    let disjoint = |read: Range<usize>| read.end <= written.start || written.end <= read.start;
    if !(disjoint(first.range()) && disjoint(second.range()) && disjoint(third.range())) {
        return FAILED;
    }
    // SAFETY: each view is the memory of a typed array that is an argument of the running call and thereby alive: that many elements,
    // aligned (JavaScript sees to it) and initialised, or none. No other thread writes to it (checked on the way in), and JavaScript does
    // not run before this returns. The written slice overlaps none of the others. Slices of views are made nowhere else, and `call`,
    // being 'static as `state` is, cannot hold another view and lend it meanwhile.
    let (first, second, third, target) = unsafe {
        (
            from_raw_parts(first.data.as_ptr(), first.length),
            from_raw_parts(second.data.as_ptr(), second.length),
            from_raw_parts(third.data.as_ptr(), third.length),
            from_raw_parts_mut(target.data.as_ptr(), target.length),
        )
    };
    // Whatever a panic leaves behind in `target` is numbers, and the caller is told not to use them, nor `state`.
    let result = catch_unwind(AssertUnwindSafe(|| call(state, first, second, third, target)));
    result.ok().flatten().unwrap_or(FAILED)
}

/// JSON text, or `None` for a string that is no text because it has a lone surrogate.
pub struct JsonText(pub Option<String>);

impl FromNapiValue for JsonText {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut units = 0;
        // SAFETY: `env` and `value` are those of the running call; without a buffer only the string's length in code units is written.
        check_status!(
            unsafe { sys::napi_get_value_string_latin1(env, value, null_mut(), 0, &raw mut units) },
            "the argument is not a string"
        )?;
        // No code unit takes more than three bytes, and N-API writes a NUL at the end. With so much room V8 gets by in one pass.
        let capacity = units * 3 + 1;
        let mut bytes = Vec::<u8>::with_capacity(capacity);
        let mut written = 0;
        // SAFETY: the vector has room for `capacity` bytes, of which the call initialises the first `written`.
        check_status!(unsafe {
            sys::napi_get_value_string_utf8(env, value, bytes.as_mut_ptr().cast(), capacity, &raw mut written)
        })?;
        // SAFETY: the call above initialised so many bytes, and they are within the capacity.
        unsafe { bytes.set_len(written) };
        let text = String::from_utf8(bytes).map_err(|error| Error::new(Status::InvalidArg, error.to_string()))?;
        // N-API puts this in place of a lone surrogate, but it may as well be meant.
        if text.contains(char::REPLACEMENT_CHARACTER) {
            // SAFETY: `env` and `value` are those of the running call.
            let exact = unsafe { utf16(env, value, units) }?;
            return Ok(Self(String::from_utf16(&exact).ok()));
        }
        Ok(Self(Some(text)))
    }
}

/// The code units of a string.
///
/// # Safety
/// `env` and `value` must be those of the running call.
unsafe fn utf16(env: sys::napi_env, value: sys::napi_value, units: usize) -> Result<Vec<u16>> {
    let mut text = vec![0; units + 1];
    let mut written = 0;
    // SAFETY: as the caller promises; the vector has room for the units and the NUL behind them.
    check_status!(unsafe {
        sys::napi_get_value_string_utf16(env, value, text.as_mut_ptr(), text.len(), &raw mut written)
    })?;
    text.truncate(written);
    Ok(text)
}
