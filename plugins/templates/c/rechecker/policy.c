// Ends sessions after a time, so that who it is is asked again. How often it is asked about a session says the proxy:
// `plugins.NAME.recheck`.
//
// lib/text.h says who frees which text: read that first.
#include "bindings/policy.h"
#include "lib/config.h"
#include "lib/host.h"
#include "lib/text.h"

// An instance is configured once, before anything else. What else it keeps between calls is as good as lost: the host
// may throw it away after each.
static uint32_t longest = 3600; // seconds that a session may last
static const json *exempt;      // subjects whose sessions last as long as they like

void exports_cordboard_plugin_meta_describe(exports_cordboard_plugin_meta_info_t *ret) {
    describe(ret, "{{name}}", "0.1.0", "Ends sessions after a time");
}

// True is good; false refuses the configuration, with a text that says why.
bool exports_cordboard_plugin_meta_init(policy_string_t *config, policy_string_t *err) {
    static const char *const keys[] = {"longest", "exempt", NULL};
    const json *object;
    return config_read(config, keys, &object, err)
        && config_whole(object, "longest", 0, 604800, &longest, err)
        && config_texts(object, "exempt", JSON_LIST, "be a list of texts", &exempt, err);
}

static bool is_exempt(void) {
    cordboard_plugin_connection_identity_info_t identity;
    if (!cordboard_plugin_connection_identity(&identity)) {
        return false;
    }
    bool found = false;
    for (const json *name = exempt; name != NULL; name = name->next) {
        found = found || (identity.subject.is_some && text_equals(identity.subject.val, name->text));
    }
    cordboard_plugin_connection_identity_info_free(&identity);
    return found;
}

// True is good; false ends the session, with a Close.
bool exports_cordboard_plugin_session_authorization_recheck(
    exports_cordboard_plugin_session_authorization_close_frame_t *err
) {
    const uint64_t end = cordboard_plugin_connection_opened_at_ms() + (uint64_t)longest * 1000;
    if (is_exempt() || cordboard_host_clock_now_ms() < end) {
        return true;
    }
    // 4401 asks a client to sign in and dial again.
    err->code = 4401;
    err->reason = text_copy(text("sign in again"));
    return false;
}
