//! Words that nobody can guess.

/// A prefix and 128 random bits in hexadecimal; `None` if the operating system gives no randomness.
pub(super) fn secret(prefix: &str) -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{prefix}{:032x}", u128::from_be_bytes(bytes)))
}

/// A number that no other is equal to, for what is found by it inside of the process.
pub(super) fn number() -> Option<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_never_the_same() {
        let (one, other) = (secret("k").unwrap(), secret("k").unwrap());
        assert!(one != other && one.len() == 33 && one.starts_with('k'));
    }
}
