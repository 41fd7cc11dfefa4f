// Who may enter: whoever brings a known key.
//
// lib/text.h says who frees which text: read that first.
#include "bindings/policy.h"
#include "lib/config.h"
#include "lib/host.h"
#include "lib/text.h"

// An instance is configured once, before anything else. What else it keeps between calls is as good as lost: the host
// may throw it away after each.
static const json *subjects; // by key
static policy_string_t header;

void exports_cordboard_plugin_meta_describe(exports_cordboard_plugin_meta_info_t *ret) {
    describe(ret, "{{name}}", "0.1.0", "Lets in whoever brings a known key");
}

// True is good; false refuses the configuration, with a text that says why.
bool exports_cordboard_plugin_meta_init(policy_string_t *config, policy_string_t *err) {
    static const char *const keys[] = {"keys", "header", NULL};
    const json *object;
    return config_read(config, keys, &object, err)
        && config_texts(object, "keys", JSON_OBJECT, "map keys to subjects", &subjects, err)
        && config_text(object, "header", "x-api-key", &header, err);
}

// Compares whole keys in a time that does not tell how much of one was right.
static bool same_key(policy_string_t a, policy_string_t b) {
    uint8_t differ = a.len != b.len;
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        differ |= a.ptr[i] ^ b.ptr[i];
    }
    return differ == 0;
}

bool exports_cordboard_plugin_authorization_authorize(
    exports_cordboard_plugin_authorization_option_identity_t *ret,
    exports_cordboard_plugin_authorization_rejection_t *err
) {
    policy_string_t key;
    if (!cordboard_plugin_request_header(&header, &key)) {
        reject(err, 401, "key-missing", text_copy(text("An API key is needed.\n")));
        reject_with_header(err, "www-authenticate", text_copy(text("ApiKey")));
        return false;
    }
    const json *subject = NULL;
    for (const json *each = subjects; each != NULL; each = each->next) {
        if (same_key(each->key, key)) {
            subject = each;
        }
    }
    policy_string_free(&key);
    if (subject == NULL) {
        reject(err, 403, "key-unknown", text_copy(text("This key is not known.\n")));
        return false;
    }
    // What is not named here is zero, which is none or empty.
    *ret = (exports_cordboard_plugin_authorization_option_identity_t){.is_some = true};
    ret->val.subject = (policy_option_string_t){true, text_copy(subject->text)};
    return true;
}
