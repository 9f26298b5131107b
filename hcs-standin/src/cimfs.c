/* The exports of cimfs.dll: which composite images are mounted, and as which volumes.
 *
 * Nothing is mounted: a volume is known from its mounting to its unmounting. The images' files must
 * be there; what is in them is not looked at. */

#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include "calls.h"
#include "guids.h"
#include "state.h"
#include "text.h"

#define EXPORT __declspec(dllexport)
#define MOUNT_DEVICE 0x10 /* the image is on a block device */
#define MOUNT_FILE 0x20   /* the image is in a single file, which the folder names */

typedef struct {
    PCWSTR folder;
    PCWSTR name;
} Image;

typedef struct Volume {
    GUID id;
    struct Volume *next;
} Volume;

static Volume *mounted; /* under the lock */

static Volume **find(const GUID *id)
{
    Volume **link = &mounted;
    while (*link && memcmp(&(*link)->id, id, sizeof *id) != 0)
        link = &(*link)->next;
    return link;
}

static bool exists(PCWSTR path)
{
    return path && GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
}

static bool has_file(const Image *image, DWORD flags)
{
    if (flags & MOUNT_DEVICE)
        return true;
    if (flags & MOUNT_FILE)
        return exists(image->folder);
    wchar_t *path = memory((wcslen(image->folder) + wcslen(image->name) + 2) * sizeof *path);
    wcscpy(path, image->folder);
    wcscat(path, L"\\");
    wcscat(path, image->name);
    bool found = exists(path);
    free(path);
    return found;
}

static Call begin(const char *name, const Image *images, DWORD count, DWORD flags, const GUID *id)
{
    Text arguments = {0};
    text_add(&arguments, "{\"Images\":[");
    for (DWORD i = 0; i < count; i++) {
        char *folder = utf8_from(images[i].folder), *file = utf8_from(images[i].name);
        text_add(&arguments, i ? ",[" : "[");
        text_add_quoted(&arguments, folder);
        text_add(&arguments, ",");
        text_add_quoted(&arguments, file);
        text_add(&arguments, "]");
        free(folder);
        free(file);
    }
    text_addf(&arguments, "],\"Flags\":%lu,\"Volume\":\"%s\"}", (unsigned long)flags,
              guid_text(id).text);
    Call call =
        call_begin(&(const About){.dll = "cimfs", .name = name, .arguments = arguments.data});
    free(arguments.data);
    return call;
}

static HRESULT mount(const Image *images, DWORD count, DWORD flags, const GUID *id)
{
    for (DWORD i = 0; i < count; i++)
        if (!has_file(&images[i], flags))
            return HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
    state_lock();
    Volume **link = find(id);
    bool taken = *link != NULL;
    if (!taken) {
        Volume *volume = memory(sizeof *volume);
        volume->id = *id;
        *link = volume;
    }
    state_unlock();
    return taken ? HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS) : S_OK;
}

EXPORT HRESULT WINAPI CimMountImage(PCWSTR folder, PCWSTR name, DWORD flags, GUID *id)
{
    const Image image = {folder, name};
    Call call = begin("CimMountImage", &image, 1, flags, id);
    return call_end(&call, CALL_RESULT(&call, mount(&image, 1, flags, id)), NULL);
}

EXPORT HRESULT WINAPI CimMergeMountImage(DWORD count, const Image *images, DWORD flags, GUID *id)
{
    Call call = begin("CimMergeMountImage", images, count, flags, id);
    return call_end(&call, CALL_RESULT(&call, mount(images, count, flags, id)), NULL);
}

static HRESULT dismount(const GUID *id)
{
    state_lock();
    Volume **link = find(id), *volume = *link;
    if (volume)
        *link = volume->next;
    state_unlock();
    free(volume);
    return volume ? S_OK : HRESULT_FROM_WIN32(ERROR_NOT_FOUND);
}

EXPORT HRESULT WINAPI CimDismountImage(const GUID *id)
{
    Call call = begin("CimDismountImage", NULL, 0, 0, id);
    return call_end(&call, CALL_RESULT(&call, dismount(id)), NULL);
}
