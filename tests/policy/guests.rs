//! Plugins for these tests, made on the spot: a core module in text form, wrapped into a component of a world.

use std::{fs, path::Path, sync::OnceLock};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What a puppet exports.
pub const EVERYTHING: &str = "
    import cordboard:plugin/request@0.1.0;
    import cordboard:host/log@0.1.0;
    export cordboard:plugin/meta@0.1.0;
    export cordboard:plugin/role-detection@0.1.0;
    export cordboard:plugin/channel-extraction@0.1.0;
    export cordboard:plugin/service-resolution@0.1.0;
    export cordboard:plugin/request-rewriting@0.1.0;
";

/// What a message filter imports and exports.
pub const FILTERING: &str = "
    import cordboard:plugin/request@0.1.0;
    import cordboard:plugin/connection@0.1.0;
    import cordboard:plugin/message@0.1.0;
    import cordboard:plugin/interest@0.1.0;
    import cordboard:host/log@0.1.0;
    export cordboard:plugin/meta@0.1.0;
    export cordboard:plugin/message-filtering@0.1.0;
";

/// Exports of a plugin that has no opinion on anything; what else it does is for the tests to add.
pub const SILENT: &str = r#"
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "cordboard:plugin/meta@0.1.0#init") (param i32 i32) (result i32) (i32.const 64))
    (func (export "cordboard:plugin/meta@0.1.0#describe") (result i32) (i32.const 64))
"#;

/// And of one that is asked for roles.
pub const ROLES: &str = "
    export cordboard:plugin/meta@0.1.0;
    export cordboard:plugin/role-detection@0.1.0;
";

/// `detect-role` that does `body` and has no opinion.
pub fn detect_role(body: &str) -> String {
    let name = "cordboard:plugin/role-detection@0.1.0#detect-role";
    format!(r#"(func (export "{name}") (result i32) {body} (i32.const 64))"#)
}

/// A plugin of these exports and imports.
pub struct Guest<'a> {
    /// Of its world.
    pub items: &'a str,
    /// Further packages, in WIT.
    pub packages: &'a [&'a str],
    /// What is changed in the contract it is built against, each `(from, to)`.
    pub changes: &'a [(&'a str, &'a str)],
}

impl Guest<'_> {
    pub fn of(items: &str) -> Guest<'_> {
        Guest { items, packages: &[], changes: &[] }
    }

    /// The component with this core module.
    pub fn build(&self, module: &str) -> Vec<u8> {
        let mut resolve = Resolve::default();
        for file in ["deps/host/host.wit", "plugin.wit"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit/v0.1").join(file);
            let mut text = fs::read_to_string(&path).unwrap();
            for (from, to) in self.changes {
                text = text.replace(from, to);
            }
            resolve.push_str(&path, &text).unwrap();
        }
        for package in self.packages {
            resolve.push_str("further.wit", package).unwrap();
        }
        let world = format!("package test:guest; world guest {{ {} }}", self.items);
        let package = resolve.push_str("world.wit", &world).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        let mut core = wat::parse_str(coded(module)).unwrap();
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().module(&core).unwrap().encode().unwrap()
    }
}

/// The component with so many instances more of another core module in it: nobody calls them, they are only there.
pub fn crammed(component: &[u8], module: &str, times: u8) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCE: u8 = 2;
    let (mut modules, mut rest) = (0u8, &component[8..]);
    while let Some((id, after)) = rest.split_first() {
        let (length, digits) = after.iter().enumerate().fold((0, None), |(length, digits), (n, byte)| match digits {
            None => (length | usize::from(byte & 0x7f) << (7 * n), (byte & 0x80 == 0).then_some(n + 1)),
            some => (length, some),
        });
        modules += u8::from(*id == CORE_MODULE);
        rest = &after[digits.unwrap() + length..];
    }
    let mut crammed = component.to_vec();
    let mut section = |id: u8, content: &[u8]| {
        assert!(content.len() < 128 && modules < 128 && times < 128, "one digit each");
        crammed.extend([id, u8::try_from(content.len()).unwrap()]);
        crammed.extend(content);
    };
    section(CORE_MODULE, &wat::parse_str(module).unwrap());
    // Each instantiates that module without arguments.
    section(CORE_INSTANCE, &[vec![times], [0, modules, 0].repeat(times.into())].concat());
    crammed
}

/// The puppet of `puppet.wat`.
pub fn puppet() -> &'static [u8] {
    static PUPPET: OnceLock<Vec<u8>> = OnceLock::new();
    PUPPET.get_or_init(|| Guest::of(EVERYTHING).build(include_str!("puppet.wat")))
}

/// The filter of `filter.wat`.
pub fn filter() -> &'static [u8] {
    static FILTER: OnceLock<Vec<u8>> = OnceLock::new();
    FILTER.get_or_init(|| Guest::of(FILTERING).build(include_str!("filter.wat")))
}

/// The same, which takes over connections of other versions: it keeps the version before in the place of what that has
/// kept. Configured with `N` it refuses, with `X` it traps.
pub fn migrating_filter() -> &'static [u8] {
    static FILTER: OnceLock<Vec<u8>> = OnceLock::new();
    const MIGRATE: &str = r#"
      (data (i32.const 64) "not me")
      (func (export "cordboard:plugin/filter-migration@0.1.0#migrate") (param $at i32) (param $length i32) (result i32)
        (if (i32.eq (global.get $do) (i32.const 'X')) (then unreachable))
        (call $set_attachment (local.get $at) (local.get $length) (i32.const 1056))
        (i32.store8 (i32.const 1072) (i32.eq (global.get $do) (i32.const 'N')))
        (call $string (i32.const 1076) (i32.const 64) (i32.const 6))
        (i32.const 1072)))"#;
    FILTER.get_or_init(|| {
        let module = include_str!("filter.wat").trim_end().strip_suffix(')').unwrap();
        let items = format!("{FILTERING} export cordboard:plugin/filter-migration@0.1.0;");
        Guest::of(&items).build(&format!("{module}{MIGRATE}"))
    })
}

/// A letter between quotes becomes its code.
fn coded(text: &str) -> String {
    let mut parts = text.split('\'');
    let mut coded = parts.next().unwrap_or_default().to_owned();
    while let Some(letter) = parts.next() {
        assert_eq!(letter.len(), 1, "not a letter between quotes: {letter:?}");
        coded.push_str(&letter.as_bytes()[0].to_string());
        coded.push_str(parts.next().unwrap());
    }
    coded
}
