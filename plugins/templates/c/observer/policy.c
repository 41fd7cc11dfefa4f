// A line in the log for each session that ends: how long it was, whose, and why it ended.
//
// lib/text.h says who frees which text: read that first.
#include "bindings/policy.h"
#include "lib/config.h"
#include "lib/host.h"
#include "lib/text.h"

// What stands in for a Close where there was none (RFC 6455, section 7.1.5).
#define NO_CLOSE text("1006")

// An instance is configured once, before anything else. What else it keeps between calls is as good as lost: the host
// may throw it away after each.
static bool broken_only;

void exports_cordboard_plugin_meta_describe(exports_cordboard_plugin_meta_info_t *ret) {
    describe(ret, "{{name}}", "0.1.0", "Logs how sessions end");
}

// True is good; false refuses the configuration, with a text that says why.
bool exports_cordboard_plugin_meta_init(policy_string_t *config, policy_string_t *err) {
    static const char *const keys[] = {"broken", NULL};
    const json *object;
    return config_read(config, keys, &object, err)
        && config_flag(object, "broken", false, &broken_only, err);
}

// What the event says of itself under this name. The text is the event's.
static policy_string_t said(const exports_cordboard_plugin_lifecycle_event_t *event, const char *name) {
    for (size_t i = 0; i < event->attributes.len; i++) {
        if (text_equals(event->attributes.ptr[i].f0, text(name))) {
            return event->attributes.ptr[i].f1;
        }
    }
    return text("?");
}

static void tell(const exports_cordboard_plugin_lifecycle_event_t *event) {
    // Names and attributes are open sets: what is not known is ignored.
    if (!text_equals(event->name, text("closed"))) {
        return;
    }
    const bool broken = text_equals(said(event, "code"), NO_CLOSE);
    if (broken_only && !broken) {
        return;
    }
    const uint64_t opened = cordboard_plugin_connection_opened_at_ms();
    policy_string_t seconds = text_of_number((uint32_t)(event->at_ms > opened ? (event->at_ms - opened) / 1000 : 0));
    cordboard_plugin_connection_identity_info_t identity;
    const bool known = cordboard_plugin_connection_identity(&identity);

    policy_tuple2_string_string_t fields[] = {
        {text("seconds"), seconds},
        {text("subject"), known && identity.subject.is_some ? identity.subject.val : text("?")},
        {text("by"), said(event, "by")},
        {text("code"), said(event, "code")},
    };
    policy_list_tuple2_string_string_t all = {fields, sizeof fields / sizeof *fields};
    policy_string_t message = text(broken ? "a session broke" : "a session ended");
    cordboard_host_log_write(broken ? CORDBOARD_HOST_LOG_LEVEL_WARN : CORDBOARD_HOST_LOG_LEVEL_INFO, &message, &all);

    if (known) {
        cordboard_plugin_connection_identity_info_free(&identity);
    }
    policy_string_free(&seconds);
}

// Told beside the data path: nothing waits for this, and nothing can be decided here.
void exports_cordboard_plugin_lifecycle_on_event(exports_cordboard_plugin_lifecycle_event_t *event) {
    tell(event);
    exports_cordboard_plugin_lifecycle_event_free(event);
}
