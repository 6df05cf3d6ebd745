//! Modules of one folder never import each other in a circle, whatever files inside of them do it.

use std::collections::BTreeMap;

use crate::rules::Breach;
use crate::source::{code, line_of, paths};

/// A module by its names, from the root of its crate.
type Module = Vec<String>;
/// What each module names: the file, the line, and the path.
type Named<'a> = BTreeMap<Module, Vec<(&'a str, usize, Module)>>;
/// Which module of a folder imports which other one, and the place of one such import.
type Arrows = BTreeMap<(Module, String, String), (String, usize)>;

/// The imports that close circles among the modules of one crate, whose root lies in `folder`.
pub(crate) fn check_circles(folder: &str, sources: &[&(String, String)]) -> Vec<Breach> {
    let mut named = Named::new();
    for (path, text) in sources {
        let (code, module) = (code(text), module(folder, path));
        let targets = targets(&module, &code).into_iter();
        let found = targets.map(|(at, target)| (path.as_str(), line_of(&code, at), target));
        named.entry(module).or_default().extend(found);
    }
    let mut arrows = Arrows::new();
    for (module, targets) in &named {
        for (path, line, target) in targets {
            let parent = module.iter().zip(target).take_while(|(own, other)| own == other).count();
            let (Some(from), Some(to)) = (module.get(parent), neighbour(&named, &module[..parent], target)) else {
                continue; // It names what is its own, or its parent's.
            };
            if *from != to {
                let place = || ((*path).to_owned(), *line);
                arrows.entry((module[..parent].to_vec(), from.clone(), to)).or_insert_with(place);
            }
        }
    }
    only_circles(&mut arrows);
    let breach = |((_, from, to), (path, line)): ((_, String, String), _)| Breach {
        path,
        line,
        what: format!("{from} imports {to}, from which imports lead back to {from}"),
    };
    arrows.into_iter().map(breach).collect()
}

/// The module of the folder `parent` that `target` leads into: by its path, or as an item that the parent has from there.
fn neighbour(named: &Named<'_>, parent: &[String], target: &Module) -> Option<String> {
    let child = |path: &Module| {
        let name = path.get(parent.len()).filter(|_| path.starts_with(parent))?;
        let is_module = named.keys().any(|module| module.starts_with(parent) && module.get(parent.len()) == Some(name));
        is_module.then(|| name.clone())
    };
    let passed_on = || {
        let name = target.get(parent.len())?;
        named.get(parent)?.iter().filter(|(.., path)| path.last() == Some(name)).find_map(|(.., path)| child(path))
    };
    child(target).or_else(passed_on)
}

/// Takes away what leads into no circle, or only out of one.
fn only_circles(arrows: &mut Arrows) {
    loop {
        let all: Vec<_> = arrows.keys().cloned().collect();
        arrows.retain(|(parent, from, to), _| {
            let goes_on = all.iter().any(|(place, start, _)| place == parent && start == to);
            goes_on && all.iter().any(|(place, _, end)| place == parent && end == from)
        });
        if arrows.len() == all.len() {
            return;
        }
    }
}

fn module(folder: &str, path: &str) -> Module {
    let inside = path.strip_prefix(folder).unwrap_or(path).trim_end_matches(".rs");
    let names = inside.strip_suffix("/mod").unwrap_or(inside).split('/').map(str::to_owned);
    names.filter(|name| !name.is_empty() && !matches!(&**name, "lib" | "main")).collect()
}

/// What a module names of its crate, from the root.
fn targets(module: &[String], code: &str) -> Vec<(usize, Module)> {
    let all = ["crate", "super", "self"].into_iter().flat_map(|root| paths(code, root));
    let absolute = all.map(|(at, path)| {
        let mut from = if path.first().is_some_and(|root| root == "crate") { Module::new() } else { module.to_vec() };
        for name in path {
            match &*name {
                "super" => _ = from.pop(),
                "self" | "crate" => {}
                _ => from.push(name),
            }
        }
        (at, from)
    });
    absolute.collect()
}
