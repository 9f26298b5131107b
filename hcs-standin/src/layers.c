/* The layer exports of vmcompute.dll: which folders are mounted, and the volumes they would be.
 *
 * Nothing is mounted: a layer's volume is a name made from its folder. What the real functions
 * insist on is insisted on here: folders that exist, a scratch layer with its disk file, mounting
 * in the right order within one process. Unmounting is forgiving, because another process may
 * have mounted. */

#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include "calls.h"
#include "guids.h"
#include "state.h"
#include "text.h"

#define EXPORT __declspec(dllexport)

/* As DriverInfo and WC_LAYER_DESCRIPTOR. */
typedef struct {
    int flavour;
    PCWSTR home;
} DriverInfo;

typedef struct {
    GUID id;
    ULONG flags;
    PCWSTR path;
} LayerDescriptor;

typedef struct Layer {
    wchar_t *path;
    struct Layer *next;
} Layer;

static Layer *active; /* under the lock */

static Layer **find(PCWSTR path)
{
    Layer **link = &active;
    while (*link && _wcsicmp((*link)->path, path) != 0)
        link = &(*link)->next;
    return link;
}

static bool is_active(PCWSTR path)
{
    state_lock();
    bool found = *find(path) != NULL;
    state_unlock();
    return found;
}

static void set_active(PCWSTR path, bool wanted)
{
    state_lock();
    Layer **link = find(path), *layer = *link;
    if (wanted && !layer) {
        layer = memory(sizeof *layer);
        layer->path = wide_copy(path);
        *link = layer;
    } else if (!wanted && layer) {
        *link = layer->next;
        free(layer->path);
        free(layer);
    }
    state_unlock();
}

static bool is_folder(PCWSTR path)
{
    DWORD attributes = path ? GetFileAttributesW(path) : INVALID_FILE_ATTRIBUTES;
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY);
}

/* The scratch disk's path. The caller frees it. */
static wchar_t *disk_of(PCWSTR folder)
{
    static const wchar_t name[] = L"\\sandbox.vhdx";
    wchar_t *path = memory((wcslen(folder) + ARRAYSIZE(name)) * sizeof *path);
    wcscpy(path, folder);
    wcscat(path, name);
    return path;
}

static bool has_disk(PCWSTR folder)
{
    wchar_t *disk = disk_of(folder);
    bool found = GetFileAttributesW(disk) != INVALID_FILE_ATTRIBUTES;
    free(disk);
    return found;
}

/* Begins a call about a layer; further arguments are the layers below it. */
static Call begin(const char *name, PCWSTR path, const LayerDescriptor *below, DWORD count)
{
    Text arguments = {0};
    char *folder = utf8_from(path);
    text_add(&arguments, "{\"Path\":");
    text_add_quoted(&arguments, folder);
    if (below) {
        text_add(&arguments, ",\"Layers\":[");
        for (DWORD i = 0; i < count; i++) {
            char *layer = utf8_from(below[i].path);
            text_addf(&arguments, "%s{\"Id\":\"%s\",\"Path\":", i ? "," : "",
                      guid_text(&below[i].id).text);
            text_add_quoted(&arguments, layer);
            text_add(&arguments, "}");
            free(layer);
        }
        text_add(&arguments, "]");
    }
    text_add(&arguments, "}");
    Call call =
        call_begin(&(const About){.dll = "vmcompute", .name = name, .arguments = arguments.data});
    free(arguments.data);
    free(folder);
    return call;
}

static HRESULT finish(const Call *call, HRESULT result)
{
    return call_end(call, CALL_RESULT(call, result), NULL);
}

static HRESULT activate(PCWSTR path)
{
    if (!is_folder(path))
        return HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND);
    if (!has_disk(path))
        return HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
    set_active(path, true);
    return S_OK;
}

EXPORT HRESULT WINAPI ActivateLayer(const DriverInfo *info, PCWSTR path)
{
    (void)info;
    Call call = begin("ActivateLayer", path, NULL, 0);
    return call_end(&call, CALL_RESULT(&call, activate(path)), NULL);
}

EXPORT HRESULT WINAPI DeactivateLayer(const DriverInfo *info, PCWSTR path)
{
    (void)info;
    Call call = begin("DeactivateLayer", path, NULL, 0);
    if (!call_refused(&call))
        set_active(path, false);
    return finish(&call, is_folder(path) ? S_OK : HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND));
}

static HRESULT prepare(PCWSTR path, const LayerDescriptor *below, DWORD count)
{
    if (!is_active(path))
        return HRESULT_FROM_WIN32(ERROR_NOT_READY);
    for (DWORD i = 0; i < count; i++)
        if (!is_folder(below[i].path))
            return HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND);
    return count ? S_OK : E_INVALIDARG;
}

EXPORT HRESULT WINAPI PrepareLayer(const DriverInfo *info, PCWSTR path,
                                   const LayerDescriptor *below, DWORD count)
{
    (void)info;
    Call call = begin("PrepareLayer", path, below, count);
    return finish(&call, prepare(path, below, count));
}

