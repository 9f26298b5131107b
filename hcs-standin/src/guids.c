#include "guids.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <objbase.h>

/* FNV-1a over the name in lower case. */
static unsigned long long hash(const char *name, unsigned long long start)
{
    for (const char *c = name; *c; c++)
        start = (start ^ (unsigned char)tolower((unsigned char)*c)) * 1099511628211ull;
    return start;
}

GUID guid_from_name(const char *name)
{
    unsigned long long halves[2] = {hash(name, 14695981039346656037ull), hash(name, 88172645463ull)};
    GUID guid;
    memcpy(&guid, halves, sizeof guid);
    guid.Data3 = (USHORT)((guid.Data3 & 0x0FFF) | 0x5000);
    guid.Data4[0] = (BYTE)((guid.Data4[0] & 0x3F) | 0x80);
    return guid;
}

GUID guid_random(void)
{
    GUID guid = {0};
    CoCreateGuid(&guid);
    return guid;
}

GuidText guid_text(const GUID *guid)
{
    GuidText text;
    const BYTE *rest = guid->Data4;
    snprintf(text.text, sizeof text.text, "%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             guid->Data1, guid->Data2, guid->Data3, rest[0], rest[1], rest[2], rest[3], rest[4],
             rest[5], rest[6], rest[7]);
    return text;
}
