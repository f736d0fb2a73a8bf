//! Every file that two programs share is described in `docs/HOST_FILES.md`.
//!
//! The names come from the code of `hostfiles`: the `NAME` of each format, and every file name that a
//! path function joins.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use syn::{Expr, ExprMethodCall, ImplItemConst, ItemMod, Lit};

use super::modules::{is_for_tests, shipped};
use super::{Problem, Tree};

/// Where the shared files are described.
const DOCUMENT: &str = "docs/HOST_FILES.md";

/// The package that knows them.
const CODE: &str = "hostfiles/src/";

/// Reports names that stand in the code and not in the document.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let document = tree.text(DOCUMENT).unwrap_or_default();
    let sources = shipped(tree).filter(|(path, _)| path.starts_with(CODE));
    let named = sources.flat_map(|(path, text)| {
        names(text)
            .into_iter()
            .map(move |name| (path.to_owned(), name))
    });
    named
        .filter(|(_, name)| !document.contains(name.as_str()))
        .map(|(path, name)| Problem::new(&path, 1, format!("{DOCUMENT} does not name `{name}`")))
        .collect()
}

fn names(text: &str) -> BTreeSet<String> {
    let mut finder = Finder::default();
    if let Ok(file) = syn::parse_file(text) {
        finder.visit_file(&file);
    }
    finder.names
}

#[derive(Default)]
struct Finder {
    names: BTreeSet<String>,
}

impl Finder {
    fn add(&mut self, value: &Expr) {
        let Expr::Lit(literal) = value else { return };
        if let Lit::Str(text) = &literal.lit {
            self.names.insert(text.value());
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_impl_item_const(&mut self, constant: &'ast ImplItemConst) {
        if constant.ident == "NAME" {
            self.add(&constant.expr);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if let (true, Some(argument)) = (call.method == "join", call.args.first()) {
            // `parts.join(", ")` joins words, not paths.
            let is_name = |name: &String| !name.contains([' ', '\n', ',']) && !name.is_empty();
            self.add(argument);
            self.names.retain(is_name);
        }
        visit::visit_expr_method_call(self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE_TEXT: &str = "impl Format for A { const NAME: &'static str = \"a.conf\"; }\n\
        fn b(home: &Path) -> PathBuf { home.join(\"b.txt\") }\n\
        fn c(words: &[String]) -> String { words.join(\", \") }\n\
        #[cfg(test)] mod tests { fn d(x: &Path) { x.join(\"d.txt\"); } }\n";

    #[test]
    fn an_undescribed_file_is_reported() {
        let tree = Tree::of(&[
            ("hostfiles/Cargo.toml", "[package]\nname = \"hostfiles\"\n"),
            ("hostfiles/src/lib.rs", CODE_TEXT),
            (DOCUMENT, "`a.conf` has lines."),
        ]);
        let found = check(&tree)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(
            found,
            ["hostfiles/src/lib.rs:1: docs/HOST_FILES.md does not name `b.txt`"]
        );
    }
}
