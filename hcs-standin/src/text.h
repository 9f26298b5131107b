/* Strings: memory that cannot fail, growing text, JSON quoting, UTF-8 inside and UTF-16 outside. */

#ifndef STANDIN_TEXT_H
#define STANDIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

/* Text that grows; all zeroes is an empty one. The owner frees `data`. */
typedef struct {
    char *data;
    size_t length;
    size_t capacity;
} Text;

/* Zeroed memory. Ends the process when there is none: a stand-in has nothing better to do. */
void *memory(size_t size);
void *memory_grown(void *old, size_t size);

char *text_copy(const char *text);
wchar_t *wide_copy(const wchar_t *text);

void text_add(Text *text, const char *more);
void text_add_bytes(Text *text, const char *more, size_t length);
void text_addf(Text *text, const char *format, ...) __attribute__((format(gnu_printf, 2, 3)));

/* Adds a JSON string with its quotes; NULL becomes null. */
void text_add_quoted(Text *text, const char *string);

/* The text itself, never NULL. Belongs to the Text. */
const char *text_of(const Text *text);

/* Conversions; NULL gives NULL, ill-formed input gives replacement characters. The caller frees. */
char *utf8_from(const wchar_t *wide);
wchar_t *wide_from(const char *utf8);

/* A copy that the caller of an API frees with CoTaskMemFree; NULL gives NULL. */
wchar_t *wide_for_caller(const char *utf8);

#endif
