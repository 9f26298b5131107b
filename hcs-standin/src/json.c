#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 128 }; /* nesting beyond this is refused, lest the stack ends */

typedef struct {
    const char *at;
    int depth;
} Reader;

static Json *read_value(Reader *reader);

static void skip_space(Reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

static bool take(Reader *reader, char c)
{
    skip_space(reader);
    if (*reader->at != c)
        return false;
    reader->at++;
    return true;
}

static Json *new_value(JsonKind kind)
{
    Json *value = memory(sizeof *value);
    value->kind = kind;
    return value;
}

void json_free(Json *value)
{
    while (value) {
        Json *next = value->next;
        json_free(value->first);
        free(value->name);
        free(value->string);
        free(value);
        value = next;
    }
}

static bool read_hex(Reader *reader, unsigned *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        char c = *reader->at++;
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            return false;
        *code = *code << 4 | digit;
    }
    return true;
}

static void add_utf8(Text *text, unsigned code)
{
    char bytes[4];
    size_t length;
    if (code < 0x80) {
        bytes[0] = (char)code;
        length = 1;
    } else if (code < 0x800) {
        bytes[0] = (char)(0xC0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3F));
        length = 2;
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xE0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (code & 0x3F));
        length = 3;
    } else {
        bytes[0] = (char)(0xF0 | code >> 18);
        bytes[1] = (char)(0x80 | (code >> 12 & 0x3F));
        bytes[2] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[3] = (char)(0x80 | (code & 0x3F));
        length = 4;
    }
    text_add_bytes(text, bytes, length);
}

static bool read_escape(Reader *reader, Text *text)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = *reader->at++;
    const char *found = c ? strchr(letters, c) : NULL;
    if (found) {
        text_add_bytes(text, &meanings[found - letters], 1);
        return true;
    }
    unsigned code, low;
    if (c != 'u' || !read_hex(reader, &code) || code == 0)
        return false; /* a NUL would end the string for every C function */
    if (code >= 0xD800 && code < 0xDC00) {
        if (reader->at[0] != '\\' || reader->at[1] != 'u')
            return false;
        reader->at += 2;
        if (!read_hex(reader, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    add_utf8(text, code);
    return true;
}

/* Reads a string of which the opening quote is taken; NULL if it is malformed. */
static char *read_string(Reader *reader)
{
    Text text = {0};
    text_add(&text, "");
    for (;;) {
        size_t plain = strcspn(reader->at, "\"\\");
        text_add_bytes(&text, reader->at, plain);
        reader->at += plain;
        char c = *reader->at;
        if (c == '"') {
            reader->at++;
            return text.data;
        }
        if (c == '\0')
            break;
        reader->at++;
        if (!read_escape(reader, &text))
            break;
    }
    free(text.data);
    return NULL;
}

static Json *read_members(Reader *reader, JsonKind kind, char close)
{
    Json *whole = new_value(kind), **end = &whole->first;
    if (take(reader, close))
        return whole;
    do {
        char *name = NULL;
        if (kind == JSON_OBJECT) {
            name = take(reader, '"') ? read_string(reader) : NULL;
            if (!name || !take(reader, ':')) {
                free(name);
                json_free(whole);
                return NULL;
            }
        }
        Json *value = read_value(reader);
        if (!value) {
            free(name);
            json_free(whole);
            return NULL;
        }
        value->name = name;
        *end = value;
        end = &value->next;
    } while (take(reader, ','));
    if (take(reader, close))
        return whole;
    json_free(whole);
    return NULL;
}

static Json *read_word(Reader *reader, const char *word, JsonKind kind, double number)
{
    size_t length = strlen(word);
    if (strncmp(reader->at, word, length) != 0)
        return NULL;
    reader->at += length;
    Json *value = new_value(kind);
    value->number = number;
    return value;
}

static Json *read_number(Reader *reader)
{
    if (!strchr("-0123456789", *reader->at) || !*reader->at)
        return NULL;
    char *end;
    double number = strtod(reader->at, &end);
    if (end == reader->at || !isfinite(number))
        return NULL;
    reader->at = end;
    Json *value = new_value(JSON_NUMBER);
    value->number = number;
    return value;
}

static Json *read_value(Reader *reader)
{
    Json *value = NULL;
    if (++reader->depth > DEEPEST)
        return NULL;
    skip_space(reader);
    switch (*reader->at) {
    case '{':
        reader->at++;
        value = read_members(reader, JSON_OBJECT, '}');
        break;
    case '[':
        reader->at++;
        value = read_members(reader, JSON_ARRAY, ']');
        break;
    case '"': {
        reader->at++;
        char *string = read_string(reader);
        if (string) {
            value = new_value(JSON_STRING);
            value->string = string;
        }
        break;
    }
    case 't':
        value = read_word(reader, "true", JSON_BOOL, 1);
        break;
    case 'f':
        value = read_word(reader, "false", JSON_BOOL, 0);
        break;
    case 'n':
        value = read_word(reader, "null", JSON_NULL, 0);
        break;
    default:
        value = read_number(reader);
    }
    reader->depth--;
    return value;
}

Json *json_parse(const char *text)
{
    if (!text)
        return NULL;
    Reader reader = {text, 0};
    Json *value = read_value(&reader);
    skip_space(&reader);
    if (*reader.at == '\0')
        return value;
    json_free(value);
    return NULL;
}

const Json *json_member(const Json *object, const char *name)
{
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    for (const Json *member = object->first; member; member = member->next)
        if (_stricmp(member->name, name) == 0)
            return member;
    return NULL;
}

const Json *json_at(const Json *value, const char *path)
{
    while (value && *path) {
        char name[64];
        size_t length = strcspn(path, ".");
        if (length >= sizeof name)
            return NULL;
        memcpy(name, path, length);
        name[length] = '\0';
        value = json_member(value, name);
        path += length + (path[length] == '.');
    }
    return value;
}

const char *json_string(const Json *value, const char *path, const char *otherwise)
{
    value = json_at(value, path);
    return value && value->kind == JSON_STRING ? value->string : otherwise;
}

double json_number(const Json *value, const char *path, double otherwise)
{
    value = json_at(value, path);
    return value && value->kind == JSON_NUMBER ? value->number : otherwise;
}

bool json_true(const Json *value, const char *path)
{
    value = json_at(value, path);
    return value && value->kind == JSON_BOOL && value->number != 0;
}

bool json_lists(const Json *value, const char *string)
{
    if (!value || value->kind != JSON_ARRAY)
        return false;
    for (const Json *item = value->first; item; item = item->next)
        if (item->kind == JSON_STRING && _stricmp(item->string, string) == 0)
            return true;
    return false;
}

void json_write(const Json *value, Text *text)
{
    switch (value->kind) {
    case JSON_NULL:
        text_add(text, "null");
        return;
    case JSON_BOOL:
        text_add(text, value->number != 0 ? "true" : "false");
        return;
    case JSON_NUMBER:
        text_addf(text, "%.17g", value->number);
        return;
    case JSON_STRING:
        text_add_quoted(text, value->string);
        return;
    default:
        break;
    }
    bool array = value->kind == JSON_ARRAY;
    text_add(text, array ? "[" : "{");
    for (const Json *item = value->first; item; item = item->next) {
        if (item != value->first)
            text_add(text, ",");
        if (!array) {
            text_add_quoted(text, item->name);
            text_add(text, ":");
        }
        json_write(item, text);
    }
    text_add(text, array ? "]" : "}");
}
