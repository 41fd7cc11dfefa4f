#include "lib/json.h"

#include "lib/text.h"

#include <string.h>

// Each level of nesting is a call, and the stack is not endless.
enum { DEEPEST = 32 };

typedef struct {
    uint8_t *at;
    const uint8_t *end;
} reader;

static void skip_space(reader *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) {
        in->at++;
    }
}

// The next character, if it is this one.
static bool take(reader *in, char wanted) {
    if (in->at == in->end || *in->at != wanted) {
        return false;
    }
    in->at++;
    return true;
}

static bool take_word(reader *in, const char *word) {
    const size_t length = strlen(word);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0) {
        return false;
    }
    in->at += length;
    return true;
}

static size_t take_digits(reader *in) {
    const uint8_t *begin = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        in->at++;
    }
    return (size_t)(in->at - begin);
}

static bool read_number(reader *in, policy_string_t *text) {
    text->ptr = in->at;
    take(in, '-');
    if (!take(in, '0') && take_digits(in) == 0) {
        return false;
    }
    if (take(in, '.') && take_digits(in) == 0) {
        return false;
    }
    if (take(in, 'e') || take(in, 'E')) {
        if (!take(in, '+')) {
            take(in, '-');
        }
        if (take_digits(in) == 0) {
            return false;
        }
    }
    text->len = (size_t)(in->at - text->ptr);
    return true;
}

// The four digits of \uXXXX.
static bool read_unit(reader *in, uint32_t *unit) {
    if (in->end - in->at < 4) {
        return false;
    }
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        const uint8_t c = *in->at++;
        const uint8_t letter = c | 0x20;
        if (c >= '0' && c <= '9') {
            *unit = *unit << 4 | (uint32_t)(c - '0');
        } else if (letter >= 'a' && letter <= 'f') {
            *unit = *unit << 4 | (uint32_t)(letter - 'a' + 10);
        } else {
            return false;
        }
    }
    return true;
}

// What stands behind a backslash, as UTF-8.
static bool read_escape(reader *in, uint8_t **out) {
    static const char names[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    if (in->at == in->end) {
        return false;
    }
    const uint8_t name = *in->at++;
    if (name != 'u') {
        const char *found = memchr(names, name, sizeof names - 1);
        if (found == NULL) {
            return false;
        }
        *(*out)++ = (uint8_t)meant[found - names];
        return true;
    }
    uint32_t point;
    if (!read_unit(in, &point)) {
        return false;
    }
    if (point >= 0xd800 && point < 0xe000) {
        // Half of a pair; the other half follows, or it is no text.
        uint32_t low;
        if (point >= 0xdc00 || !take_word(in, "\\u") || !read_unit(in, &low) || low < 0xdc00 || low >= 0xe000) {
            return false;
        }
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    uint8_t *at = *out;
    if (point < 0x80) {
        *at++ = (uint8_t)point;
    } else if (point < 0x800) {
        *at++ = (uint8_t)(0xc0 | point >> 6);
        *at++ = (uint8_t)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *at++ = (uint8_t)(0xe0 | point >> 12);
        *at++ = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        *at++ = (uint8_t)(0x80 | (point & 0x3f));
    } else {
        *at++ = (uint8_t)(0xf0 | point >> 18);
        *at++ = (uint8_t)(0x80 | (point >> 12 & 0x3f));
        *at++ = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        *at++ = (uint8_t)(0x80 | (point & 0x3f));
    }
    *out = at;
    return true;
}

static bool read_text(reader *in, policy_string_t *text) {
    if (!take(in, '"')) {
        return false;
    }
    uint8_t *out = in->at;
    text->ptr = out;
    while (in->at < in->end) {
        const uint8_t c = *in->at++;
        if (c == '"') {
            text->len = (size_t)(out - text->ptr);
            return true;
        }
        if (c < 0x20) {
            return false;
        }
        if (c != '\\') {
            *out++ = c;
        } else if (!read_escape(in, &out)) {
            return false;
        }
    }
    return false;
}

static json *read_value(reader *in, int depth);

// The items up to the closing bracket; those of objects have keys.
static bool read_items(reader *in, json *parent, int depth) {
    const char close = parent->kind == JSON_OBJECT ? '}' : ']';
    skip_space(in);
    if (take(in, close)) {
        return true;
    }
    for (json **next = &parent->first;; next = &(*next)->next) {
        policy_string_t key = {NULL, 0};
        if (parent->kind == JSON_OBJECT) {
            skip_space(in);
            if (!read_text(in, &key)) {
                return false;
            }
            skip_space(in);
            if (!take(in, ':')) {
                return false;
            }
        }
        json *item = read_value(in, depth + 1);
        if (item == NULL) {
            return false;
        }
        item->key = key;
        *next = item;
        if (take(in, close)) {
            return true;
        }
        if (!take(in, ',')) {
            return false;
        }
    }
}

static json *read_value(reader *in, int depth) {
    if (depth > DEEPEST) {
        return NULL;
    }
    json *value = allocate(sizeof *value);
    memset(value, 0, sizeof *value);
    skip_space(in);
    bool good = true;
    const uint8_t *begin = in->at;
    if (take(in, '{')) {
        value->kind = JSON_OBJECT;
        good = read_items(in, value, depth);
    } else if (take(in, '[')) {
        value->kind = JSON_LIST;
        good = read_items(in, value, depth);
    } else if (in->at < in->end && *in->at == '"') {
        value->kind = JSON_TEXT;
        good = read_text(in, &value->text);
    } else if (take_word(in, "true") || take_word(in, "false")) {
        value->kind = JSON_BOOL;
        value->text = (policy_string_t){(uint8_t *)begin, (size_t)(in->at - begin)};
    } else if (take_word(in, "null")) {
        value->kind = JSON_NULL;
    } else {
        value->kind = JSON_NUMBER;
        good = read_number(in, &value->text);
    }
    skip_space(in);
    return good ? value : NULL;
}

json *json_read(policy_string_t text) {
    reader in = {text.ptr, text.ptr + text.len};
    json *value = read_value(&in, 0);
    return in.at == in.end ? value : NULL;
}

const json *json_member(const json *object, const char *key) {
    const json *found = NULL;
    for (const json *member = object->first; member != NULL; member = member->next) {
        if (text_equals(member->key, text(key))) {
            found = member;
        }
    }
    return found;
}
