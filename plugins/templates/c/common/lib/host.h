// What a policy says to the host.
#ifndef LIB_HOST_H
#define LIB_HOST_H

#include "bindings/policy.h"

// Who this component is, for `describe`.
void describe(
    exports_cordboard_plugin_meta_info_t *info, const char *name, const char *version, const char *description);

// Refuses a request with an HTTP answer. `code` is for logs and metrics; the body is taken over.
void reject(cordboard_plugin_types_rejection_t *rejection, uint16_t status, const char *code, policy_string_t body);

// One more header field in that answer; the value is taken over.
void reject_with_header(cordboard_plugin_types_rejection_t *rejection, const char *name, policy_string_t value);

// A line in the log of the proxy.
void log_warning(policy_string_t message);

#endif
