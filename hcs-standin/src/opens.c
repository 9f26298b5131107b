#include "opens.h"

#include <stdlib.h>
#include <string.h>

#include <computedefs.h>

#include "state.h"
#include "works.h"

/* The id of the system behind a handle, for the trace; NULL if there is none. The caller frees. */
static char *system_id(HANDLE number)
{
    Handle *handle = handle_take(number, HANDLE_SYSTEM);
    if (!handle)
        return NULL;
    char *id = text_copy(((System *)handle->object)->id);
    handle_drop(handle);
    return id;
}

static char *process_system_id(HANDLE number, DWORD *process)
{
    Handle *handle = handle_take(number, HANDLE_PROCESS);
    *process = 0;
    if (!handle)
        return NULL;
    Process *object = handle->object;
    char *id = text_copy(object->system->id);
    state_lock();
    *process = object->id;
    state_unlock();
    handle_drop(handle);
    return id;
}

HRESULT submit(Request *request, const Manner *manner)
{
    return manner->legacy ? request_submit_legacy(request, manner->answer)
                          : request_submit(request, manner->operation);
}

/* Takes a new handle back that its creator does not get, and the object with it. */
static HRESULT undo(HANDLE *number, HandleKind kind, HRESULT result)
{
    handle_close(*number, kind);
    *number = NULL;
    return result;
}

HRESULT create_system(const char *dll, PCWSTR id, PCWSTR document, const Manner *manner,
                      HANDLE *number)
{
    char *name = utf8_from(id);
    const About about = {.dll = dll, .name = "HcsCreateComputeSystem", .system = name};
    Request *request = request_new(&about, work_create, document);
    System *system = NULL;
    *number = NULL;
    request->type = HcsOperationTypeCreate;
    request->event = EVENT_CREATED;
    HRESULT result = call_refused(&request->call) ? S_OK
                     : !name || !*name            ? E_INVALIDARG
                     : !request->document         ? HCS_INVALID_JSON
                                       : system_new(name, request->document, &system);
    free(name);
    if (result != S_OK)
        return request_refuse(request, manner->legacy ? as_legacy(result) : result);
    if (!system) /* refused by a fault */
        return submit(request, manner);
    request->document = NULL; /* the system's now */
    *number = handle_open(HANDLE_SYSTEM, manner->legacy, system, release_object);
    request_on_system(request, *number);
    result = submit(request, manner);
    if (result < 0 && result != HCS_PENDING_LEGACY) {
        system_stop(system, "ForcedExit", EXIT_TERMINATED);
        return undo(number, HANDLE_SYSTEM, result);
    }
    return result;
}

HRESULT open_system(const char *dll, PCWSTR id, bool legacy, HANDLE *number)
{
    char *name = utf8_from(id);
    const About about = {.dll = dll, .name = "HcsOpenComputeSystem", .system = name};
    Call call = call_begin(&about);
    System *system = NULL;
    *number = NULL;
    HRESULT result = call_refused(&call) ? call.fault.result
                     : !name             ? E_INVALIDARG
                                         : system_find(name, &system);
    free(name);
    if (result == S_OK)
        *number = handle_open(HANDLE_SYSTEM, legacy, system, release_object);
    return call_end(&call, legacy ? as_legacy(result) : result, NULL);
}

void close_system(const char *dll, HANDLE number)
{
    char *id = system_id(number);
    const About about = {.dll = dll, .name = "HcsCloseComputeSystem", .system = id};
    Call call = call_begin(&about);
    Handle *handle = handle_take(number, HANDLE_SYSTEM);
    if (handle) {
        handle_close(number, HANDLE_SYSTEM);
        system_handle_closed(handle->object);
        handle_drop(handle);
    }
    free(id);
    call_end(&call, handle ? S_OK : E_HANDLE, NULL);
}

