/* The HCS exports of vmcompute.dll, which computecore.dll replaced. Names begin with "Legacy" here. */

#include <stdlib.h>
#include <string.h>

#include <windows.h>
#include <computedefs.h>

#include "opens.h"
#include "state.h"
#include "works.h"

#define EXPORT __declspec(dllexport)
#define ABOUT(export) (&(const About){.dll = "vmcompute", .name = (export)})
#define TO(answer_) (&(const Manner){.legacy = true, .answer = (answer_)})

EXPORT HRESULT WINAPI LegacyEnumerateComputeSystems(PCWSTR query, PWSTR *systems, PWSTR *answer)
{
    *answer = NULL;
    return on_service(ABOUT("HcsEnumerateComputeSystems"), work_enumerate, query, systems);
}

EXPORT HRESULT WINAPI LegacyCreateComputeSystem(PCWSTR id, PCWSTR document, HANDLE identity,
                                                HANDLE *system, PWSTR *answer)
{
    (void)identity;
    *answer = NULL;
    return create_system("vmcompute", id, document, TO(answer), system);
}

EXPORT HRESULT WINAPI LegacyOpenComputeSystem(PCWSTR id, HANDLE *system, PWSTR *answer)
{
    *answer = NULL;
    return open_system("vmcompute", id, true, system);
}

EXPORT HRESULT WINAPI LegacyCloseComputeSystem(HANDLE system)
{
    close_system("vmcompute", system);
    return S_OK;
}

#define SYSTEM_CALL(function, export, work, type, event)                                          \
    EXPORT HRESULT WINAPI function(HANDLE system, PCWSTR options, PWSTR *answer)                  \
    {                                                                                             \
        return on_system(ABOUT(export), work, type, event, system, options, TO(answer));          \
    }

SYSTEM_CALL(LegacyStartComputeSystem, "HcsStartComputeSystem", work_start, HcsOperationTypeStart,
            EVENT_STARTED)
SYSTEM_CALL(LegacyShutdownComputeSystem, "HcsShutDownComputeSystem", work_shutdown,
            HcsOperationTypeShutdown, EVENT_SYSTEM_EXITED)
SYSTEM_CALL(LegacyTerminateComputeSystem, "HcsTerminateComputeSystem", work_terminate,
            HcsOperationTypeTerminate, EVENT_SYSTEM_EXITED)
SYSTEM_CALL(LegacyPauseComputeSystem, "HcsPauseComputeSystem", work_pause, HcsOperationTypePause,
            EVENT_PAUSED)
SYSTEM_CALL(LegacyResumeComputeSystem, "HcsResumeComputeSystem", work_resume,
            HcsOperationTypeResume, EVENT_RESUMED)
SYSTEM_CALL(LegacySaveComputeSystem, "HcsSaveComputeSystem", work_save, HcsOperationTypeSave,
            EVENT_SAVED)
SYSTEM_CALL(LegacyModifyComputeSystem, "HcsModifyComputeSystem", work_modify_system,
            HcsOperationTypeModify, 0)

EXPORT HRESULT WINAPI LegacyGetComputeSystemProperties(HANDLE system, PCWSTR query,
                                                       PWSTR *properties, PWSTR *answer)
{
    *answer = NULL;
    return on_system(ABOUT("HcsGetComputeSystemProperties"), work_system_properties,
                     HcsOperationTypeGetProperties, 0, system, query, TO(properties));
}

EXPORT HRESULT WINAPI LegacyCreateProcess(HANDLE system, PCWSTR parameters,
                                          ProcessInformation *info, HANDLE *process,
                                          PWSTR *answer)
{
    return create_process("vmcompute", system, parameters, TO(answer), info, process);
}

EXPORT HRESULT WINAPI LegacyOpenProcess(HANDLE system, DWORD id, HANDLE *process, PWSTR *answer)
{
    *answer = NULL;
    return open_process("vmcompute", system, id, true, process);
}

EXPORT HRESULT WINAPI LegacyCloseProcess(HANDLE process)
{
    close_process("vmcompute", process);
    return S_OK;
}

EXPORT HRESULT WINAPI LegacyTerminateProcess(HANDLE process, PWSTR *answer)
{
    return on_process(ABOUT("HcsTerminateProcess"), work_terminate_process,
                      HcsOperationTypeTerminate, process, NULL, TO(answer));
}

