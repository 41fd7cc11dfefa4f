//! `plugins`: where the code comes from, how it is configured and bounded.

use std::{path::Path, time::Duration};

use super::{
    Component, Dump, Fetch, Oci, OnFailure, PluginConfig, PluginLimits, PluginSettings, Remote, Trust, Url,
    check::{Check, Range},
    diagnose::quoted,
    file::{DumpFile, DumpMap, OutputFile, PluginFile, PluginLimitsFile},
    grants,
    part::Field,
    plugin_config::Output,
    tree::At,
    trust,
};
use crate::signature::unhex;

/// What a component is.
const WANTED: &str =
    "`builtin:NAME`, the path of a component, its URL, or `oci://REGISTRY/REPOSITORY:TAG` (or `@sha256:…`)";

/// One plugin; none if it cannot be used, which is reported.
pub(super) fn plugin(
    check: &mut Check,
    at: &At<'_>,
    name: &str,
    file: PluginFile,
    (dir, trust, fetch): (&Path, &Trust, &Fetch),
) -> Option<PluginConfig> {
    let name = check.key_name(at, name);
    let component_at = at.key("component");
    let component = check.required(&component_at, &file.component, WANTED);
    let component = component.and_then(|text| self::component(check, &component_at, text, dir));
    let sha_at = at.key("sha256");
    let sha256 = match &file.sha256 {
        Field::Set(text) => sha256(check, &sha_at, text),
        _ => None,
    };
    let (signature, signed_by) = trust::signature(check, at, &file, dir, trust);
    let grants = grants::grants(check, &at.key("grants"), file.grants.unwrap_or_default());
    let limits = limits(check, &at.key("limits"), &file.limits.unwrap_or_default());
    let outcomes = [("closed", OnFailure::Closed), ("open", OnFailure::Open)];
    let on_failure = check.choice(&at.key("on_failure"), &file.on_failure, OnFailure::default(), &outcomes, &[]);
    let dump = dump(check, &at.key("dump"), file.dump, dir);
    let interval = Range { min: Duration::from_secs(1), max: Duration::from_hours(24), zero: Some("never") };
    let recheck = check.duration(&at.key("recheck"), &file.recheck, Duration::ZERO, &interval);
    let recheck_on_swap = check.flag(&at.key("recheck_on_swap"), &file.recheck_on_swap, false);
    let config = PluginSettings::new(file.config.unwrap_or_default());
    let plugin = PluginConfig {
        name: name?,
        component: component?,
        sha256,
        signature,
        signed_by,
        config,
        grants,
        limits,
        on_failure,
        dump,
        recheck,
        recheck_on_swap,
    };
    trust::vouched(check, at, &plugin, trust, fetch);
    Some(plugin)
}

fn component(check: &mut Check, at: &At<'_>, text: &str, dir: &Path) -> Option<Component> {
    if let Some(name) = text.strip_prefix("builtin:") {
        return check.name(at, name).map(Component::Builtin);
    }
    if text.is_empty() || text.contains('\0') {
        check.wrong(at, format!("{} is not a path", quoted(text)), None);
        return None;
    }
    if text.starts_with("oci:") || text.contains("://") {
        let oci = text.starts_with("oci:");
        let read = if oci { Oci::parse(text).map(Remote::Oci) } else { Url::parse(text).map(Remote::Url) };
        return match read {
            Ok(remote) => Some(Component::Remote(remote)),
            Err(why) => {
                check.wrong(at, format!("{} {why}", quoted(text)), Some(format!("here belongs {WANTED}")));
                None
            }
        };
    }
    Some(Component::File(dir.join(text)))
}

