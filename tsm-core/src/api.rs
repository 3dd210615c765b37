//! The public items of this crate, and of what it passes on of `tsm-format`, as one text, `api.txt`: so that a change of them is seen where it is looked through.
//!
//! It is made from the source: all that is `pub` and not of a test, without bodies, private fields and docs. The lint `unreachable_pub` sees to it
//! that what is `pub` can be reached.

use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens as _;
use syn::{Attribute, Fields, ImplItem, Item, Visibility};

const SOURCES: [(&str, &str); 2] = [
    (concat!(env!("CARGO_MANIFEST_DIR"), "/src"), "tsm_core"),
    (
        concat!(env!("CARGO_MANIFEST_DIR"), "/../tsm-format/src"),
        "tsm_format",
    ),
];
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api.txt");

#[test]
fn the_public_items_are_those_that_were_looked_through() {
    let mut text = String::new();
    for (source, name) in SOURCES {
        let source = Path::new(source);
        module(&source.join("lib.rs"), source, name, &mut text);
    }
    if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
        fs::write(SNAPSHOT, text).unwrap();
        return;
    }
    let known = fs::read_to_string(SNAPSHOT).unwrap_or_default();
    if known == text {
        return;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(&known), lines(&text));
    let gone = old
        .iter()
        .filter(|line| !new.contains(line))
        .map(|line| format!("- {line}"));
    let added = new
        .iter()
        .filter(|line| !old.contains(line))
        .map(|line| format!("+ {line}"));
    let changes: Vec<String> = gone.chain(added).take(40).collect();
    panic!(
        "the public items of tsm-core changed:\n{}\nIf that is meant: SNAPSHOTS=overwrite cargo test -p tsm-core --lib api",
        changes.join("\n")
    );
}

/// Appends what a file has, then what the modules below it have, whose files are in `below`.
fn module(file: &Path, below: &Path, path: &str, text: &mut String) {
    let source = fs::read_to_string(file).unwrap();
    let parsed = syn::parse_file(&source).unwrap();
    let mut modules: Vec<PathBuf> = Vec::new();
    let mut items = Vec::new();
    for item in parsed.items {
        match item {
            Item::Mod(inner) if is_of_tests(&inner.attrs) => {}
            Item::Mod(inner) if inner.content.is_none() => {
                modules.push(below.join(inner.ident.to_string()));
            }
            item => items.extend(public(item)),
        }
    }
    if !items.is_empty() {
        let file = syn::File {
            shebang: None,
            frontmatter: None,
            attrs: Vec::new(),
            items,
        };
        let shown = prettyplease::unparse(&file).replace(" {}\n", ";\n");
        text.extend(["// ", path, "\n", &shown, "\n"]);
    }
    modules.sort();
    for inner in modules {
        let name = inner.file_name().unwrap_or_default().to_string_lossy();
        let path = format!("{path}::{name}");
        module(&inner.with_extension("rs"), &inner, &path, text);
    }
}

/// The item as others see it, if they see it.
fn public(mut item: Item) -> Option<Item> {
    if let Item::Impl(item) = item {
        return public_of_impl(item).map(Item::Impl);
    }
    let visibility = match &mut item {
        Item::Fn(item) => {
            item.block.stmts.clear();
            keep_what_counts(&mut item.attrs);
            &item.vis
        }
        Item::Struct(item) => {
            keep_what_counts(&mut item.attrs);
            fields(&mut item.fields);
            &item.vis
        }
        Item::Enum(item) => {
            keep_what_counts(&mut item.attrs);
            for variant in &mut item.variants {
                variant.attrs.clear();
                match &mut variant.fields {
                    Fields::Named(named) => named.named.iter_mut().for_each(|f| f.attrs.clear()),
                    Fields::Unnamed(unnamed) => {
                        unnamed.unnamed.iter_mut().for_each(|f| f.attrs.clear());
                    }
                    Fields::Unit => {}
                }
            }
            &item.vis
        }
        Item::Const(item) => {
            keep_what_counts(&mut item.attrs);
            &item.vis
        }
        Item::Type(item) => {
            keep_what_counts(&mut item.attrs);
            &item.vis
        }
        Item::Trait(item) => {
            keep_what_counts(&mut item.attrs);
            for inner in &mut item.items {
                if let syn::TraitItem::Fn(inner) = inner {
                    inner.attrs.clear();
                    inner.default = None;
                }
            }
            &item.vis
        }
        Item::Use(item) => &item.vis,
        _ => return None,
    };
    is_public(visibility).then_some(item)
}

/// For whom it is and, where it is no trait's, what is public of it.
fn public_of_impl(mut item: syn::ItemImpl) -> Option<syn::ItemImpl> {
    if is_of_tests(&item.attrs) {
        return None;
    }
    item.attrs.clear();
    if item.trait_.is_some() {
        // The trait says what it does.
        item.items.clear();
        return Some(item);
    }
    item.items.retain(|inner| match inner {
        ImplItem::Fn(inner) => is_public(&inner.vis) && !is_of_tests(&inner.attrs),
        ImplItem::Const(inner) => is_public(&inner.vis),
        _ => false,
    });
    for inner in &mut item.items {
        match inner {
            ImplItem::Fn(inner) => {
                inner.attrs.clear();
                inner.block.stmts.clear();
            }
            ImplItem::Const(inner) => inner.attrs.clear(),
            _ => {}
        }
    }
    (!item.items.is_empty()).then_some(item)
}

/// Only what others may name stays, and that there is more.
fn fields(fields: &mut Fields) {
    match fields {
        Fields::Named(named) => {
            let all = named.named.len();
            let kept = std::mem::take(&mut named.named).into_iter();
            named.named = kept.filter(|field| is_public(&field.vis)).collect();
            named.named.iter_mut().for_each(|field| field.attrs.clear());
            if named.named.len() < all {
                // A type that is none: there is more, which is nobody's business.
                let more: syn::FieldsNamed = syn::parse_quote!({ private: _ });
                named.named.extend(more.named);
            }
        }
        Fields::Unnamed(unnamed) => {
            unnamed.unnamed.iter_mut().for_each(|field| {
                field.attrs.clear();
                if !is_public(&field.vis) {
                    field.ty = syn::parse_quote!(_);
                }
            });
        }
        Fields::Unit => {}
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_of_tests(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.to_token_stream().to_string().replace(' ', "") == "#[cfg(test)]")
}

/// What is derived, and whether it may grow, is seen from outside.
fn keep_what_counts(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| {
        let path = attribute.path();
        path.is_ident("derive") || path.is_ident("non_exhaustive") || path.is_ident("must_use")
    });
}
