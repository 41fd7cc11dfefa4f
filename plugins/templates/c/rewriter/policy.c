// What a service learns of a request, and what a client does not learn of an answer.
//
// lib/text.h says who frees which text: read that first.
#include "bindings/policy.h"
#include "lib/config.h"
#include "lib/host.h"
#include "lib/text.h"

// An instance is configured once, before anything else. What else it keeps between calls is as good as lost: the host
// may throw it away after each.
static const json *set;     // header fields that the service gets, in place of any that the client sent
static const json *removed; // names of fields of the client that the service does not get
static const json *hidden;  // names of fields of the service that the client does not get

void exports_cordboard_plugin_meta_describe(exports_cordboard_plugin_meta_info_t *ret) {
    describe(ret, "{{name}}", "0.1.0", "Sets and removes header fields");
}

// True is good; false refuses the configuration, with a text that says why.
bool exports_cordboard_plugin_meta_init(policy_string_t *config, policy_string_t *err) {
    static const char *const keys[] = {"set", "remove", "hide", NULL};
    const json *object;
    return config_read(config, keys, &object, err)
        && config_texts(object, "set", JSON_OBJECT, "map names to values", &set, err)
        && config_texts(object, "remove", JSON_LIST, "be a list of texts", &removed, err)
        && config_texts(object, "hide", JSON_LIST, "be a list of texts", &hidden, err);
}

static size_t count(const json *first) {
    size_t items = 0;
    for (const json *item = first; item != NULL; item = item->next) {
        items++;
    }
    return items;
}

// Room for so many edits. None is no list at all: the bindings free what has a length only.
static cordboard_plugin_types_edit_t *room(size_t edits) {
    return edits > 0 ? allocate(edits * sizeof(cordboard_plugin_types_edit_t)) : NULL;
}

// Writes an edit for each name of a list, and returns where the next one goes.
static cordboard_plugin_types_edit_t *remove_all(cordboard_plugin_types_edit_t *edit, const json *names) {
    for (const json *name = names; name != NULL; name = name->next, edit++) {
        edit->tag = CORDBOARD_PLUGIN_TYPES_EDIT_REMOVE;
        edit->val.remove = text_copy(name->text);
    }
    return edit;
}

bool exports_cordboard_plugin_request_rewriting_rewrite_request(
    exports_cordboard_plugin_request_rewriting_list_edit_t *ret,
    exports_cordboard_plugin_request_rewriting_rejection_t *err
) {
    (void)err;
    // Both the list and what is in it are freed by the bindings.
    ret->len = count(removed) + count(set);
    ret->ptr = room(ret->len);
    // Carried out in order: what is set is there, also where it is to be removed.
    cordboard_plugin_types_edit_t *edit = remove_all(ret->ptr, removed);
    for (const json *field = set; field != NULL; field = field->next, edit++) {
        edit->tag = CORDBOARD_PLUGIN_TYPES_EDIT_SET;
        edit->val.set = (cordboard_plugin_types_header_field_t){text_copy(field->key), text_copy(field->text)};
    }
    return true;
}

bool exports_cordboard_plugin_response_rewriting_rewrite_response(
    uint16_t status,
    exports_cordboard_plugin_response_rewriting_list_header_field_t *headers,
    exports_cordboard_plugin_response_rewriting_list_edit_t *ret,
    exports_cordboard_plugin_response_rewriting_rejection_t *err
) {
    (void)status;
    (void)err;
    // The header of the answer is not looked at: fields that are no text are not in it. It is ours to free.
    exports_cordboard_plugin_response_rewriting_list_header_field_free(headers);
    ret->len = count(hidden);
    ret->ptr = room(ret->len);
    remove_all(ret->ptr, hidden);
    return true;
}
