/* The exports of computestorage.dll: they check their documents, leave a trace, and mount nothing. */

#include <stdlib.h>

#include <windows.h>

#include "calls.h"
#include "guids.h"
#include "json.h"
#include "state.h"
#include "text.h"

#define EXPORT __declspec(dllexport)

/* Begins a call about a layer or volume. */
static Call begin(const char *name, PCWSTR path, PCWSTR document)
{
    Text arguments = {0};
    char *folder = utf8_from(path), *text = utf8_from(document);
    text_add(&arguments, "{\"Path\":");
    text_add_quoted(&arguments, folder);
    text_add(&arguments, "}");
    Call call = call_begin(&(const About){.dll = "computestorage",
                                          .name = name,
                                          .arguments = arguments.data,
                                          .document = text && *text ? text : NULL});
    free(arguments.data);
    free(folder);
    free(text);
    return call;
}

/* Ends a call that only needs a document; `member` is what it must have. */
static HRESULT finish(const Call *call, PCWSTR document, const char *member)
{
    char *text = utf8_from(document);
    Json *value = json_parse(text);
    bool fits = !member || (value && json_at(value, member));
    json_free(value);
    free(text);
    return call_end(call, CALL_RESULT(call, fits ? S_OK : HCS_INVALID_JSON), NULL);
}

EXPORT HRESULT WINAPI StorageImportLayer(PCWSTR layer, PCWSTR source, PCWSTR data)
{
    (void)source;
    Call call = begin("HcsImportLayer", layer, data);
    return finish(&call, data, "SchemaVersion");
}

EXPORT HRESULT WINAPI StorageExportLayer(PCWSTR layer, PCWSTR target, PCWSTR data, PCWSTR options)
{
    (void)target, (void)options;
    Call call = begin("HcsExportLayer", layer, data);
    return finish(&call, data, "SchemaVersion");
}

EXPORT HRESULT WINAPI StorageDestroyLayer(PCWSTR layer)
{
    Call call = begin("HcsDestroyLayer", layer, NULL);
    return finish(&call, NULL, NULL);
}

EXPORT HRESULT WINAPI StorageSetupBaseOSLayer(PCWSTR layer, HANDLE disk, PCWSTR options)
{
    (void)disk;
    Call call = begin("HcsSetupBaseOSLayer", layer, options);
    return finish(&call, NULL, NULL);
}

EXPORT HRESULT WINAPI StorageSetupBaseOSVolume(PCWSTR layer, PCWSTR volume, PCWSTR options)
{
    (void)volume;
    Call call = begin("HcsSetupBaseOSVolume", layer, options);
    return finish(&call, NULL, NULL);
}

EXPORT HRESULT WINAPI StorageInitializeWritableLayer(PCWSTR layer, PCWSTR data, PCWSTR options)
{
    (void)options;
    Call call = begin("HcsInitializeWritableLayer", layer, data);
    return finish(&call, data, "SchemaVersion");
}

EXPORT HRESULT WINAPI StorageAttachLayerStorageFilter(PCWSTR layer, PCWSTR data)
{
    Call call = begin("HcsAttachLayerStorageFilter", layer, data);
    return finish(&call, data, "Layers");
}

EXPORT HRESULT WINAPI StorageDetachLayerStorageFilter(PCWSTR layer)
{
    Call call = begin("HcsDetachLayerStorageFilter", layer, NULL);
    return finish(&call, NULL, NULL);
}

EXPORT HRESULT WINAPI StorageFormatWritableLayerVhd(HANDLE disk)
{
    (void)disk;
    Call call = begin("HcsFormatWritableLayerVhd", NULL, NULL);
    return finish(&call, NULL, NULL);
}

EXPORT HRESULT WINAPI StorageGetLayerVhdMountPath(HANDLE disk, PWSTR *path)
{
    (void)disk;
    Call call = begin("HcsGetLayerVhdMountPath", NULL, NULL);
    *path = NULL;
    if (!call_refused(&call)) {
        GUID guid = guid_from_name("a disk");
        Text volume = {0};
        text_addf(&volume, "\\\\?\\Volume{%s}", guid_text(&guid).text);
        *path = wide_for_caller(volume.data);
        free(volume.data);
    }
    return finish(&call, NULL, NULL);
}

EXPORT HRESULT WINAPI StorageAttachOverlayFilter(PCWSTR volume, PCWSTR data)
{
    Call call = begin("HcsAttachOverlayFilter", volume, data);
    return finish(&call, data, "Layers");
}

EXPORT HRESULT WINAPI StorageDetachOverlayFilter(PCWSTR volume, PCWSTR data)
{
    Call call = begin("HcsDetachOverlayFilter", volume, data);
    return finish(&call, data, "FilterType");
}
