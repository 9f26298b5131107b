#include "works.h"

#include <string.h>

#include "properties.h"
#include "state.h"

void release_object(HandleKind kind, void *object)
{
    if (kind == HANDLE_SYSTEM)
        system_drop(object);
    else
        process_drop(object);
}

HRESULT work_enumerate(Request *request, Text *answer)
{
    properties_enumerate(request->document, answer);
    return S_OK;
}

HRESULT work_create(Request *request, Text *answer)
{
    (void)answer;
    return system_move(request->system, SYSTEM_CREATING, SYSTEM_CREATED);
}

HRESULT work_start(Request *request, Text *answer)
{
    (void)answer;
    return system_move(request->system, SYSTEM_CREATED, SYSTEM_RUNNING);
}

static HRESULT stop(Request *request, const char *exit_type, DWORD code)
{
    HRESULT result = system_alive(request->system);
    if (result == S_OK)
        system_stop(request->system, exit_type, code);
    return result;
}

HRESULT work_shutdown(Request *request, Text *answer)
{
    (void)answer;
    return stop(request, "GracefulExit", EXIT_SHUTDOWN);
}

HRESULT work_terminate(Request *request, Text *answer)
{
    (void)answer;
    return stop(request, "ForcedExit", EXIT_TERMINATED);
}

HRESULT work_crash(Request *request, Text *answer)
{
    (void)answer;
    return stop(request, "UnexpectedExit", EXIT_TERMINATED);
}

HRESULT work_pause(Request *request, Text *answer)
{
    (void)answer;
    return system_move(request->system, SYSTEM_RUNNING, SYSTEM_PAUSED);
}

HRESULT work_resume(Request *request, Text *answer)
{
    (void)answer;
    return system_move(request->system, SYSTEM_PAUSED, SYSTEM_RUNNING);
}

HRESULT work_save(Request *request, Text *answer)
{
    (void)answer;
    state_lock();
    bool paused = request->system->state == SYSTEM_PAUSED;
    state_unlock();
    return paused ? stop(request, "GracefulExit", EXIT_TERMINATED) : HCS_INVALID_STATE;
}

HRESULT work_system_properties(Request *request, Text *answer)
{
    HRESULT result = system_alive(request->system);
    if (result == S_OK)
        properties_of_system(request->system, request->document, answer);
    return result;
}

HRESULT work_modify_system(Request *request, Text *answer)
{
    (void)answer;
    const char *path = json_string(request->document, "ResourcePath", "");
    HRESULT result = system_alive(request->system);
    if (result != S_OK)
        return result;
    if (!request->document)
        return HCS_INVALID_JSON;
    if (!*path && json_at(request->document, "GuestRequest"))
        return S_OK; /* for the guest alone, of which there is none */
    bool fits = strncmp(path, system_type(request->system), 9) == 0;
    return fits ? S_OK : E_INVALIDARG;
}

HRESULT work_create_process(Request *request, Text *answer)
{
    (void)answer;
    return process_start(request->process, request->document);
}

HRESULT work_terminate_process(Request *request, Text *answer)
{
    (void)answer;
    return process_end(request->process, EXIT_TERMINATED);
}

HRESULT work_signal_process(Request *request, Text *answer)
{
    (void)answer;
    return process_signal(request->process, request->document);
}

HRESULT work_process_info(Request *request, Text *answer)
{
    (void)answer;
    state_lock();
    HRESULT result = request->process->started ? S_OK : HCS_NO_PROCESS_INFO;
    state_unlock();
    return result;
}

HRESULT work_process_properties(Request *request, Text *answer)
{
    process_status(request->process, answer);
    return S_OK;
}

HRESULT work_modify_process(Request *request, Text *answer)
{
    (void)answer;
    return process_modify(request->process, request->document);
}

HRESULT work_service_properties(Request *request, Text *answer)
{
    return properties_of_service(request->document, answer);
}

HRESULT work_modify_service(Request *request, Text *answer)
{
    (void)answer;
    return service_modify(request->document);
}
