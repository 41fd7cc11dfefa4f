#include "lib/config.h"

#include "lib/text.h"

static bool must(policy_string_t *err, const char *key, const char *what) {
    *err = TEXT_JOIN(text(key), text(" must "), text(what));
    return false;
}

bool config_read(policy_string_t *config, const char *const keys[], const json **object, policy_string_t *err) {
    *object = json_read(*config);
    if (*object == NULL || (*object)->kind != JSON_OBJECT) {
        *err = text_copy(text("the configuration must be an object"));
        return false;
    }
    for (const json *member = (*object)->first; member != NULL; member = member->next) {
        bool known = false;
        for (size_t i = 0; keys[i] != NULL; i++) {
            known = known || text_equals(member->key, text(keys[i]));
        }
        if (known) {
            continue;
        }
        policy_string_t why = TEXT_JOIN(text("unknown key \""), member->key, text("\"; the keys are "));
        for (size_t i = 0; keys[i] != NULL; i++) {
            const policy_string_t longer = TEXT_JOIN(why, text(i > 0 ? ", " : ""), text(keys[i]));
            policy_string_free(&why);
            why = longer;
        }
        *err = why;
        return false;
    }
    return true;
}

bool config_text(
    const json *object, const char *key, const char *otherwise, policy_string_t *value, policy_string_t *err
) {
    const json *member = json_member(object, key);
    if (member != NULL && member->kind != JSON_TEXT) {
        return must(err, key, "be a text");
    }
    *value = member != NULL ? member->text : text(otherwise);
    return true;
}

bool config_flag(const json *object, const char *key, bool otherwise, bool *value, policy_string_t *err) {
    const json *member = json_member(object, key);
    if (member != NULL && member->kind != JSON_BOOL) {
        return must(err, key, "be true or false");
    }
    *value = member != NULL ? text_equals(member->text, text("true")) : otherwise;
    return true;
}

bool config_whole(
    const json *object, const char *key, uint32_t least, uint32_t most, uint32_t *value, policy_string_t *err
) {
    const json *member = json_member(object, key);
    if (member == NULL) {
        return true;
    }
    bool whole = member->kind == JSON_NUMBER;
    uint64_t number = 0;
    for (size_t i = 0; whole && i < member->text.len; i++) {
        const uint8_t digit = member->text.ptr[i];
        // Neither a sign, nor a point, nor an exponent.
        whole = digit >= '0' && digit <= '9' && number <= most;
        number = number * 10 + (digit - '0');
    }
    if (!whole || number < least || number > most) {
        policy_string_t from = text_of_number(least), to = text_of_number(most);
        *err = TEXT_JOIN(text(key), text(" must be a whole number from "), from, text(" to "), to);
        policy_string_free(&from);
        policy_string_free(&to);
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

bool config_texts(
    const json *object, const char *key, json_kind kind, const char *what, const json **first, policy_string_t *err
) {
    const json *member = json_member(object, key);
    *first = member != NULL ? member->first : NULL;
    if (member != NULL && member->kind != kind) {
        return must(err, key, what);
    }
    for (const json *item = *first; item != NULL; item = item->next) {
        if (item->kind != JSON_TEXT) {
            return must(err, key, what);
        }
    }
    return true;
}
