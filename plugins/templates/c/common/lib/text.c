#include "lib/text.h"

#include <stdlib.h>
#include <string.h>

void *allocate(size_t bytes) {
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

policy_string_t text(const char *literal) {
    return (policy_string_t){(uint8_t *)literal, strlen(literal)};
}

policy_string_t text_copy(policy_string_t from) {
    return text_join(&from, 1);
}

policy_string_t text_join(const policy_string_t *parts, size_t count) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length += parts[i].len;
    }
    if (length == 0) {
        // The bindings free what has a length only: a pointer to nothing would never be freed.
        return (policy_string_t){NULL, 0};
    }
    policy_string_t joined = {allocate(length), 0};
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            memcpy(joined.ptr + joined.len, parts[i].ptr, parts[i].len);
            joined.len += parts[i].len;
        }
    }
    return joined;
}

policy_string_t text_of_number(uint32_t number) {
    // Not with snprintf, which would be larger than all the rest.
    uint8_t digits[10];
    size_t first = sizeof digits;
    do {
        digits[--first] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return text_copy((policy_string_t){digits + first, sizeof digits - first});
}

bool text_equals(policy_string_t a, policy_string_t b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool text_begins_with(policy_string_t text, policy_string_t with) {
    return text.len >= with.len && text_equals((policy_string_t){text.ptr, with.len}, with);
}

ptrdiff_t text_find(policy_string_t text, policy_string_t word) {
    if (word.len == 0) {
        return -1;
    }
    // Bytes will do: in UTF-8 no character begins within another one.
    for (size_t at = 0; at + word.len <= text.len; at++) {
        const uint8_t *first = memchr(text.ptr + at, word.ptr[0], text.len - word.len - at + 1);
        if (first == NULL) {
            return -1;
        }
        at = (size_t)(first - text.ptr);
        if (memcmp(first, word.ptr, word.len) == 0) {
            return (ptrdiff_t)at;
        }
    }
    return -1;
}

policy_string_t text_replace(policy_string_t text, policy_string_t word, policy_string_t with) {
    size_t times = 0;
    policy_string_t rest = text;
    for (ptrdiff_t at; (at = text_find(rest, word)) >= 0; times++) {
        rest.ptr += (size_t)at + word.len;
        rest.len -= (size_t)at + word.len;
    }
    const size_t length = text.len - times * word.len + times * with.len;
    if (length == 0) {
        return (policy_string_t){NULL, 0};
    }
    policy_string_t replaced = {allocate(length), 0};
    rest = text;
    for (; times > 0; times--) {
        const size_t before = (size_t)text_find(rest, word);
        memcpy(replaced.ptr + replaced.len, rest.ptr, before);
        memcpy(replaced.ptr + replaced.len + before, with.ptr, with.len);
        replaced.len += before + with.len;
        rest.ptr += before + word.len;
        rest.len -= before + word.len;
    }
    memcpy(replaced.ptr + replaced.len, rest.ptr, rest.len);
    replaced.len += rest.len;
    return replaced;
}
