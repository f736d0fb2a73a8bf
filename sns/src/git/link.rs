//! When two git links lead to the same repository.

/// True when two links differ only in scheme, user, `.git` suffix, or `:` against `/` behind the server.
pub(crate) fn same_link(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(link: &str) -> String {
    let link = link.trim();
    let link = link.split_once("://").map_or(link, |(_, rest)| rest);
    let (server, path) = link
        .find(['/', ':'])
        .map_or((link, ""), |end| link.split_at(end));
    let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
    let path = path.trim_start_matches([':', '/']).trim_end_matches('/');
    let path = path
        .strip_suffix(".git")
        .unwrap_or(path)
        .trim_end_matches('/');
    format!("{server}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_place() {
        let spellings = [
            "https://example.com/team/web.git",
            "https://user@example.com/team/web",
            "git@example.com:team/web.git",
            "ssh://git@example.com/team/web/",
            "example.com/team/web",
        ];
        for link in spellings {
            assert!(same_link(link, spellings[0]), "{link} is the same place");
        }
        for link in [
            "https://example.com/team/web2",
            "https://example.org/team/web",
            "/team/web",
            "",
        ] {
            assert!(!same_link(link, spellings[0]), "{link} is another place");
        }
        assert!(same_link("/srv/git/web.git", "/srv/git/web"));
        assert!(same_link("file:///srv/git/web", "/srv/git/web"));
    }
}