HRESULT create_process(const char *dll, HANDLE system, PCWSTR document, const Manner *manner,
                       ProcessInformation *info, HANDLE *number)
{
    char *id = system_id(system);
    const About about = {.dll = dll, .name = "HcsCreateProcess", .system = id};
    Request *request = request_new(&about, work_create_process, document);
    free(id);
    *number = NULL;
    if (info)
        memset(info, 0, sizeof *info);
    request->type = HcsOperationTypeCreateProcess;
    request->gives_process = true;
    if (!request_on_system(request, system))
        return request_refuse(request, E_HANDLE);
    if (call_refused(&request->call))
        return submit(request, manner);
    if (!request->document)
        return request_refuse(request,
                              manner->legacy ? as_legacy(HCS_INVALID_JSON) : HCS_INVALID_JSON);
    Process *process = process_new(request->system);
    *number = handle_open(HANDLE_PROCESS, manner->legacy, process, release_object);
    state_lock();
    process_keep(process); /* the request's */
    process_keep(process); /* ours */
    state_unlock();
    request->process = process;
    HRESULT result = submit(request, manner);
    if (result == S_OK && info)
        process_take_information(process, info);
    process_drop(process);
    return result == S_OK ? result : undo(number, HANDLE_PROCESS, result);
}

HRESULT open_process(const char *dll, HANDLE system, DWORD id, bool legacy, HANDLE *number)
{
    char *name = system_id(system);
    const About about = {.dll = dll, .name = "HcsOpenProcess", .system = name, .process = id};
    Call call = call_begin(&about);
    Handle *handle = handle_take(system, HANDLE_SYSTEM);
    HRESULT result = handle ? S_OK : E_HANDLE;
    *number = NULL;
    if (handle && call_refused(&call)) {
        result = call.fault.result;
    } else if (handle) {
        Process *process = process_find(handle->object, id);
        if (process)
            *number = handle_open(HANDLE_PROCESS, legacy, process, release_object);
        else
            result = HRESULT_FROM_WIN32(ERROR_NOT_FOUND);
    }
    if (handle)
        handle_drop(handle);
    free(name);
    return call_end(&call, legacy ? as_legacy(result) : result, NULL);
}

void close_process(const char *dll, HANDLE number)
{
    DWORD process;
    char *id = process_system_id(number, &process);
    const About about = {
        .dll = dll, .name = "HcsCloseProcess", .system = id, .process = process};
    Call call = call_begin(&about);
    bool closed = handle_close(number, HANDLE_PROCESS);
    free(id);
    call_end(&call, closed ? S_OK : E_HANDLE, NULL);
}

HRESULT on_system(const About *about, Work *work, DWORD type, DWORD event, HANDLE system,
                  PCWSTR document, const Manner *manner)
{
    About full = *about;
    char *id = system_id(system);
    full.system = id;
    Request *request = request_new(&full, work, document);
    free(id);
    request->type = type;
    request->event = event;
    if (!request_on_system(request, system))
        return request_refuse(request, E_HANDLE);
    return submit(request, manner);
}

HRESULT on_process(const About *about, Work *work, DWORD type, HANDLE process, PCWSTR document,
                   const Manner *manner)
{
    About full = *about;
    char *id = process_system_id(process, &full.process);
    full.system = id;
    Request *request = request_new(&full, work, document);
    free(id);
    request->type = type;
    request->gives_process = type == HcsOperationTypeGetProcessInfo;
    if (!request_on_process(request, process))
        return request_refuse(request, E_HANDLE);
    return submit(request, manner);
}

HRESULT on_service(const About *about, Work *work, PCWSTR document, PWSTR *properties)
{
    const Manner manner = {.legacy = true, .answer = properties};
    return submit(request_new(about, work, document), &manner);
}

HRESULT set_callback(const About *about, HANDLE number, HandleKind kind, void *callback,
                     void *context)
{
    Call call = call_begin(about);
    Handle *handle = handle_take(number, kind);
    HRESULT result = E_HANDLE;
    if (handle && call_refused(&call)) {
        result = call.fault.result;
    } else if (handle && callback) {
        result = handle_subscribe(handle, callback, context) ? S_OK : HCS_CALLBACK_SET;
    } else if (handle) {
        handle_unsubscribe(handle);
        result = S_OK;
    }
    if (handle)
        handle_drop(handle);
    return call_end(&call, result, NULL);
}
