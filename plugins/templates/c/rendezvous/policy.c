// Who is a client, who a backend, and on which channel.
//
// lib/text.h says who frees which text: read that first.
#include "bindings/policy.h"
#include "lib/config.h"
#include "lib/host.h"
#include "lib/text.h"

// An instance is configured once, before anything else. What else it keeps between calls is as good as lost: the host
// may throw it away after each.
static policy_string_t parameter, backend;

void exports_cordboard_plugin_meta_describe(exports_cordboard_plugin_meta_info_t *ret) {
    describe(ret, "{{name}}", "0.1.0", "Joins clients with backends by a parameter");
}

// True is good; false refuses the configuration, with a text that says why.
bool exports_cordboard_plugin_meta_init(policy_string_t *config, policy_string_t *err) {
    static const char *const keys[] = {"parameter", "backend", NULL};
    const json *object;
    return config_read(config, keys, &object, err)
        && config_text(object, "parameter", "channelId", &parameter, err)
        && config_text(object, "backend", "connect", &backend, err);
}

bool exports_cordboard_plugin_role_detection_detect_role(
    exports_cordboard_plugin_role_detection_option_role_t *ret,
    exports_cordboard_plugin_role_detection_rejection_t *err
) {
    (void)err;
    policy_list_string_t segments;
    cordboard_plugin_request_path_segments(&segments);
    const bool is_backend = segments.len > 0 && text_equals(segments.ptr[segments.len - 1], backend);
    policy_list_string_free(&segments);

    // `is_some = false` would be no opinion.
    ret->is_some = true;
    ret->val.tag = is_backend ? CORDBOARD_PLUGIN_TYPES_ROLE_BACKEND : CORDBOARD_PLUGIN_TYPES_ROLE_CLIENT;
    return true;
}

bool exports_cordboard_plugin_channel_extraction_extract_channel(
    exports_cordboard_plugin_channel_extraction_option_channel_t *ret,
    exports_cordboard_plugin_channel_extraction_rejection_t *err
) {
    policy_string_t id = {NULL, 0};
    if (!cordboard_plugin_request_query_param(&parameter, &id) || id.len == 0) {
        reject(err, 400, "channel-missing", TEXT_JOIN(text("Name a channel: ?"), parameter, text("=...\n")));
        return false;
    }
    // `id` was allocated for us, and goes on to the host, which has it freed.
    *ret = (exports_cordboard_plugin_channel_extraction_option_channel_t){.is_some = true, .val = {.id = id}};
    return true;
}
