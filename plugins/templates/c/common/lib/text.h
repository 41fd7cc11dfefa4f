// Texts of the contract: a pointer and a length, no zero byte at the end, always UTF-8.
//
// Who frees what:
// - What an imported function (`cordboard_...`) returns was allocated for us, and is ours to free.
// - What we hand to an imported function is only looked at: it may be a literal, and it stays ours.
// - What an exported function (`exports_...`) returns is freed by the bindings once the host has read it. So every text
//   in it must be allocated: a literal there, or one and the same text twice, breaks the heap. Return `text_copy(...)`.
// - Arguments of exported functions are ours to free.
#ifndef LIB_TEXT_H
#define LIB_TEXT_H

#include "bindings/policy.h"

// Looks at a literal. Never to be freed or returned.
policy_string_t text(const char *literal);

// A copy of its own, to return or to keep.
policy_string_t text_copy(policy_string_t from);

// All of them in one, of its own: TEXT_JOIN(text("a "), name, text(".\n")).
#define TEXT_JOIN(...) \
    text_join((const policy_string_t[]){__VA_ARGS__}, \
        sizeof((const policy_string_t[]){__VA_ARGS__}) / sizeof(policy_string_t))
policy_string_t text_join(const policy_string_t *parts, size_t count);

// A number in decimal digits, of its own.
policy_string_t text_of_number(uint32_t number);

bool text_equals(policy_string_t a, policy_string_t b);
bool text_begins_with(policy_string_t text, policy_string_t with);

// Where `word` first stands in `text`, or -1; an empty word stands nowhere.
ptrdiff_t text_find(policy_string_t text, policy_string_t word);

// `text` with `with` in place of every `word`, of its own. An empty word stands nowhere.
policy_string_t text_replace(policy_string_t text, policy_string_t word, policy_string_t with);

// Memory, or the end of the call: where there is none left, the instance is given up and the host answers.
void *allocate(size_t bytes);

#endif