EXPORT HRESULT WINAPI UnprepareLayer(const DriverInfo *info, PCWSTR path)
{
    (void)info;
    Call call = begin("UnprepareLayer", path, NULL, 0);
    return finish(&call, is_folder(path) ? S_OK : HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND));
}

static HRESULT create_scratch(PCWSTR path)
{
    if (!is_folder(path) && !CreateDirectoryW(path, NULL))
        return HRESULT_FROM_WIN32(GetLastError());
    wchar_t *disk = disk_of(path);
    HANDLE file = CreateFileW(disk, GENERIC_WRITE, 0, NULL, CREATE_NEW, 0, NULL);
    HRESULT result = file == INVALID_HANDLE_VALUE ? HRESULT_FROM_WIN32(GetLastError()) : S_OK;
    if (result == S_OK)
        CloseHandle(file);
    free(disk);
    return result;
}

EXPORT HRESULT WINAPI CreateSandboxLayer(const DriverInfo *info, PCWSTR path, ULONG_PTR parent,
                                         const LayerDescriptor *below, DWORD count)
{
    (void)info, (void)parent;
    Call call = begin("CreateSandboxLayer", path, below, count);
    return call_end(&call, CALL_RESULT(&call, create_scratch(path)), NULL);
}

EXPORT HRESULT WINAPI ExpandSandboxSize(const DriverInfo *info, PCWSTR path,
                                        unsigned long long size)
{
    (void)info, (void)size;
    Call call = begin("ExpandSandboxSize", path, NULL, 0);
    return finish(&call, has_disk(path) ? S_OK : HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND));
}

static HRESULT destroy(PCWSTR path)
{
    if (is_active(path))
        return HRESULT_FROM_WIN32(ERROR_SHARING_VIOLATION);
    wchar_t *disk = disk_of(path);
    DeleteFileW(disk);
    free(disk);
    return RemoveDirectoryW(path) ? S_OK : HRESULT_FROM_WIN32(GetLastError());
}

EXPORT HRESULT WINAPI DestroyLayer(const DriverInfo *info, PCWSTR path)
{
    (void)info;
    Call call = begin("DestroyLayer", path, NULL, 0);
    return call_end(&call, CALL_RESULT(&call, destroy(path)), NULL);
}

EXPORT HRESULT WINAPI LayerExists(const DriverInfo *info, PCWSTR path, DWORD *exists)
{
    (void)info;
    Call call = begin("LayerExists", path, NULL, 0);
    *exists = is_folder(path);
    return finish(&call, S_OK);
}

/* Gives the volume's name, or its length with the NUL if there is no buffer. */
static HRESULT mount_path(PCWSTR path, SIZE_T *length, WCHAR *buffer)
{
    if (!is_active(path))
        return HRESULT_FROM_WIN32(ERROR_NOT_READY);
    char *folder = utf8_from(path);
    GUID guid = guid_from_name(folder);
    Text volume = {0};
    text_addf(&volume, "\\\\?\\Volume{%s}", guid_text(&guid).text);
    wchar_t *wide = wide_from(volume.data);
    SIZE_T needed = wcslen(wide) + 1;
    HRESULT result = S_OK;
    if (buffer && *length < needed)
        result = HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER);
    else if (buffer)
        wcscpy(buffer, wide);
    *length = needed;
    free(folder);
    free(volume.data);
    free(wide);
    return result;
}

EXPORT HRESULT WINAPI GetLayerMountPath(const DriverInfo *info, PCWSTR path, SIZE_T *length,
                                        WCHAR *buffer)
{
    (void)info;
    Call call = begin("GetLayerMountPath", path, NULL, 0);
    return call_end(&call, CALL_RESULT(&call, mount_path(path, length, buffer)), NULL);
}

EXPORT HRESULT WINAPI NameToGuid(PCWSTR name, GUID *guid)
{
    Call call = begin("NameToGuid", name, NULL, 0);
    char *text = utf8_from(name);
    *guid = guid_from_name(text);
    free(text);
    return finish(&call, S_OK);
}

EXPORT HRESULT WINAPI GrantVmAccess(PCWSTR machine, PCWSTR path)
{
    (void)machine;
    Call call = begin("GrantVmAccess", path, NULL, 0);
    return finish(&call, S_OK);
}

/* Management of images: nothing that a shim asks for. */
#define NOT_HERE(function)                                                                        \
    EXPORT HRESULT WINAPI function(void)                                                              \
    {                                                                                             \
        Call call = call_begin(&(const About){.dll = "vmcompute", .name = #function});            \
        return call_end(&call, E_NOTIMPL, NULL);                                                  \
    }

NOT_HERE(CopyLayer)
NOT_HERE(CreateLayer)
NOT_HERE(ImportLayer)
NOT_HERE(ExportLayer)
NOT_HERE(GetBaseImages)
NOT_HERE(ProcessBaseImage)
NOT_HERE(ProcessUtilityImage)
