// Masks words in messages, and ends sessions in which that happens too often.
//
// lib/text.h says who frees which text: read that first.
#include "bindings/policy.h"
#include "lib/config.h"
#include "lib/host.h"
#include "lib/text.h"

enum { LONGEST_MESSAGE = 65536 };

// An instance is configured once, before anything else. It serves any connection: what belongs to one is its
// attachment, which the host keeps.
static const json *words;
static uint32_t most = 3;

void exports_cordboard_plugin_meta_describe(exports_cordboard_plugin_meta_info_t *ret) {
    describe(ret, "{{name}}", "0.1.0", "Masks words in messages");
}

// True is good; false refuses the configuration, with a text that says why.
bool exports_cordboard_plugin_meta_init(policy_string_t *config, policy_string_t *err) {
    static const char *const keys[] = {"words", "most", NULL};
    static json secret = {.kind = JSON_TEXT};
    secret.text = text("secret");
    const json *object;
    if (!config_read(config, keys, &object, err)
        || !config_texts(object, "words", JSON_LIST, "be a list of texts", &words, err)
        || !config_whole(object, "most", 0, 1000000, &most, err)) {
        return false;
    }
    if (json_member(object, "words") == NULL) {
        words = &secret;
    }
    return true;
}

// Nothing is wanted before it is asked for, and what is not wanted passes without a call.
void exports_cordboard_plugin_message_filtering_open(void) {
    for (int direction = CORDBOARD_PLUGIN_TYPES_DIRECTION_TO_BACKEND;
         direction <= CORDBOARD_PLUGIN_TYPES_DIRECTION_TO_CLIENT; direction++) {
        cordboard_plugin_interest_messages((cordboard_plugin_types_direction_t)direction,
            CORDBOARD_PLUGIN_TYPES_MESSAGE_KIND_TEXT, LONGEST_MESSAGE, CORDBOARD_PLUGIN_TYPES_OVERSIZE_POLICY_PASS);
    }
}

// The message without the words; false where none is in it. Takes the message over.
static bool mask(policy_string_t *message) {
    bool found = false;
    for (const json *word = words; word != NULL; word = word->next) {
        if (text_find(*message, word->text) >= 0) {
            policy_string_t masked = text_replace(*message, word->text, text("***"));
            policy_string_free(message);
            *message = masked;
            found = true;
        }
    }
    return found;
}

// How often it has happened on this connection, as decimal text in the attachment; an empty one is 0. False where it is
// something else.
static bool count(uint32_t *number) {
    policy_list_u8_t attachment;
    cordboard_plugin_connection_attachment(&attachment);
    bool digits = true;
    *number = 0;
    for (size_t i = 0; i < attachment.len; i++) {
        const uint8_t byte = attachment.ptr[i];
        digits = digits && byte >= '0' && byte <= '9';
        *number = *number * 10 + (byte - '0');
    }
    policy_list_u8_free(&attachment);
    return digits;
}

static void set_count(uint32_t number) {
    policy_string_t digits = text_of_number(number);
    policy_list_u8_t attachment = {digits.ptr, digits.len};
    policy_string_t why;
    if (!cordboard_plugin_connection_set_attachment(&attachment, &why)) {
        policy_string_t line = TEXT_JOIN(text("a masked message was not counted: "), why);
        log_warning(line);
        policy_string_free(&line);
        policy_string_free(&why);
    }
    policy_string_free(&digits);
}

void exports_cordboard_plugin_message_filtering_on_message(
    exports_cordboard_plugin_message_filtering_list_action_t *ret
) {
    // One action; it and what is in it are freed by the bindings.
    ret->len = 1;
    ret->ptr = allocate(sizeof *ret->ptr);

    policy_string_t message;
    if (!cordboard_plugin_message_text(&message)) {
        // Binary, which `open` did not ask for.
        ret->ptr->tag = EXPORTS_CORDBOARD_PLUGIN_MESSAGE_FILTERING_ACTION_FORWARD;
        return;
    }
    if (!mask(&message)) {
        policy_string_free(&message);
        ret->ptr->tag = EXPORTS_CORDBOARD_PLUGIN_MESSAGE_FILTERING_ACTION_FORWARD;
        return;
    }
    uint32_t masked;
    count(&masked);
    if (++masked > most) {
        policy_string_free(&message);
        ret->ptr->tag = EXPORTS_CORDBOARD_PLUGIN_MESSAGE_FILTERING_ACTION_CLOSE;
        ret->ptr->val.close.code = 1008;
        ret->ptr->val.close.reason = text_copy(text("too many masked messages"));
        return;
    }
    set_count(masked);
    ret->ptr->tag = EXPORTS_CORDBOARD_PLUGIN_MESSAGE_FILTERING_ACTION_EMIT;
    ret->ptr->val.emit.tag = CORDBOARD_PLUGIN_TYPES_PAYLOAD_TEXT;
    ret->ptr->val.emit.val.text = message;
}

// Whether this version takes over a session that another one began (`reload.sessions: migrate`), with what that one
// kept of it. False leaves the session where it is.
bool exports_cordboard_plugin_filter_migration_migrate(policy_string_t *from_version, policy_string_t *err) {
    uint32_t number;
    const bool good = count(&number);
    if (!good) {
        *err = TEXT_JOIN(*from_version, text(" kept something else than a count"));
    }
    policy_string_free(from_version);
    return good;
}
