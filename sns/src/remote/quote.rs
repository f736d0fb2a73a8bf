//! The one place where a command becomes a line of shell: an SSH server gives the line to the login shell of the
//! user, so there is no way around it.

use super::command::{Command, NOT_STARTED};

/// The line by which a POSIX shell becomes exactly this command. None when a word has a NUL byte, which no
/// command line can carry.
pub(super) fn line(command: &Command) -> Option<String> {
    let all = command.words().iter().map(String::as_str);
    if all
        .chain(command.directory())
        .any(|word| word.contains('\0'))
    {
        return None;
    }
    let words: Vec<String> = command.words().iter().map(|word| quoted(word)).collect();
    let become_it = format!("exec {}", words.join(" "));
    Some(match command.directory() {
        Some(directory) => {
            let directory = quoted(&explicit(directory));
            format!("cd {directory} || exit {NOT_STARTED}; {become_it}")
        }
        None => become_it,
    })
}

/// A relative directory that is not searched for elsewhere (CDPATH), nor taken for an option or for `-`.
fn explicit(directory: &str) -> String {
    match directory.starts_with('/') {
        true => directory.to_owned(),
        false => format!("./{directory}"),
    }
}

/// A word that the shell takes as it is.
fn quoted(word: &str) -> String {
    // Neither `=` nor `~` nor braces: each means something to some shell at some place.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,@+%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What a real shell makes of the line.
    fn by_shell(line: &str) -> std::process::Output {
        #[expect(clippy::disallowed_methods, reason = "the shell is what is asked here")]
        let mut shell = std::process::Command::new("sh");
        let shell = shell.arg("-c").arg(line).stdin(Stdio::null());
        shell.current_dir("/").output().unwrap()
    }

    fn cases() -> ProptestConfig {
        let soak = std::env::var("SOAK")
            .ok()
            .and_then(|text| text.parse::<u32>().ok());
        ProptestConfig::with_cases(5 * soak.unwrap_or(10).max(10))
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn every_word_arrives_as_it_is(words in vec("([ -~\n\t\r]|[äé€😀]){0,12}", 1..6)) {
            let command = Command::new("printf").arg("%s\\0").args(words.clone());
            let out = by_shell(&line(&command).unwrap()).stdout;
            let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn lines() {
        let check = |command: Command, expected: &str| {
            assert_eq!(line(&command).as_deref(), Some(expected));
        };
        check(
            Command::new("ls").arg("-l").arg("/a b"),
            "exec ls -l '/a b'",
        );
        check(Command::new("A=b").arg("~").arg(""), "exec 'A=b' '~' ''");
        check(
            Command::new("it's").in_directory("-"),
            r"cd ./- || exit 126; exec 'it'\''s'",
        );
        assert_eq!(line(&Command::new("a\0b")), None);
        assert_eq!(line(&Command::new("a").in_directory("\0")), None);
    }

    #[test]
    fn a_directory_that_is_not_there_starts_nothing() {
        let there = Command::new("pwd").in_directory("usr");
        assert_eq!(by_shell(&line(&there).unwrap()).stdout, b"/usr\n");
        let missing = Command::new("echo").arg("no").in_directory("/no/such");
        let out = by_shell(&line(&missing).unwrap());
        assert_eq!(
            (out.status.code(), out.stdout.as_slice()),
            (Some(126), b"".as_slice())
        );
    }
}
