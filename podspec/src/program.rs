//! Which file is a program that may be a pod by itself (`runtime: executable`). The rule is one for whoever
//! compiles such a pod and for the host that drives it.

use crate::FIRST_LINE;

/// How the files begin that the kernel executes: of an interpreter, and of a translated program.
const MAGICS: [&[u8]; 2] = [b"#!", b"\x7fELF"];

/// True when a file that begins so is a program, and no compiled pod. The beginning must be as long as
/// [`FIRST_LINE`] where the file is.
#[must_use]
pub fn begins_as_program(head: &[u8]) -> bool {
    let is_magic = MAGICS.iter().any(|magic| head.starts_with(magic));
    is_magic && !head.starts_with(FIRST_LINE.as_bytes())
}
