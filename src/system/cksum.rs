//! The sum of a file as `cksum` prints it: the one that every POSIX system can make.
//!
//! Follows POSIX.1, "cksum". Finds damage, not malice.

/// The polynomial of POSIX, highest power left out.
const POLYNOMIAL: u32 = 0x04c1_1db7;

/// The sum of bytes; their number is the other half of what `cksum` prints.
pub(super) fn cksum(bytes: &[u8]) -> u32 {
    let mut sum = 0;
    for byte in bytes {
        sum = step(sum, *byte);
    }
    // The length follows, lowest byte first, without the zeros above it.
    let mut length = bytes.len();
    while length > 0 {
        sum = step(sum, length.to_le_bytes()[0]);
        length >>= 8;
    }
    !sum
}

fn step(sum: u32, byte: u8) -> u32 {
    let mut sum = sum ^ (u32::from(byte) << 24);
    for _ in 0..8 {
        sum = (sum << 1)
            ^ if sum & 0x8000_0000 == 0 {
                0
            } else {
                POLYNOMIAL
            };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_program() {
        for (bytes, sum) in [
            (b"".to_vec(), 4_294_967_295),
            (b"a\n".to_vec(), 2_418_082_923),
            (b"123456789".to_vec(), 930_766_865),
            (vec![0; 70_000], 1_774_371_287),
        ] {
            assert_eq!(cksum(&bytes), sum, "{} bytes", bytes.len());
        }
    }
}
