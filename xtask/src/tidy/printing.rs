//! Only `ui.rs` and `main.rs` print: a library returns values, and one place decides how they look.

use syn::visit::{self, Visit};
use syn::{ImplItemFn, ItemFn, ItemMod, Macro};

use super::modules::{is_for_tests, shipped};
use super::tree::file_name;
use super::{Problem, Tree};

/// The macros that write to the terminal.
const PRINTING: [&str; 4] = ["print", "println", "eprint", "eprintln"];

/// The files that may, and build scripts, which speak to Cargo on standard output.
const PRINTERS: [&str; 3] = ["ui.rs", "main.rs", "build.rs"];

/// Reports every printing macro anywhere else.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    shipped(tree)
        .filter(|(path, _)| !PRINTERS.contains(&file_name(path)))
        .flat_map(|(path, text)| prints(path, text))
        .collect()
}

fn prints(path: &str, text: &str) -> Vec<Problem> {
    let mut finder = Finder {
        path,
        problems: Vec::new(),
    };
    if let Ok(file) = syn::parse_file(text) {
        finder.visit_file(&file);
    }
    finder.problems
}

struct Finder<'a> {
    path: &'a str,
    problems: Vec<Problem>,
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        let Some(name) = called.path.segments.last() else {
            return;
        };
        if PRINTING.iter().any(|printing| name.ident == printing) {
            let text = format!(
                "`{}!` outside ui.rs and main.rs; return the text",
                name.ident
            );
            self.problems.push(Problem::new(
                self.path,
                name.ident.span().start().line,
                text,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "fn f() {\n    std::eprintln!(\"x\");\n}\n#[cfg(test)] mod tests { fn g() { println!() } }\n// println!()\n";

    #[test]
    fn only_the_named_files_print() {
        let manifest = ("a/Cargo.toml", "[package]\nname = \"a\"\n");
        let tree = [
            manifest,
            ("a/src/lib.rs", CODE),
            ("a/src/main.rs", CODE),
            ("a/build.rs", CODE),
        ];
        let found = check(&Tree::of(&tree));
        let expected = "a/src/lib.rs:2: `eprintln!` outside ui.rs and main.rs; return the text";
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [expected]
        );
    }
}
