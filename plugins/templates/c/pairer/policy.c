// Who comes back takes the seat that it still holds, as after a page was loaded anew.
//
// lib/text.h says who frees which text: read that first.
#include "bindings/policy.h"
#include "lib/config.h"
#include "lib/host.h"
#include "lib/text.h"

// An instance is configured once, before anything else. What else it keeps between calls is as good as lost: the host
// may throw it away after each.
static uint32_t patience = 10; // seconds for which a seat is not taken again, so that two pages do not fight

void exports_cordboard_plugin_meta_describe(exports_cordboard_plugin_meta_info_t *ret) {
    describe(ret, "{{name}}", "0.1.0", "Gives a seat back to who comes back");
}

// True is good; false refuses the configuration, with a text that says why.
bool exports_cordboard_plugin_meta_init(policy_string_t *config, policy_string_t *err) {
    static const char *const keys[] = {"patience", NULL};
    const json *object;
    return config_read(config, keys, &object, err)
        && config_whole(object, "patience", 0, 3600, &patience, err);
}

// Whether the newcomer (the request) wants the seat of the holder (the connection), and not the one on the other side,
// whom it is to be joined with: both are asked about.
static bool same_seat(void) {
    cordboard_plugin_request_role_kind_t newcomer;
    const bool has_role = cordboard_plugin_request_role(&newcomer);
    cordboard_plugin_connection_role_kind_t holder;
    cordboard_plugin_connection_role(&holder);
    const bool same = has_role && newcomer.tag == holder.tag;
    if (has_role) {
        cordboard_plugin_request_role_kind_free(&newcomer);
    }
    cordboard_plugin_connection_role_kind_free(&holder);
    return same;
}

// Whether they are the same, as an authorizer says who they are. Two without a name are not.
static bool same_subject(void) {
    cordboard_plugin_request_identity_info_t newcomer;
    if (!cordboard_plugin_request_identity(&newcomer)) {
        return false;
    }
    cordboard_plugin_connection_identity_info_t holder;
    bool same = false;
    if (cordboard_plugin_connection_identity(&holder)) {
        same = newcomer.subject.is_some && holder.subject.is_some
            && text_equals(newcomer.subject.val, holder.subject.val);
        cordboard_plugin_connection_identity_info_free(&holder);
    }
    cordboard_plugin_request_identity_info_free(&newcomer);
    return same;
}

bool exports_cordboard_plugin_pairing_decide(
    exports_cordboard_plugin_pairing_option_pairing_decision_t *ret,
    exports_cordboard_plugin_pairing_rejection_t *err
) {
    // No opinion: the next plugin is asked, and last the route's rule holds.
    ret->is_some = false;
    if (!same_seat() || !same_subject()) {
        return true;
    }
    if (cordboard_host_clock_now_ms() < cordboard_plugin_connection_opened_at_ms() + patience * 1000) {
        reject(err, 429, "too-soon", text_copy(text("This seat was taken a moment ago.\n")));
        reject_with_header(err, "retry-after", text_of_number(patience));
        return false;
    }
    ret->is_some = true;
    ret->val = EXPORTS_CORDBOARD_PLUGIN_PAIRING_PAIRING_DECISION_REPLACE;
    return true;
}
