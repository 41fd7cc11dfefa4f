//! `cordboard plugin component` and `plugin bindings`: what compilers leave that know of no components becomes a plugin that
//! `check` takes; what cannot is refused with what would be right.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::binary;
use tempfile::TempDir;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The exports of a plugin that has no opinion on the role; all that a function returns is zero.
const META: &str = r#"
    (memory (export "memory") 8)
    (global $next (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 3))))
    (func (export "cordboard:plugin/meta@0.1.0#init") (param i32 i32) (result i32) (i32.const 64))
    (func (export "cordboard:plugin/meta@0.1.0#describe") (result i32) (i32.const 64))
"#;
const ROLE: &str = r#"(func (export "cordboard:plugin/role-detection@0.1.0#detect-role") (result i32) (i32.const 64))"#;
/// What a C library or Go's runtime asks for.
const PREVIEW_1: &str = r#"
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (func (export "_initialize") (drop (call $random (i32.const 512) (i32.const 8))))
"#;

/// A folder with WIT, as `plugin new` makes it, and modules.
struct Workshop {
    dir: TempDir,
}

struct Ended {
    code: i32,
    error: String,
}

impl Workshop {
    /// With the worlds of this text.
    fn with(worlds: &str) -> Self {
        let shop = Self { dir: tempfile::tempdir().unwrap() };
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit/v0.1");
        for (from, to) in [("plugin.wit", "plugin/plugin.wit"), ("deps/host/host.wit", "host/host.wit")] {
            shop.put(&format!("wit/deps/{to}"), &fs::read(contract.join(from)).unwrap());
        }
        shop.put("wit/world.wit", format!("package local:policy;\n{worlds}").as_bytes());
        shop
    }

