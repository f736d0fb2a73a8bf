//! Everything that is read from others, fed with good examples that were damaged: nothing panics, nothing reads more
//! than there is, and what was foreign once does not become a header by more bytes.

use hostfiles::{Endpoints, Format, Peers, PortMappings, Routers};
use sns_proxy::Config;
use sns_proxy::header::{self, Parsed};
use sns_proxy::peers::message::Message;
use sns_proxy::peers::ticket::{Admission, Session, session_of};
use sns_proxy::request::Request;
use testkit::soak::{count, seed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::{Host, PORT, rest, within};
use crate::random::Random;

/// Good examples of what others say.
fn examples() -> Vec<Vec<u8>> {
    let v2 = |rest: &[u8]| [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), rest].concat();
    vec![
        b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nGET / HTTP/1.1\r\n".to_vec(),
        b"PROXY TCP6 ::1 fe80::2 0 65535\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2(&[0x21, 0x11, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 1, 0]),
        v2(&[0x20, 0, 0, 0]),
        v2(&[0x21, 0x21, 0, 36]),
        b"has 61000 2 17 200\n".to_vec(),
        b"gone 61000\n".to_vec(),
        b"complete\n".to_vec(),
        b"SENDPROXY=true\r\nBUSY\r\n".to_vec(),
        Session::new([7; 16], &[1; 32]).ticket().to_vec(),
        b"cluster=61000 host=30000 target=80 pid=1 start=2 max=5 in=required out=v2 pod=web-1.0.0\n".to_vec(),
        b"61000:30000:10:true 61001:30001:1:false\n".to_vec(),
        b"10.0.0.1:32767\n[fd00::2]:1;10.0.0.3:2\n".to_vec(),
        b"10.0.0.1:1 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n".to_vec(),
        b"HOSTSCONF h\nPORTSCONF p\nQUEUE 7\nCLUSTERPORTS 1-5,61000\nLEGACY yes\n".to_vec(),
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3],
    ]
}

/// One of them, damaged here and there.
fn damaged(examples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = examples[random.place(examples.len())].clone();
    for _ in 0..random.below(6) {
        let place = random.place(bytes.len() + 1);
        let byte = u8::try_from(random.below(256)).unwrap();
        match random.below(6) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, byte),
            2 => bytes.extend_from_slice(&examples[random.place(examples.len())]),
            3 => bytes.extend(std::iter::repeat_n(byte, random.place(300))),
            _ => {
                if let Some(at) = bytes.get_mut(place) {
                    *at ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}

fn headers(bytes: &[u8], random: &mut Random) {
    match header::parse(bytes) {
        Parsed::Complete { header, length } => {
            assert!(length <= bytes.len());
            // A header is what its bytes say, whatever follows them.
            let again = header::parse(&bytes[..length]);
            assert_eq!(again, Parsed::Complete { header, length });
        }
        Parsed::Partial => {}
        Parsed::Foreign => {
            let mut more = bytes.to_vec();
            more.extend((0..random.below(40)).map(|_| u8::try_from(random.below(256)).unwrap()));
            more.extend_from_slice(b"\r\n");
            assert_eq!(header::parse(&more), Parsed::Foreign, "{bytes:?}");
        }
    }
}

/// What was understood is written so that it is understood the same way.
fn stays<F: Format>(text: &str) {
    if let Ok(read) = F::parse(text) {
        let written = read.to_text();
        let again = F::parse(&written).map(|again| again.to_text());
        assert_eq!(again.ok(), Some(written), "{text:?}");
    }
}

fn texts(text: &str) {
    stays::<Endpoints>(text);
    stays::<PortMappings>(text);
    stays::<Routers>(text);
    stays::<Peers>(text);
    if let Err(problems) = Config::parse(text) {
        assert!(!problems.is_empty());
    }
    for line in text.lines() {
        if let Ok(message) = Message::parse(line)
            && message != Message::Unknown
        {
            assert_eq!(message.to_string().trim_end(), line);
        }
    }
}

#[test]
fn whatever_others_say_is_understood_or_refused() {
    let seed = seed();
    println!("SOAK_SEED={seed}");
    let (examples, mut random) = (examples(), Random::new(seed));
    let mut door = Admission::new(&[1; 32]);
    let good = Session::new([7; 16], &[1; 32]).ticket();
    assert!(door.admit(&good));
    for _ in 0..count(1_000_000) {
        let bytes = damaged(&examples, &mut random);
        headers(&bytes, &mut random);
        texts(&String::from_utf8_lossy(&bytes));
        if let Some(request) = bytes.first_chunk().and_then(Request::parse) {
            assert_eq!(Request::parse(&request.to_bytes()), Some(request));
        }
        if let Some(ticket) = bytes.first_chunk() {
            let _ = session_of(ticket);
            // The one good ticket was taken, and no damage makes another one.
            assert!(!door.admit(ticket));
        }
    }
}

/// What somebody who is no proxy of the cluster says at its port for proxies.
#[tokio::test]
async fn no_stranger_keeps_a_proxy_from_serving() {
    let seed = seed();
    println!("SOAK_SEED={seed}");
    let (examples, mut random) = (examples(), Random::new(seed));
    for settings in ["", "LEGACY yes"] {
        let host = Host::start().await;
        host.set(settings).await;
        host.mapped(1000, false).await.answering("pod");
        for _ in 0..count(2000) {
            let bytes = damaged(&examples, &mut random);
            let mut stranger = within(TcpStream::connect(host.relay())).await.unwrap();
            // It may be reset before it has said all.
            let _ = stranger.write_all(&bytes).await;
            let _ = stranger.shutdown().await;
            let mut answer = Vec::new();
            let _ = within(stranger.read_to_end(&mut answer)).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(
                settings.contains("LEGACY") || !answer.contains("pod"),
                "{bytes:?}: {answer}"
            );
        }
        assert_eq!(rest(&mut host.connect(PORT).await).await, "pod");
    }
}
