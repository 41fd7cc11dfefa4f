//! The contract as data, and what may not change in it.
//!
//! The rules: a type, a signature or a world that was published stays as it is; an interface that plugins export stays
//! as it is altogether; one that they import may gain items, and interfaces and worlds may be added, each in a new
//! version of the package.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use wit_parser::{
    Function, FunctionKind, Handle, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldItem,
};

pub(crate) const LOST: &str = "plugins that were compiled with it would no longer load";
pub(crate) const CHANGED: &str = "compiled plugins hold the old form, and the host refuses to link another one; \
                       give the new form a new name";
pub(crate) const EXPORTED: &str =
    "plugins export this interface, and compiled ones lack the addition; make a new interface";
pub(crate) const WORLD: &str =
    "who builds for this world would have to grant or to implement something else; make a new world";
pub(crate) const VERSION: &str = "an addition is a new version; raise the last number of the package";
pub(crate) const BREAKING: &str = "a breaking version gets a folder of its own beside this one";

/// What a WIT folder says, without comments and order of declarations.
#[derive(Debug)]
pub(crate) struct Contract {
    packages: BTreeMap<String, Version>,
    /// By name with the package, without version.
    interfaces: BTreeMap<String, Interface>,
    /// The items of each world, by name with the package.
    worlds: BTreeMap<String, BTreeSet<String>>,
    exported: BTreeSet<String>,
}

type Version = (u64, u64, u64);

/// The items of an interface, each with its form as text.
#[derive(Debug, PartialEq)]
struct Interface {
    package: String,
    items: BTreeMap<String, String>,
}

/// One change that is not allowed.
#[derive(Debug)]
pub(crate) struct Breach {
    pub(crate) change: String,
    pub(crate) why: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    not allowed: {}", self.change, self.why)
    }
}

impl Contract {
    /// Reads a WIT folder.
    ///
    /// # Panics
    /// If it does not parse.
    pub(crate) fn read(dir: &Path) -> Self {
        let mut wit = Resolve::default();
        wit.push_dir(dir).unwrap_or_else(|error| panic!("{}: {error:#}", dir.display()));
        let mut contract = Self {
            packages: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            worlds: BTreeMap::new(),
            exported: BTreeSet::new(),
        };
        for (_, package) in &wit.packages {
            let version = package.name.version.as_ref().expect("packages of the contract have versions");
            let name = format!("{}:{}", package.name.namespace, package.name.name);
            contract.packages.insert(name.clone(), (version.major, version.minor, version.patch));
            for id in package.interfaces.values() {
                let interface = Interface { package: name.clone(), items: items(&wit, *id) };
                contract.interfaces.insert(interface_name(&wit, *id), interface);
            }
            for (world, id) in &package.worlds {
                let world_items = &wit.worlds[*id];
                let mut all = BTreeSet::new();
                for (direction, items) in [("import", &world_items.imports), ("export", &world_items.exports)] {
                    for item in items.values() {
                        let shown = match item {
                            WorldItem::Interface { id, .. } => interface_name(&wit, *id),
                            WorldItem::Function(function) => signature(&wit, function),
                            WorldItem::Type { id, .. } => definition(&wit, *id),
                        };
                        if direction == "export" {
                            contract.exported.insert(shown.clone());
                        }
                        all.insert(format!("{direction} {shown}"));
                    }
                }
                contract.worlds.insert(format!("{name}/{world}"), all);
            }
        }
        contract
    }

    /// What plugins that were compiled against `self` could not live with in `now`.
    pub(crate) fn breaches(&self, now: &Self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut refuse = |change: String, why| breaches.push(Breach { change, why });
        let mut grown = BTreeMap::new();
        for (name, before) in &self.interfaces {
            let Some(after) = now.interfaces.get(name) else {
                refuse(format!("interface {name} was removed"), LOST);
                continue;
            };
            for (item, form) in &before.items {
                match after.items.get(item) {
                    None => refuse(format!("{name}: {item} was removed"), LOST),
                    Some(new) if new != form => {
                        refuse(format!("{name}: {item} was changed\n    from: {form}\n      to: {new}"), CHANGED);
                    }
                    Some(_) => {}
                }
            }
            for item in after.items.keys().filter(|item| !before.items.contains_key(*item)) {
                if self.exported.contains(name) {
                    refuse(format!("{name}: {item} was added"), EXPORTED);
                } else {
                    grown.entry(after.package.clone()).or_insert_with(|| format!("{name}: {item} was added"));
                }
            }
        }
        for (name, before) in &self.worlds {
            match now.worlds.get(name) {
                None => refuse(format!("world {name} was removed"), LOST),
                Some(after) if after != before => {
                    let difference: Vec<_> = before.symmetric_difference(after).cloned().collect();
                    refuse(format!("world {name} was changed: {}", difference.join(", ")), WORLD);
                }
                Some(_) => {}
            }
        }
        for (name, new) in now.interfaces.iter().filter(|(name, _)| !self.interfaces.contains_key(*name)) {
            grown.entry(new.package.clone()).or_insert_with(|| format!("interface {name} was added"));
        }
        for name in now.worlds.keys().filter(|name| !self.worlds.contains_key(*name)) {
            let package = name.split('/').next().unwrap_or(name).to_owned();
            grown.entry(package).or_insert_with(|| format!("world {name} was added"));
        }
        for (package, before) in &self.packages {
            let Some(after) = now.packages.get(package) else { continue };
            let shown = |(major, minor, patch): Version| format!("{package}@{major}.{minor}.{patch}");
            if (after.0, after.1) != (before.0, before.1) || after < before {
                refuse(format!("{} became {}", shown(*before), shown(*after)), BREAKING);
            } else if after == before
                && let Some(growth) = grown.get(package)
            {
                refuse(format!("{growth}, and the package is still {}", shown(*before)), VERSION);
            }
        }
        breaches
    }
}