/// Null is nowhere.
fn dump(check: &mut Check, at: &At<'_>, file: Field<DumpFile>, base: &Path) -> Option<Dump> {
    let (dir_at, map) = match file {
        Field::Absent | Field::Null => return None,
        Field::Set(DumpFile::Dir(dir)) => (*at, DumpMap { dir: Field::Set(dir), ..DumpMap::default() }),
        Field::Set(DumpFile::Map(map)) => (at.key("dir"), map),
    };
    let default = Dump::default();
    let message = Range { min: 1, max: 4 << 20, zero: None };
    let dir = check.required(&dir_at, &map.dir, "the folder to write to");
    let dump = Dump {
        dir: base.join(dir.unwrap_or_default()),
        files: check.count(&at.key("files"), &map.files, default.files, &(1..=10_000)),
        per_minute: check.count(&at.key("per_minute"), &map.per_minute, default.per_minute, &(1..=6000)),
        message: check.memory(&at.key("message"), &map.message, default.message, &message),
        queue: check.count(&at.key("queue"), &map.queue, default.queue, &(1..=1000)),
    };
    if dir?.is_empty() || dir?.contains('\0') {
        check.wrong(&dir_at, format!("{} is not a path", quoted(dir?)), None);
        return None;
    }
    Some(dump)
}

/// 64 hexadecimal digits as bytes.
fn sha256(check: &mut Check, at: &At<'_>, text: &str) -> Option<[u8; 32]> {
    let hash = unhex(text);
    if hash.is_none() {
        let hint = "`sha256sum FILE` prints it".to_owned();
        check.wrong(at, format!("{} is not a SHA-256: 64 hexadecimal digits", quoted(text)), Some(hint));
    }
    hash
}

pub(super) fn limits(check: &mut Check, at: &At<'_>, file: &PluginLimitsFile) -> PluginLimits {
    const KIB: u64 = 1 << 10;
    let default = PluginLimits::default();
    let time = |min, max| Range { min: Duration::from_millis(min), max: Duration::from_millis(max), zero: None };
    let size = |min, max| Range { min, max, zero: None };
    let free = |max| Range { min: 1, max, zero: Some("nothing") };
    let output_at = at.key("output");
    let none = OutputFile::default();
    let OutputFile { factor, plus } = file.output.as_ref().unwrap_or(&none);
    let output = Output {
        factor: check.count(&output_at.key("factor"), factor, default.output.factor, &(0..=1024)),
        plus: check.memory(&output_at.key("plus"), plus, default.output.plus, &free(64 * KIB * KIB)),
    };
    PluginLimits {
        decision: check.duration(&at.key("decision"), &file.decision, default.decision, &time(1, 30_000)),
        message: check.duration(&at.key("message"), &file.message, default.message, &time(1, 30_000)),
        init: check.duration(&at.key("init"), &file.init, default.init, &time(10, 60_000)),
        host: check.duration(&at.key("host"), &file.host, default.host, &time(1, 60_000)),
        host_calls: check.count(&at.key("host_calls"), &file.host_calls, default.host_calls, &(1..=1_000_000)),
        // From one page of linear memory to the most that the policy host keeps room for.
        memory: check.memory(&at.key("memory"), &file.memory, default.memory, &size(64 * KIB, 256 * KIB * KIB)),
        instances: check.count(&at.key("instances"), &file.instances, default.instances, &(1..=1000)),
        queue: check.count(&at.key("queue"), &file.queue, default.queue, &(0..=1_000_000)),
        reuse: check.count(&at.key("reuse"), &file.reuse, default.reuse, &(1..=1_000_000_000)),
        events: check.count(&at.key("events"), &file.events, default.events, &(1..=1_000_000)),
        host_copy: check.memory(&at.key("host_copy"), &file.host_copy, default.host_copy, &size(KIB, 64 * KIB * KIB)),
        handles: check.count(&at.key("handles"), &file.handles, default.handles, &(1..=65_536)),
        actions: check.count(&at.key("actions"), &file.actions, default.actions, &(1..=1024)),
        output,
        attachment: check.memory(&at.key("attachment"), &file.attachment, default.attachment, &free(KIB * KIB)),
    }
}
