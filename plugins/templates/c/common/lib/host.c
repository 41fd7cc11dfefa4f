#include "lib/host.h"

#include "lib/text.h"

#include <stdlib.h>
#include <string.h>

void describe(
    exports_cordboard_plugin_meta_info_t *info, const char *name, const char *version, const char *description
) {
    info->name = text_copy(text(name));
    info->version = text_copy(text(version));
    info->description = text_copy(text(description));
}

void reject(cordboard_plugin_types_rejection_t *rejection, uint16_t status, const char *code, policy_string_t body) {
    // What is not set is empty.
    memset(rejection, 0, sizeof *rejection);
    rejection->status = status;
    rejection->code = text_copy(text(code));
    rejection->body = (policy_option_string_t){true, body};
}

void reject_with_header(cordboard_plugin_types_rejection_t *rejection, const char *name, policy_string_t value) {
    cordboard_plugin_types_list_header_field_t *headers = &rejection->headers;
    headers->ptr = realloc(headers->ptr, (headers->len + 1) * sizeof *headers->ptr);
    if (headers->ptr == NULL) {
        abort();
    }
    headers->ptr[headers->len++] = (cordboard_plugin_types_header_field_t){text_copy(text(name)), value};
}

void log_warning(policy_string_t message) {
    policy_list_tuple2_string_string_t no_fields = {NULL, 0};
    cordboard_host_log_write(CORDBOARD_HOST_LOG_LEVEL_WARN, &message, &no_fields);
}