EXPORT HRESULT WINAPI LegacySignalProcess(HANDLE process, PCWSTR options, PWSTR *answer)
{
    return on_process(ABOUT("HcsSignalProcess"), work_signal_process,
                      HcsOperationTypeSignalProcess, process, options, TO(answer));
}

EXPORT HRESULT WINAPI LegacyGetProcessInfo(HANDLE process, ProcessInformation *info,
                                           PWSTR *answer)
{
    memset(info, 0, sizeof *info);
    HRESULT result = on_process(ABOUT("HcsGetProcessInfo"), work_process_info,
                                HcsOperationTypeGetProcessInfo, process, NULL, TO(answer));
    Handle *handle = result == S_OK ? handle_take(process, HANDLE_PROCESS) : NULL;
    if (handle) {
        process_take_information(handle->object, info);
        handle_drop(handle);
    }
    return result;
}

EXPORT HRESULT WINAPI LegacyGetProcessProperties(HANDLE process, PWSTR *properties, PWSTR *answer)
{
    *answer = NULL;
    return on_process(ABOUT("HcsGetProcessProperties"), work_process_properties,
                      HcsOperationTypeGetProcessProperties, process, NULL, TO(properties));
}

EXPORT HRESULT WINAPI LegacyModifyProcess(HANDLE process, PCWSTR settings, PWSTR *answer)
{
    return on_process(ABOUT("HcsModifyProcess"), work_modify_process,
                      HcsOperationTypeModifyProcess, process, settings, TO(answer));
}

EXPORT HRESULT WINAPI LegacyGetServiceProperties(PCWSTR query, PWSTR *properties, PWSTR *answer)
{
    *answer = NULL;
    return on_service(ABOUT("HcsGetServiceProperties"), work_service_properties, query,
                      properties);
}

EXPORT HRESULT WINAPI LegacyModifyServiceSettings(PCWSTR settings, PWSTR *answer)
{
    return on_service(ABOUT("HcsModifyServiceSettings"), work_modify_service, settings, answer);
}

/* ---- callbacks: a registration is a handle of its own, on the one that it listens to ---- */

static void release_registration(HandleKind kind, void *object)
{
    (void)kind;
    handle_drop(object);
}

static HRESULT register_callback(const char *name, HANDLE number, HandleKind kind, void *callback,
                                 void *context, HANDLE *registration)
{
    *registration = NULL;
    HRESULT result = set_callback(ABOUT(name), number, kind, callback, context);
    Handle *handle = result == S_OK ? handle_take(number, kind) : NULL;
    if (handle)
        *registration = handle_open(HANDLE_CALLBACK, true, handle, release_registration);
    return as_legacy(result);
}

static HRESULT unregister_callback(const char *name, HANDLE registration)
{
    Call call = call_begin(ABOUT(name));
    Handle *handle = handle_take(registration, HANDLE_CALLBACK);
    if (!handle)
        return call_end(&call, E_HANDLE, NULL);
    handle_unsubscribe(handle->object);
    handle_drop(handle);
    handle_close(registration, HANDLE_CALLBACK);
    return call_end(&call, S_OK, NULL);
}

EXPORT HRESULT WINAPI LegacyRegisterComputeSystemCallback(HANDLE system, void *callback,
                                                          void *context, HANDLE *registration)
{
    return register_callback("HcsRegisterComputeSystemCallback", system, HANDLE_SYSTEM, callback,
                             context, registration);
}

EXPORT HRESULT WINAPI LegacyUnregisterComputeSystemCallback(HANDLE registration)
{
    return unregister_callback("HcsUnregisterComputeSystemCallback", registration);
}

EXPORT HRESULT WINAPI LegacyRegisterProcessCallback(HANDLE process, void *callback, void *context,
                                                    HANDLE *registration)
{
    return register_callback("HcsRegisterProcessCallback", process, HANDLE_PROCESS, callback,
                             context, registration);
}

EXPORT HRESULT WINAPI LegacyUnregisterProcessCallback(HANDLE registration)
{
    return unregister_callback("HcsUnregisterProcessCallback", registration);
}
