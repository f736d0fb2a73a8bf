//! The function ratchet: none outside tests has more than 70 lines.

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{ImplItemFn, ItemFn, ItemMod, TraitItemFn};

use super::modules::{is_for_tests, shipped};
use super::{Problem, Tree};

/// The longest function that fits on one screen with its head.
const LINES_MAX: usize = 70;

/// Reports every function that is too long.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    shipped(tree)
        .flat_map(|(path, text)| long_functions(path, text))
        .collect()
}

fn long_functions(path: &str, text: &str) -> Vec<Problem> {
    let mut finder = Finder {
        path,
        problems: Vec::new(),
    };
    match syn::parse_file(text) {
        Ok(file) => finder.visit_file(&file),
        Err(error) => finder.problems.push(unreadable(path, &error)),
    }
    finder.problems
}

fn unreadable(path: &str, error: &syn::Error) -> Problem {
    Problem::new(
        path,
        error.span().start().line,
        format!("not Rust: {error}"),
    )
}

struct Finder<'a> {
    path: &'a str,
    problems: Vec<Problem>,
}

impl Finder<'_> {
    fn measure(&mut self, name: &syn::Ident, head: Span, end: Span) {
        let first = head.start().line;
        let lines = end.end().line + 1 - first;
        if lines > LINES_MAX {
            let text = format!("`{name}` has {lines} lines; the limit is {LINES_MAX}");
            self.problems.push(Problem::new(self.path, first, text));
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !is_for_tests(&function.attrs) {
            self.measure(
                &function.sig.ident,
                function.sig.span(),
                function.block.span(),
            );
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.measure(
            &function.sig.ident,
            function.sig.span(),
            function.block.span(),
        );
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.measure(&function.sig.ident, function.sig.span(), function.span());
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = long_functions("a.rs", text);
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn a_function_of_71_lines_is_too_long() {
        let body = "\n".repeat(LINES_MAX);
        check(&format!("fn f() {{{}}}", &body[1..]), &[]);
        check(
            &format!("/// Words.\nfn f() {{{body}}}"),
            &["a.rs:2: `f` has 71 lines; the limit is 70"],
        );
        check(
            &format!("impl A {{ fn g() {{{body}}} }}"),
            &["a.rs:1: `g` has 71 lines; the limit is 70"],
        );
    }

    #[test]
    fn tests_are_excused_and_other_texts_reported() {
        let body = "\n".repeat(LINES_MAX);
        check(
            &format!("#[cfg(test)] mod tests {{ fn f() {{{body}}} }}"),
            &[],
        );
        assert_eq!(long_functions("a.rs", "fn {").len(), 1);
    }
}
