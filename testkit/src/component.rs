//! Components that are made by hand, byte by byte: what no compiler would write, and what an attacker might.

/// One section of a component: its number, its length, its content.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut section = vec![id];
    let mut left = content.len();
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or_default();
        left >>= 7;
        if left == 0 {
            section.push(low);
            break;
        }
        section.push(low | 0x80);
    }
    section.extend_from_slice(content);
    section
}

/// A name, of less than 128 bytes.
fn name(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[length], name.as_bytes()].concat()
}

/// The bytes that begin a component, then these sections of its own (name and content).
#[must_use]
pub fn component(custom: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for (section_name, content) in custom {
        bytes.extend(section(0, &[&name(section_name), *content].concat()));
    }
    bytes
}

/// A component named `greedy 1.0.0` that imports one instance, with one function without parameters.
#[must_use]
pub fn importing(import: &str, function: &str) -> Vec<u8> {
    let manifest: &[u8] = b"id: greedy\nversion: 1.0.0\ncontract: 0.1.0\ndescription: d\nlicence: MIT\nauthors: [a]\nshapes: [{kind: greedy, units: things, keys: [], volumeTypes: []}]\n";
    let instance = [
        // One type: an instance of a function type and an export of it.
        [0x01, 0x42, 0x02, 0x01, 0x40, 0x00, 0x01, 0x00, 0x04, 0x00].as_slice(),
        &name(function),
        &[0x01, 0x00],
    ]
    .concat();
    let imports = [[0x01, 0x00].as_slice(), &name(import), &[0x05, 0x00]].concat();
    [
        component(&[]),
        section(7, &instance),
        section(10, &imports),
        section(
            0,
            &[name("simplenetes:manifest"), manifest.to_vec()].concat(),
        ),
    ]
    .concat()
}