    fn detector() -> Self {
        Self::with("world policy { include cordboard:plugin/role-detector@0.1.0; }")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A core module, as `core.wasm`.
    fn module(&self, parts: &[&str]) {
        self.put("core.wasm", &wat::parse_str(format!("(module {})", parts.concat())).unwrap());
    }

    /// `cordboard plugin` in the folder; what it says, without its own name.
    fn plugin(&self, line: &str) -> Ended {
        let output = binary().current_dir(&self.dir).arg("plugin").args(line.split(' ')).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap().replace("cordboard: ", "");
        assert!(output.stdout.is_empty());
        Ended { code: output.status.code().unwrap(), error }
    }

    /// Makes `out.wasm`, which a proxy takes.
    fn makes(&self, line: &str) {
        let ended = self.plugin(line);
        assert_eq!((ended.code, ended.error.as_str()), (0, ""), "{line}");
        self.put(
            "cordboard.yaml",
            b"listeners: [{ name: main, address: '127.0.0.1:0' }]
plugins: { made: { component: out.wasm } }
services: { s: { endpoints: ['ws://127.0.0.1:1'] } }
routes: [{ name: r, match: { path: / }, mode: router, plugins: [made], service: s }]
",
        );
        let output = binary().arg("check").arg(self.path("cordboard.yaml")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Refuses, and says all of this.
    fn refuses(&self, line: &str, code: i32, told: &[&str]) {
        let ended = self.plugin(line);
        assert_eq!(ended.code, code, "{line}: {}", ended.error);
        for told in told {
            assert!(ended.error.contains(told), "{line}: no {told:?} in {}", ended.error);
        }
        assert!(!self.path("out.wasm").exists());
    }
}

const WITH_WORLD: &str = "component core.wasm --output out.wasm --wit wit --world policy";
const WITHOUT: &str = "component core.wasm --output out.wasm";

#[test]
fn a_module_becomes_a_component_of_the_world_that_is_named() {
    let shop = Workshop::detector();
    shop.module(&[META, ROLE]);
    shop.makes(WITH_WORLD);
    // Of one world the name is not needed; what is there is replaced, and folders are made.
    shop.makes("component core.wasm --output out.wasm --wit wit");
    assert_eq!(shop.plugin("component core.wasm --output a/b/out.wasm --wit wit").code, 0);
    assert_eq!(fs::read(shop.path("a/b/out.wasm")).unwrap(), fs::read(shop.path("out.wasm")).unwrap());
}

#[test]
fn a_module_that_carries_its_world_needs_none() {
    let shop = Workshop::detector();
    let mut core = wat::parse_str(format!("(module {META} {ROLE})")).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(shop.path("wit")).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    shop.put("core.wasm", &core);
    shop.makes(WITHOUT);
    // And one more time the same does no harm.
    shop.makes(WITH_WORLD);
}

#[test]
fn the_object_of_the_bindings_carries_the_world() {
    let shop = Workshop::detector();
    let ended = shop.plugin("bindings c wit --world policy --output made/bindings");
    assert_eq!((ended.code, ended.error.as_str()), (0, ""));
    let read = |name: &str| fs::read(shop.path("made/bindings").join(name)).unwrap();
    let header = String::from_utf8(read("policy.h")).unwrap();
    assert!(header.contains("bool exports_cordboard_plugin_role_detection_detect_role("), "{header}");
    assert!(!read("policy.c").is_empty());
    // An object is a module too, so that its world can be seen: it is told what it lacks.
    shop.put("core.wasm", &read("policy_component_type.o"));
    shop.refuses(WITHOUT, 1, &["the world exports what this module does not", "meta@0.1.0#describe"]);
}

#[test]
fn a_module_for_wasi_preview_1_is_adapted_where_that_is_said() {
    let shop = Workshop::detector();
    shop.module(&[PREVIEW_1, META, ROLE]);
    shop.refuses(WITH_WORLD, 1, &["core.wasm: this module imports functions of WASI preview 1", "add `--adapt`"]);
    shop.makes(&format!("{WITH_WORLD} --adapt"));
    // One that needs no adapter gets none.
    shop.module(&[META, ROLE]);
    shop.makes(&format!("{WITH_WORLD} --adapt"));
    let adapted = fs::read(shop.path("out.wasm")).unwrap();
    shop.makes(WITH_WORLD);
    assert_eq!(adapted, fs::read(shop.path("out.wasm")).unwrap());
}

#[test]
fn what_is_no_module_is_told_what_it_is() {
    let shop = Workshop::detector();
    shop.refuses(WITHOUT, 1, &["core.wasm: No such file"]);
    shop.put("core.wasm", b"");
    shop.refuses(WITHOUT, 1, &["core.wasm: the file is empty"]);
    shop.put("core.wasm", b"(module)");
    shop.refuses(WITHOUT, 1, &["core.wasm: this is not a WebAssembly module", "\\0asm"]);
    shop.put("core.wasm", &wat::parse_str("(component)").unwrap());
    shop.refuses(WITHOUT, 1, &["core.wasm: this is a component already"]);
    shop.put("core.wasm", b"\0asm\x01\0\0\0\x01\x7f");
    shop.refuses(WITHOUT, 1, &["core.wasm: this module is broken"]);
}

#[test]
fn a_module_without_a_world_is_asked_for_one() {
    let shop = Workshop::detector();
    shop.module(&[META, ROLE]);
    shop.refuses(WITHOUT, 1, &["core.wasm: this module carries no world", "--wit DIR --world NAME"]);
}

#[test]
fn all_that_a_module_lacks_of_its_world_is_named_at_once() {
    let shop = Workshop::with("world policy { include cordboard:plugin/router@0.1.0; }");
    shop.module(&[META]);
    shop.refuses(
        WITH_WORLD,
        1,
        &[
            "core.wasm: the world exports what this module does not:\n",
            "\n  cordboard:plugin/role-detection@0.1.0#detect-role\n",
            "\n  cordboard:plugin/channel-extraction@0.1.0#extract-channel\n",
            "\n  cordboard:plugin/service-resolution@0.1.0#resolve\n",
            "it exports cordboard:plugin/meta@0.1.0#init, cordboard:plugin/meta@0.1.0#describe",
        ],
    );
}

#[test]
fn a_module_that_imports_what_its_world_does_not_is_told() {
    let shop = Workshop::detector();
    shop.module(&[r#"(import "cordboard:plugin/message@0.1.0" "size" (func (result i32)))"#, META, ROLE]);
    shop.refuses(WITH_WORLD, 1, &["core.wasm: no component can be made of it", "cordboard:plugin/message@0.1.0"]);
}

#[test]
fn a_world_that_is_not_there_is_told_which_are() {
    let shop = Workshop::with(
        "world one { include cordboard:plugin/role-detector@0.1.0; }
         world two { include cordboard:plugin/authorizer@0.1.0; }",
    );
    shop.module(&[META, ROLE]);
    let there = "in local:policy there is `one`, `two`";
    shop.refuses(WITH_WORLD, 1, &["wit: there is no world `policy`", there]);
    shop.refuses("component core.wasm --output out.wasm --wit wit", 1, &["wit: say which world: --world NAME", there]);
    shop.refuses("bindings c wit --world policy --output out.wasm", 1, &["wit: there is no world `policy`", there]);
    shop.makes("component core.wasm --output out.wasm --wit wit --world one");
}

#[test]
fn wit_that_is_wrong_is_shown_with_its_place() {
    let shop = Workshop::with("world policy { include cordboard:plugin/role-detektor@0.1.0; }");
    shop.module(&[META, ROLE]);
    shop.refuses(WITH_WORLD, 1, &["world 'role-detektor' not found", "wit/world.wit:2:41"]);
    shop.put("wit/world.wit", b"package local:policy;\nworld policy { includes x; }");
    shop.refuses(WITH_WORLD, 1, &["wit/world.wit:2:16", "includes x;"]);
    shop.refuses("component core.wasm --output out.wasm --wit nowhere", 1, &["nowhere: "]);
    shop.refuses("component core.wasm --output out.wasm --world policy", 2, &["--wit"]);
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let shop = Workshop::detector();
    shop.module(&[META, ROLE]);
    shop.put("file", b"");
    shop.refuses("component core.wasm --output file/out.wasm --wit wit", 73, &["file/out.wasm: "]);
    shop.refuses("bindings c wit --output file", 73, &["file/policy.c: "]);
}
