//! Writing: the shortest form of each value, as msgpuck writes it, onto the end of a buffer.

/// Writes nil.
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Writes a boolean.
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// Writes an MP_UINT.
#[inline]
pub fn write_uint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[0xcc, value]);
    } else if let Ok(value) = u16::try_from(value) {
        head(out, 0xcd, value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        head(out, 0xce, value.to_be_bytes());
    } else {
        head(out, 0xcf, value.to_be_bytes());
    }
}

/// Writes an integer: MP_UINT when it is not negative, else MP_INT.
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        write_uint(out, value);
    } else if value >= -32 {
        out.push(value as u8);
    } else if let Ok(value) = i8::try_from(value) {
        head(out, 0xd0, value.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        head(out, 0xd1, value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        head(out, 0xd2, value.to_be_bytes());
    } else {
        head(out, 0xd3, value.to_be_bytes());
    }
}

/// Writes an MP_FLOAT.
pub fn write_f32(out: &mut Vec<u8>, value: f32) {
    head(out, 0xca, value.to_be_bytes());
}

/// Writes an MP_DOUBLE.
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    head(out, 0xcb, value.to_be_bytes());
}

/// Writes an MP_STR.
#[inline]
pub fn write_str(out: &mut Vec<u8>, value: impl AsRef<[u8]>) {
    let value = value.as_ref();
    let len = len32(value.len());
    match len {
        0..=31 => out.push(0xa0 | len as u8),
        32..=0xff => head(out, 0xd9, (len as u8).to_be_bytes()),
        0x100..=0xffff => head(out, 0xda, (len as u16).to_be_bytes()),
        _ => head(out, 0xdb, len.to_be_bytes()),
    }
    out.extend_from_slice(value);
}

/// Writes an MP_BIN.
pub fn write_bin(out: &mut Vec<u8>, value: &[u8]) {
    let len = len32(value.len());
    match len {
        0..=0xff => head(out, 0xc4, (len as u8).to_be_bytes()),
        0x100..=0xffff => head(out, 0xc5, (len as u16).to_be_bytes()),
        _ => head(out, 0xc6, len.to_be_bytes()),
    }
    out.extend_from_slice(value);
}

/// Writes the head of an array of `len` items.
#[inline]
pub fn write_array(out: &mut Vec<u8>, len: usize) {
    let len = len32(len);
    match len {
        0..=15 => out.push(0x90 | len as u8),
        16..=0xffff => head(out, 0xdc, (len as u16).to_be_bytes()),
        _ => head(out, 0xdd, len.to_be_bytes()),
    }
}

/// Writes the head of a map of `len` pairs.
#[inline]
pub fn write_map(out: &mut Vec<u8>, len: usize) {
    let len = len32(len);
    match len {
        0..=15 => out.push(0x80 | len as u8),
        16..=0xffff => head(out, 0xde, (len as u16).to_be_bytes()),
        _ => head(out, 0xdf, len.to_be_bytes()),
    }
}

/// Writes an extension with the shortest header that fits.
pub fn write_ext(out: &mut Vec<u8>, kind: i8, payload: &[u8]) {
    let len = len32(payload.len());
    match len {
        1 | 2 | 4 | 8 | 16 => out.push(0xd4 + len.trailing_zeros() as u8),
        0..=0xff => head(out, 0xc7, (len as u8).to_be_bytes()),
        0x100..=0xffff => head(out, 0xc8, (len as u16).to_be_bytes()),
        _ => head(out, 0xc9, len.to_be_bytes()),
    }
    out.push(kind as u8);
    out.extend_from_slice(payload);
}

#[inline]
fn head<const N: usize>(out: &mut Vec<u8>, code: u8, bytes: [u8; N]) {
    out.push(code);
    out.extend_from_slice(&bytes);
}

fn len32(len: usize) -> u32 {
    u32::try_from(len).expect("a MsgPack length fits in 32 bits")
}
