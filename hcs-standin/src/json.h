/* JSON as a tree of values: enough to read documents, queries and the configuration. */

#ifndef STANDIN_JSON_H
#define STANDIN_JSON_H

#include <stdbool.h>

#include "text.h"

typedef enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonKind;

typedef struct Json {
    JsonKind kind;
    char *name;         /* the member's name, if it is one of an object */
    char *string;       /* JSON_STRING: its value, in UTF-8 */
    double number;      /* JSON_NUMBER; JSON_BOOL: 0 or 1 */
    struct Json *first; /* JSON_ARRAY, JSON_OBJECT: the first of its values */
    struct Json *next;  /* the next value beside this one */
} Json;

/* The value that all of `text` is, or NULL if it is not one. The caller frees it. */
Json *json_parse(const char *text);
void json_free(Json *value);

/* A member; names compare without regard to case, as HCS does. NULL if there is none; takes NULL. */
const Json *json_member(const Json *object, const char *name);

/* Follows member names separated by dots. */
const Json *json_at(const Json *value, const char *path);

/* The value at a path if it is of the right kind, else the given default. */
const char *json_string(const Json *value, const char *path, const char *otherwise);
double json_number(const Json *value, const char *path, double otherwise);
bool json_true(const Json *value, const char *path);

/* Adds the value as text. */
void json_write(const Json *value, Text *text);

/* Whether `value` is an array that holds the string, without regard to case. */
bool json_lists(const Json *value, const char *string);

#endif
