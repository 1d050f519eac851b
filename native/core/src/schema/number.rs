use super::JsonError;

/// Integers of so many digits are doubles that `ECMAScript` writes digit by digit.
const EXACT_DIGITS: usize = 15;

/// Reads the number at the start of `json`: the bytes that it takes, and its value unless it is in its canonical form already.
pub(super) fn read_number(json: &[u8]) -> Result<(usize, Option<f64>), JsonError> {
    let minus = usize::from(json.first() == Some(&b'-'));
    let integer = digits(json, minus);
    let leading_zero = json.get(minus) == Some(&b'0');
    if integer == 0 || (leading_zero && integer > 1) {
        return Err(JsonError::Invalid);
    }
    let mut end = minus + integer;
    if !matches!(json.get(end), Some(b'.' | b'e' | b'E')) && integer <= EXACT_DIGITS {
        let minus_zero = minus == 1 && leading_zero;
        return Ok((end, minus_zero.then_some(0.0)));
    }
    if json.get(end) == Some(&b'.') {
        end = some_digits(json, end + 1)?;
    }
    if matches!(json.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(json.get(end + 1), Some(b'+' | b'-')));
        end = some_digits(json, end + 1 + sign)?;
    }
    let value = str::from_utf8(&json[..end]).ok().and_then(|text| text.parse().ok());
    match value {
        Some(value) if f64::is_finite(value) => Ok((end, Some(value))),
        _ => Err(JsonError::Invalid),
    }
}

fn digits(json: &[u8], from: usize) -> usize {
    json[from..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The end of the digits at `from`, of which there must be some.
fn some_digits(json: &[u8], from: usize) -> Result<usize, JsonError> {
    match json.get(from) {
        Some(byte) if byte.is_ascii_digit() => Ok(from + digits(json, from)),
        _ => Err(JsonError::Invalid),
    }
}
