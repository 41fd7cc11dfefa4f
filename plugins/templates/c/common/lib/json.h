// A small reader of JSON (RFC 8259), for configurations: what it makes is kept for as long as the instance lives.
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include "bindings/policy.h"

typedef enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_OBJECT } json_kind;

typedef struct json {
    json_kind kind;
    // Of a member of an object.
    policy_string_t key;
    // Of a text, what it says; of a number and of a bool, how it is written.
    policy_string_t text;
    // Of a list and an object, the first item.
    struct json *first;
    // The item after this one.
    struct json *next;
} json;

// Reads a whole text; NULL where it is not JSON, or nested deeper than 32. The text is taken over: texts are decoded in
// place, where they never need more room.
json *json_read(policy_string_t text);

// The member of an object; NULL where there is none. Of several the last one counts.
const json *json_member(const json *object, const char *key);

#endif
