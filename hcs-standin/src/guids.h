/* GUIDs: made from names, always the same for the same name; to text and from it. */

#ifndef STANDIN_GUIDS_H
#define STANDIN_GUIDS_H

#include <stdbool.h>

#include <windows.h>

/* 36 characters and a NUL. */
typedef struct {
    char text[37];
} GuidText;

GUID guid_from_name(const char *name);
GUID guid_random(void);
GuidText guid_text(const GUID *guid);

#endif
