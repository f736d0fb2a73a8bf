//! Parsers that strangers feed: no text makes them fail, and what is written is read back.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use proptest::sample::select;
use sns_proxy::header::{Header, LENGTH_BYTES_MAX, Parsed, parse};
use sns_proxy::opening::{Begun, Heard, Manner, Opening, Verdict};
use sns_proxy::table::{Accept, Send};
use sns_proxy::{Config, Patience};

/// How often to try: as often as `SOAK` says, else `usually`; at least 10 times.
pub(crate) fn soak(usually: u32) -> u32 {
    std::env::var("SOAK")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usually)
        .max(10)
}

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: soak(26),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

/// Streams that are headers, nearly headers, or anything.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let header =
        (address(), address()).prop_map(|(from, to)| Header::of(from, to).to_string().into_bytes());
    let near = "PROXY (TCP4|TCP6|UNKNOWN)[ 0-9a-f.:\r\n]{0,120}".prop_map(String::into_bytes);
    let binary = any::<Vec<u8>>().prop_map(|rest| {
        let length = u16::try_from(rest.len()).unwrap_or_default().to_be_bytes();
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &length, &rest].concat()
    });
    let head = prop_oneof![header, near, binary, Just(Vec::new())];
    (head, any::<Vec<u8>>()).prop_map(|(head, tail)| [head, tail].concat())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_header_is_read_back(from in address(), to in address(), tail in any::<Vec<u8>>()) {
        let header = Header::of(from, to);
        let text = header.to_string();
        prop_assert!(text.len() <= LENGTH_BYTES_MAX);
        let stream = [text.as_bytes(), &tail].concat();
        prop_assert_eq!(parse(&stream), Parsed::Complete { header, length: text.len() });
        for end in 0..text.len() {
            prop_assert_eq!(parse(&stream[..end]), Parsed::Partial);
        }
    }

    #[test]
    fn a_binary_header_is_read_back(from in address(), to in address(), tail in any::<Vec<u8>>()) {
        for header in [Header::of(from, to), Header::Unknown] {
            let bytes = header.bytes(Send::V2);
            let stream = [&bytes[..], &tail].concat();
            prop_assert_eq!(parse(&stream), Parsed::Complete { header, length: bytes.len() });
            for end in 0..bytes.len() {
                prop_assert_eq!(parse(&stream[..end]), Parsed::Partial);
            }
        }
    }

    #[test]
    fn more_bytes_never_change_an_answer(stream in stream()) {
        let mut known = Parsed::Partial;
        for end in 0..=stream.len() {
            let now = parse(&stream[..end]);
            prop_assert!(known == Parsed::Partial || known == now, "{known:?} became {now:?}");
            known = now;
        }
    }

    #[test]
    fn the_pieces_of_a_stream_do_not_matter(
        stream in stream(),
        cut in 1_usize..50,
        accept in select(Accept::ALL.to_vec()),
        send in select(Send::ALL.to_vec()),
    ) {
        let made = Header::of("1.2.3.4:5".parse().unwrap(), "6.7.8.9:10".parse().unwrap());
        let passed = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let begun = Opening::begin(Manner { accept, send }, Some(made), Patience::default());
            let (mut opening, mut out) = match begun {
                Begun::Done(bytes) => (None, bytes),
                Begun::Listens(opening) => (Some(opening), Vec::new()),
            };
            for piece in pieces {
                match opening.as_mut().map(|opening| opening.hear(Heard::Bytes(piece))) {
                    None => out.extend_from_slice(piece),
                    Some(Verdict::Hold) => {}
                    Some(Verdict::Send(bytes)) => out.extend(bytes),
                    Some(Verdict::Done(bytes)) => { out.extend(bytes); opening = None; }
                    Some(Verdict::Refuse(_)) => return None,
                }
            }
            match opening.map(|mut opening| opening.hear(Heard::End)) {
                Some(Verdict::Done(bytes)) => out.extend(bytes),
                Some(Verdict::Refuse(_)) => return None,
                _ => {}
            }
            Some(out)
        };
        let whole: &[u8] = &stream;
        let at_once = passed(&mut [whole].into_iter().filter(|s| !s.is_empty()));
        prop_assert_eq!(passed(&mut stream.chunks(cut)), at_once.clone());
        // Whoever has to bring a header brings one, or nothing arrives.
        if at_once.is_none() {
            prop_assert_eq!(accept, Accept::Required);
        }
    }

    #[test]
    fn no_text_breaks_the_settings(text in "([A-Za-z]{0,12}|HOST|PORT|CLUSTERPORTS|DRAIN|#)[ -~\t\r]{0,30}(\n[ -~]{0,40}){0,5}") {
        if let Err(problems) = Config::parse(&text) {
            prop_assert!(!problems.is_empty());
            let lines = text.lines().count();
            prop_assert!(problems.iter().all(|problem| problem.line.is_none_or(|line| (1..=lines).contains(&line))));
        }
    }

    #[test]
    fn settings_are_read_back(host: IpAddr, port in 1_u16.., first in 1_u16..1000, span in 0_u16..1000, drain in 0_u64..=3600) {
        let text = format!(
            "hostsconf ../h\nPORTSCONF\t/p q\nHost {host}\n\n# no\nport {port}\nCLUSTERPORTS {first}-{}\nDrain {drain}",
            first + span,
        );
        let config = Config::parse(&text).unwrap();
        prop_assert_eq!((config.host, config.port), (Some(host), Some(port)));
        prop_assert_eq!(config.drain.as_secs(), drain);
        prop_assert!(config.cluster_ports.contains(first) && config.cluster_ports.contains(first + span));
        prop_assert!(!config.cluster_ports.contains(first + span + 1));
    }
}
