#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>
#include <objbase.h>

void *memory(size_t size)
{
    void *block = calloc(1, size ? size : 1);
    if (!block)
        abort();
    return block;
}

void *memory_grown(void *old, size_t size)
{
    void *block = realloc(old, size);
    if (!block)
        abort();
    return block;
}

char *text_copy(const char *text)
{
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    return memcpy(memory(size), text, size);
}

wchar_t *wide_copy(const wchar_t *text)
{
    if (!text)
        return NULL;
    size_t size = (wcslen(text) + 1) * sizeof *text;
    return memcpy(memory(size), text, size);
}

static void reserve(Text *text, size_t more)
{
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity)
        return;
    text->capacity = needed * 2;
    text->data = memory_grown(text->data, text->capacity);
}

void text_add_bytes(Text *text, const char *more, size_t length)
{
    reserve(text, length);
    memcpy(text->data + text->length, more, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_add(Text *text, const char *more)
{
    text_add_bytes(text, more, strlen(more));
}

void text_addf(Text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = __mingw_vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    reserve(text, (size_t)length);
    __mingw_vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
    va_end(again);
    text->length += (size_t)length;
}

void text_add_quoted(Text *text, const char *string)
{
    if (!string) {
        text_add(text, "null");
        return;
    }
    text_add(text, "\"");
    for (const char *c = string; *c; c++) {
        if (*c == '"' || *c == '\\')
            text_addf(text, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            text_addf(text, "\\u%04x", (unsigned)(unsigned char)*c);
        else
            text_add_bytes(text, c, 1);
    }
    text_add(text, "\"");
}

const char *text_of(const Text *text)
{
    return text->data ? text->data : "";
}

char *utf8_from(const wchar_t *wide)
{
    if (!wide)
        return NULL;
    int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *utf8 = memory((size_t)size);
    WideCharToMultiByte(CP_UTF8, 0, wide, -1, utf8, size, NULL, NULL);
    return utf8;
}

wchar_t *wide_from(const char *utf8)
{
    if (!utf8)
        return NULL;
    int size = MultiByteToWideChar(CP_UTF8, 0, utf8, -1, NULL, 0);
    wchar_t *wide = memory((size_t)size * sizeof *wide);
    MultiByteToWideChar(CP_UTF8, 0, utf8, -1, wide, size);
    return wide;
}

wchar_t *wide_for_caller(const char *utf8)
{
    if (!utf8)
        return NULL;
    int size = MultiByteToWideChar(CP_UTF8, 0, utf8, -1, NULL, 0);
    wchar_t *wide = CoTaskMemAlloc((size_t)size * sizeof *wide);
    if (!wide)
        abort();
    MultiByteToWideChar(CP_UTF8, 0, utf8, -1, wide, size);
    return wide;
}
