// The configuration. Each of these returns false, and says in `err` what is wrong, where something is.
#ifndef LIB_CONFIG_H
#define LIB_CONFIG_H

#include "lib/json.h"

// Reads the JSON text that `init` is given, and takes it over. `keys` are those there are, up to a NULL.
bool config_read(policy_string_t *config, const char *const keys[], const json **object, policy_string_t *err);

// A text, or the default where the key is absent. The text lives as long as the instance.
bool config_text(
    const json *object, const char *key, const char *otherwise, policy_string_t *value, policy_string_t *err);

// True or false, or the default.
bool config_flag(const json *object, const char *key, bool otherwise, bool *value, policy_string_t *err);

// A whole number from `least` to `most`, or the default.
bool config_whole(
    const json *object, const char *key, uint32_t least, uint32_t most, uint32_t *value, policy_string_t *err);

// A list (JSON_LIST) or an object (JSON_OBJECT) of texts: its first item, or NULL where the key is absent or nothing is
// in it. `what` ends the sentence "KEY must ...".
bool config_texts(
    const json *object, const char *key, json_kind kind, const char *what, const json **first, policy_string_t *err);

#endif
