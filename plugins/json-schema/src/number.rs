//! JSON numbers as exactly as they are written.

use std::cmp::Ordering;

/// A decimal number: 0.`digits` × 10^`point`, with a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    negative: bool,
    /// Without zeros at either end; empty for 0.
    digits: String,
    /// 0 for 0.
    point: i64,
}

impl Number {
    /// Reads a number as JSON writes it. Exponents beyond 64 bits are cut to them.
    pub(crate) fn read(raw: &str) -> Self {
        let (negative, raw) = raw.strip_prefix('-').map_or((false, raw), |raw| (true, raw));
        let (mantissa, exponent) = raw.split_once(['e', 'E']).unwrap_or((raw, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let cut = if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
        let exponent = exponent.parse::<i64>().map_or(cut, |exponent| exponent.clamp(i64::MIN / 4, i64::MAX / 4));

        let all = format!("{whole}{fraction}");
        let from_first = all.trim_start_matches('0');
        let zeros = all.len() - from_first.len();
        let digits = from_first.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Self { negative: false, digits, point: 0 };
        }
        Self { negative, digits, point: exponent + length(whole.len()) - length(zeros) }
    }

    /// 10^this is what its last digit counts.
    fn exponent(&self) -> i64 {
        self.point - length(self.digits.len())
    }

    pub(crate) fn is_integer(&self) -> bool {
        self.digits.is_empty() || self.exponent() >= 0
    }

    pub(crate) const fn is_positive(&self) -> bool {
        !self.negative && !self.digits.is_empty()
    }

    /// A text that equal numbers have in common.
    pub(crate) fn canonical(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}.{}e{}", self.digits, self.point)
    }

    /// Whether this is a whole number of times the other; none where the other is 0 or has more digits than 64 bits.
    pub(crate) fn is_multiple_of(&self, other: &Self) -> Option<bool> {
        let divisor = u128::from(other.digits.parse::<u64>().ok()?);
        if self.digits.is_empty() {
            return Some(true);
        }
        // Ending in no zero, it is no multiple of ten times anything.
        let Ok(shift) = u64::try_from(self.exponent() - other.exponent()) else { return Some(false) };
        let left = self.digits.bytes().fold(0, |left, digit| (left * 10 + u128::from(digit - b'0')) % divisor);
        Some((left * power_of_ten(shift, divisor)).is_multiple_of(divisor))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => -1,
        };
        let size = self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        sign(self).cmp(&sign(other)).then(if self.negative { size.reverse() } else { size })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX / 4)
}

/// 10^`exponent` modulo the divisor, which fits into 64 bits.
fn power_of_ten(mut exponent: u64, divisor: u128) -> u128 {
    let (mut power, mut base) = (1 % divisor, 10 % divisor);
    while exponent > 0 {
        if exponent % 2 == 1 {
            power = power * base % divisor;
        }
        base = base * base % divisor;
        exponent /= 2;
    }
    power
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_their_order_whatever_their_size() {
        let ascending = [
            "-1e400",
            "-123456789012345678901",
            "-123456789012345678900",
            "-2",
            "-1.5",
            "-1",
            "-1e-99999999999999999999",
            "0",
            "1e-400",
            "0.1",
            "0.11",
            "0.9",
            "1",
            "1.0000000000000000001",
            "9",
            "10",
            "99",
            "100",
            "9007199254740992",
            "9007199254740993",
            "1e400",
            "1e99999999999999999999",
        ];
        for (index, small) in ascending.iter().enumerate() {
            assert_eq!(Number::read(small), Number::read(small));
            for great in &ascending[index + 1..] {
                assert!(Number::read(small) < Number::read(great), "{small} {great}");
            }
        }
        for equal in [["0", "-0.0e7"], ["1", "1.00"], ["100", "1e2"], ["0.01", "1E-2"], ["-120", "-1.2e+2"]] {
            let [a, b] = equal.map(Number::read);
            assert_eq!((a.cmp(&b), a.canonical()), (Ordering::Equal, b.canonical()), "{equal:?}");
        }
    }

    #[test]
    fn integers_and_multiples_are_exact() {
        for (number, is) in
            [("1", true), ("1.0", true), ("1e3", true), ("1.5e1", true), ("0.0", true), ("1.5", false), ("1e-1", false)]
        {
            assert_eq!(Number::read(number).is_integer(), is, "{number}");
        }
        for (number, of, is) in [
            ("10", "5", Some(true)),
            ("7", "2", Some(false)),
            ("0.3", "0.1", Some(true)),
            ("1.1", "0.01", Some(true)),
            ("0.0075", "0.0001", Some(true)),
            ("0.00751", "0.0001", Some(false)),
            ("4.5", "1.5", Some(true)),
            ("-9", "3", Some(true)),
            ("0", "3", Some(true)),
            ("1e400", "7", Some(false)),
            ("7e400", "7", Some(true)),
            ("1e99999999999999999999", "0.5", Some(true)),
            ("123456789012345678901234567890", "18446744073709551615", Some(false)),
            ("1", "0", None),
            ("1", "123456789012345678901", None),
        ] {
            assert_eq!(Number::read(number).is_multiple_of(&Number::read(of)), is, "{number} {of}");
        }
    }
}