fn items(wit: &Resolve, id: InterfaceId) -> BTreeMap<String, String> {
    let interface = &wit.interfaces[id];
    let types = interface.types.iter().map(|(name, id)| (format!("type {name}"), definition(wit, *id)));
    let functions = interface.functions.values().map(|f| (format!("function {}", f.name), signature(wit, f)));
    types.chain(functions).collect()
}

fn interface_name(wit: &Resolve, id: InterfaceId) -> String {
    let interface = &wit.interfaces[id];
    let package = interface.package.map_or_else(String::new, |id| package_name(wit, id));
    format!("{package}/{}", interface.name.as_deref().unwrap_or("(inline)"))
}

fn package_name(wit: &Resolve, id: PackageId) -> String {
    let name = &wit.packages[id].name;
    format!("{}:{}", name.namespace, name.name)
}

fn signature(wit: &Resolve, function: &Function) -> String {
    let params: Vec<_> = function.params.iter().map(|p| format!("{}: {}", p.name, shown(wit, &p.ty))).collect();
    let result = function.result.as_ref().map_or_else(String::new, |ty| format!(" -> {}", shown(wit, ty)));
    let kind = match function.kind {
        FunctionKind::Freestanding => "func",
        FunctionKind::AsyncFreestanding => "async func",
        FunctionKind::Method(_) => "method",
        FunctionKind::AsyncMethod(_) => "async method",
        FunctionKind::Static(_) => "static func",
        FunctionKind::AsyncStatic(_) => "async static func",
        FunctionKind::Constructor(_) => "constructor",
    };
    format!("{}: {kind}({}){result}", function.name, params.join(", "))
}

/// A type where it is used: named ones by name, for their form is compared where they are defined.
fn shown(wit: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else { return format!("{ty:?}").to_lowercase() };
    match &wit.types[*id].name {
        Some(name) => name.clone(),
        None => definition(wit, *id),
    }
}

fn definition(wit: &Resolve, id: TypeId) -> String {
    let one = |ty: &Type| shown(wit, ty);
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), one);
    match &wit.types[id].kind {
        TypeDefKind::Record(record) => {
            let fields: Vec<_> = record.fields.iter().map(|f| format!("{}: {}", f.name, one(&f.ty))).collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        TypeDefKind::Variant(variant) => {
            let case = |name: &str, ty: &Option<Type>| match ty {
                Some(ty) => format!("{name}({})", one(ty)),
                None => name.to_owned(),
            };
            let cases: Vec<_> = variant.cases.iter().map(|c| case(&c.name, &c.ty)).collect();
            format!("variant {{ {} }}", cases.join(", "))
        }
        TypeDefKind::Enum(cases) => {
            let cases: Vec<_> = cases.cases.iter().map(|c| c.name.as_str()).collect();
            format!("enum {{ {} }}", cases.join(", "))
        }
        TypeDefKind::Flags(flags) => {
            let flags: Vec<_> = flags.flags.iter().map(|f| f.name.as_str()).collect();
            format!("flags {{ {} }}", flags.join(", "))
        }
        TypeDefKind::Resource => "resource".to_owned(),
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", shown(wit, &Type::Id(*id))),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", shown(wit, &Type::Id(*id))),
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", tuple.types.iter().map(one).collect::<Vec<_>>().join(", ")),
        TypeDefKind::Option(ty) => format!("option<{}>", one(ty)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err)),
        TypeDefKind::List(ty) => format!("list<{}>", one(ty)),
        TypeDefKind::Map(key, value) => format!("map<{}, {}>", one(key), one(value)),
        TypeDefKind::FixedLengthList(ty, length) => format!("list<{}, {length}>", one(ty)),
        TypeDefKind::Future(ty) => format!("future<{}>", maybe(ty)),
        TypeDefKind::Stream(ty) => format!("stream<{}>", maybe(ty)),
        TypeDefKind::Type(Type::Id(target)) => format!("= {}", qualified(wit, *target)),
        TypeDefKind::Type(ty) => format!("= {}", one(ty)),
        TypeDefKind::Unknown => unreachable!("a resolved package has no unknown types"),
    }
}

/// A type that is used from another interface, with that interface's name.
fn qualified(wit: &Resolve, id: TypeId) -> String {
    let name = shown(wit, &Type::Id(id));
    match wit.types[id].owner {
        TypeOwner::Interface(owner) => format!("{}.{name}", interface_name(wit, owner)),
        TypeOwner::World(_) | TypeOwner::None => name,
    }
}
