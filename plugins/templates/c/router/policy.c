// Which service a path leads to.
//
// lib/text.h says who frees which text: read that first.
#include "bindings/policy.h"
#include "lib/config.h"
#include "lib/host.h"
#include "lib/text.h"

// An instance is configured once, before anything else. What else it keeps between calls is as good as lost: the host
// may throw it away after each.
static const json *services;

void exports_cordboard_plugin_meta_describe(exports_cordboard_plugin_meta_info_t *ret) {
    describe(ret, "{{name}}", "0.1.0", "Routes paths to services");
}

// True is good; false refuses the configuration, with a text that says why.
bool exports_cordboard_plugin_meta_init(policy_string_t *config, policy_string_t *err) {
    static const char *const keys[] = {"services", NULL};
    static json echo = {.kind = JSON_TEXT};
    echo.key = text("/ws/echo");
    echo.text = text("echo");
    const json *object;
    if (!config_read(config, keys, &object, err)
        || !config_texts(object, "services", JSON_OBJECT, "map paths to services", &services, err)) {
        return false;
    }
    if (json_member(object, "services") == NULL) {
        services = &echo;
    }
    return true;
}

// The service of the longest key that the path begins with, whole segments only; NULL where there is none.
static const json *service_of(policy_string_t path) {
    const json *best = NULL;
    for (const json *service = services; service != NULL; service = service->next) {
        const policy_string_t key = service->key;
        const bool matches = text_begins_with(path, key) && (path.len == key.len || path.ptr[key.len] == '/');
        if (matches && (best == NULL || key.len >= best->key.len)) {
            best = service;
        }
    }
    return best;
}

static const json *service_of_request(void) {
    policy_string_t path;
    cordboard_plugin_request_path(&path);
    const json *service = service_of(path);
    policy_string_free(&path);
    return service;
}

bool exports_cordboard_plugin_role_detection_detect_role(
    exports_cordboard_plugin_role_detection_option_role_t *ret,
    exports_cordboard_plugin_role_detection_rejection_t *err
) {
    (void)err;
    // `is_some = false` is no opinion: the next plugin is asked.
    ret->is_some = service_of_request() != NULL;
    ret->val.tag = CORDBOARD_PLUGIN_TYPES_ROLE_ROUTED;
    return true;
}

bool exports_cordboard_plugin_channel_extraction_extract_channel(
    exports_cordboard_plugin_channel_extraction_option_channel_t *ret,
    exports_cordboard_plugin_channel_extraction_rejection_t *err
) {
    (void)err;
    policy_string_t name = text("x-group-id");
    policy_string_t id = {NULL, 0};
    const bool named = cordboard_plugin_request_header(&name, &id) && id.len > 0;
    // `id` was allocated for us, and goes on to the host, which has it freed.
    *ret = (exports_cordboard_plugin_channel_extraction_option_channel_t){.is_some = named, .val = {.id = id}};
    return true;
}

bool exports_cordboard_plugin_service_resolution_resolve(
    exports_cordboard_plugin_service_resolution_option_resolution_t *ret,
    exports_cordboard_plugin_service_resolution_rejection_t *err
) {
    (void)err;
    const json *service = service_of_request();
    // What is not named here is zero, which is none or empty.
    *ret = (exports_cordboard_plugin_service_resolution_option_resolution_t){.is_some = service != NULL};
    if (service != NULL) {
        ret->val.target.tag = EXPORTS_CORDBOARD_PLUGIN_SERVICE_RESOLUTION_TARGET_SERVICE;
        ret->val.target.val.service.service_id = text_copy(service->text);
    }
    return true;
}
