use super::*;

fn all(query: &str, name: &str) -> Vec<Result<String, InvalidId>> {
    values(query, name).collect()
}

#[test]
fn values_are_percent_decoded_once_and_plus_stays_plus() {
    assert_eq!(all("id=a%20b+c", "id"), [Ok("a b+c".to_owned())]);
    assert_eq!(all("id=%2525", "id"), [Ok("%25".to_owned())]);
    assert_eq!(all("id=%C3%a9", "id"), [Ok("é".to_owned())]);
    assert_eq!(all("id=100%&id=%zz&id=%4", "id"), [Ok("100%".into()), Ok("%zz".into()), Ok("%4".into())]);
}

#[test]
fn all_values_come_in_order_and_a_bare_name_has_an_empty_one() {
    assert_eq!(
        all("id=1&x=2&id&id=&i%64=3=4", "id"),
        [Ok("1".into()), Ok(String::new()), Ok(String::new()), Ok("3=4".into())]
    );
    assert_eq!(all("idx=1&ID=2&xid=3", "id"), []);
    assert_eq!(all("", "id"), []);
}

#[test]
fn a_value_that_is_no_text_is_told_apart_from_one_that_is() {
    assert_eq!(all("id=%ff&id=%EF%BF%BD", "id"), [Err(InvalidId::NotUtf8), Ok("\u{fffd}".into())]);
}

#[test]
fn removal_leaves_the_others_as_they_were() {
    for (query, left) in [
        ("a=1&protocol=ws&b=%20+", Some("a=1&b=%20+")),
        ("protocol=ws", Some("")),
        ("protocol", Some("")),
        ("%70rotocol=ws&a", Some("a")),
        ("&protocol=x&", Some("&")),
        ("a=1&&b=%zz", None),
        ("xprotocol=1&protocolx=2&Protocol=3", None),
        ("", None),
    ] {
        assert_eq!(without(query, &["protocol"]).as_deref(), left, "{query:?}");
    }
}

/// A small generator (xorshift64*): the same queries in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// The name with some of its characters percent-encoded, in either case.
    fn encode(&mut self, name: &str) -> String {
        let mut encoded = String::new();
        for byte in name.bytes() {
            match self.below(6) {
                0 => encoded.extend([format!("%{byte:02x}")]),
                1 => encoded.extend([format!("%{byte:02X}")]),
                _ => encoded.push(char::from(byte)),
            }
        }
        encoded
    }
}

#[test]
fn whatever_the_query_the_other_pairs_stay_byte_identical_and_in_order() {
    const REMOVED: &[&str] = &["protocol", "service_id", "serviceId", "env_tag", "envTag"];
    const PIECES: &[&str] =
        &["", "a", "%", "%2", "%41", "%ff", "+", "=", "é", "?", ";", "protocol", "_", "service", "Id", "%5F", "/"];
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..20_000 {
        let mut expected = Vec::new();
        let mut query = Vec::new();
        for _ in 0..random.below(6) {
            let value: String = (0..random.below(4)).map(|_| random.pick(PIECES)).collect();
            if random.below(3) == 0 {
                let name = random.pick(REMOVED);
                let name = random.encode(name);
                query.push(if random.below(5) == 0 { name } else { format!("{name}={value}") });
            } else {
                // The prefix keeps the name apart from the removed ones whatever follows.
                let pair = format!("{}{value}", random.pick(&["x", "%78", "", "&"]));
                let name = pair.trim_start_matches('&').split('=').next().unwrap_or_default();
                if REMOVED.contains(&decode_lossy(name).as_ref()) {
                    continue;
                }
                expected.push(pair.clone());
                query.push(pair);
            }
        }
        let touched = expected.len() != query.len();
        let query = query.join("&");
        assert_eq!(without(&query, REMOVED), touched.then(|| expected.join("&")), "{query:?}");
        let left = without(&query, REMOVED).unwrap_or(query);
        assert!(REMOVED.iter().all(|name| values(&left, name).next().is_none()), "{left:?}");
    }
}
