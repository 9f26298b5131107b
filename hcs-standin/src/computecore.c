/* The exports of computecore.dll. Names begin with "Core" here; computecore.def gives them theirs. */

#include <string.h>

#include <windows.h>
#include <computedefs.h>

#include "opens.h"
#include "state.h"
#include "works.h"

#define EXPORT __declspec(dllexport)
#define ABOUT(export) (&(const About){.dll = "computecore", .name = (export)})
#define UNDER(op) (&(const Manner){.operation = (op)})

/* ---- operations ---- */

EXPORT HANDLE WINAPI CoreCreateOperation(void *context, void *callback)
{
    Call call = call_begin(ABOUT("HcsCreateOperation"));
    if (call_refused(&call)) {
        call_end(&call, call.fault.result, NULL);
        SetLastError((DWORD)call.fault.result);
        return NULL;
    }
    call_end(&call, S_OK, NULL);
    return operation_open(context, callback);
}

EXPORT HANDLE WINAPI CoreCreateOperationWithNotifications(DWORD events, void *context,
                                                          void *callback)
{
    (void)events;
    return CoreCreateOperation(context, callback);
}

EXPORT void WINAPI CoreCloseOperation(HANDLE operation)
{
    Call call = call_begin(ABOUT("HcsCloseOperation"));
    bool closed = handle_close(operation, HANDLE_OPERATION);
    call_end(&call, closed ? S_OK : E_HANDLE, NULL);
}

EXPORT HRESULT WINAPI CoreGetOperationResult(HANDLE operation, PWSTR *answer)
{
    Call call = call_begin(ABOUT("HcsGetOperationResult"));
    HRESULT result = operation_result(operation, 0, true, NULL, answer);
    return call_end(&call, result, NULL);
}

EXPORT HRESULT WINAPI CoreGetOperationResultAndProcessInfo(HANDLE operation,
                                                           ProcessInformation *info, PWSTR *answer)
{
    Call call = call_begin(ABOUT("HcsGetOperationResultAndProcessInfo"));
    HRESULT result = operation_result(operation, 0, true, info, answer);
    return call_end(&call, result, NULL);
}

EXPORT HRESULT WINAPI CoreWaitForOperationResult(HANDLE operation, DWORD ms, PWSTR *answer)
{
    Call call = call_begin(ABOUT("HcsWaitForOperationResult"));
    HRESULT result = operation_result(operation, ms, false, NULL, answer);
    return call_end(&call, result, NULL);
}

EXPORT HRESULT WINAPI CoreWaitForOperationResultAndProcessInfo(HANDLE operation, DWORD ms,
                                                               ProcessInformation *info,
                                                               PWSTR *answer)
{
    Call call = call_begin(ABOUT("HcsWaitForOperationResultAndProcessInfo"));
    HRESULT result = operation_result(operation, ms, false, info, answer);
    return call_end(&call, result, NULL);
}

EXPORT HRESULT WINAPI CoreCancelOperation(HANDLE operation)
{
    Call call = call_begin(ABOUT("HcsCancelOperation"));
    return call_end(&call, operation_cancel(operation), NULL);
}

EXPORT HRESULT WINAPI CoreAddResourceToOperation(HANDLE operation, DWORD type, PCWSTR uri,
                                                 HANDLE resource)
{
    (void)operation, (void)type, (void)uri, (void)resource;
    Call call = call_begin(ABOUT("HcsAddResourceToOperation"));
    return call_end(&call, E_NOTIMPL, NULL);
}

EXPORT HRESULT WINAPI CoreSetOperationCallback(HANDLE number, void *context, void *callback)
{
    Call call = call_begin(ABOUT("HcsSetOperationCallback"));
    Handle *handle = handle_take(number, HANDLE_OPERATION);
    if (!handle)
        return call_end(&call, E_HANDLE, NULL);
    Operation *operation = handle->object;
    state_lock();
    HRESULT result = operation->state == OPERATION_IDLE ? S_OK : HCS_ALREADY_STARTED;
    if (result == S_OK) {
        operation->callback = callback;
        operation->context = context;
    }
    state_unlock();
    handle_drop(handle);
    return call_end(&call, result, NULL);
}

/* A copy of the operation's state; all zeroes if there is none. */
static Operation look(HANDLE number)
{
    Operation copy = {.type = (DWORD)-1, .id = (unsigned long long)-1};
    Handle *handle = handle_take(number, HANDLE_OPERATION);
    if (handle) {
        state_lock();
        copy = *(Operation *)handle->object;
        state_unlock();
        handle_drop(handle);
    }
    return copy;
}

EXPORT HRESULT WINAPI CoreSetOperationContext(HANDLE number, void *context)
{
    Handle *handle = handle_take(number, HANDLE_OPERATION);
    if (!handle)
        return E_HANDLE;
    state_lock();
    ((Operation *)handle->object)->context = context;
    state_unlock();
    handle_drop(handle);
    return S_OK;
}

EXPORT void *WINAPI CoreGetOperationContext(HANDLE operation)
{
    return look(operation).context;
}

EXPORT DWORD WINAPI CoreGetOperationType(HANDLE operation)
{
    return look(operation).type;
}

EXPORT unsigned long long WINAPI CoreGetOperationId(HANDLE operation)
{
    return look(operation).id;
}

EXPORT HANDLE WINAPI CoreGetComputeSystemFromOperation(HANDLE operation)
{
    return look(operation).system;
}

EXPORT HANDLE WINAPI CoreGetProcessFromOperation(HANDLE operation)
{
    return look(operation).target;
}

/* ---- compute systems ---- */

EXPORT HRESULT WINAPI CoreEnumerateComputeSystems(PCWSTR query, HANDLE operation)
{
    Request *request = request_new(ABOUT("HcsEnumerateComputeSystems"), work_enumerate, query);
    request->type = HcsOperationTypeEnumerate;
    return submit(request, UNDER(operation));
}

EXPORT HRESULT WINAPI CoreCreateComputeSystem(PCWSTR id, PCWSTR document, HANDLE operation,
                                              void *security, HANDLE *system)
{
    (void)security;
    return create_system("computecore", id, document, UNDER(operation), system);
}

EXPORT HRESULT WINAPI CoreOpenComputeSystem(PCWSTR id, DWORD access, HANDLE *system)
{
    (void)access;
    return open_system("computecore", id, false, system);
}

EXPORT void WINAPI CoreCloseComputeSystem(HANDLE system)
{
    close_system("computecore", system);
}

#define SYSTEM_CALL(function, export, work, type)                                                 \
    EXPORT HRESULT WINAPI function(HANDLE system, HANDLE operation, PCWSTR options)               \
    {                                                                                             \
        return on_system(ABOUT(export), work, type, 0, system, options, UNDER(operation));        \
    }

SYSTEM_CALL(CoreStartComputeSystem, "HcsStartComputeSystem", work_start, HcsOperationTypeStart)
SYSTEM_CALL(CoreShutDownComputeSystem, "HcsShutDownComputeSystem", work_shutdown,
            HcsOperationTypeShutdown)
SYSTEM_CALL(CoreTerminateComputeSystem, "HcsTerminateComputeSystem", work_terminate,
            HcsOperationTypeTerminate)
SYSTEM_CALL(CoreCrashComputeSystem, "HcsCrashComputeSystem", work_crash, HcsOperationTypeCrash)
SYSTEM_CALL(CorePauseComputeSystem, "HcsPauseComputeSystem", work_pause, HcsOperationTypePause)
SYSTEM_CALL(CoreResumeComputeSystem, "HcsResumeComputeSystem", work_resume,
            HcsOperationTypeResume)
SYSTEM_CALL(CoreSaveComputeSystem, "HcsSaveComputeSystem", work_save, HcsOperationTypeSave)
SYSTEM_CALL(CoreGetComputeSystemProperties, "HcsGetComputeSystemProperties",
            work_system_properties, HcsOperationTypeGetProperties)

EXPORT HRESULT WINAPI CoreModifyComputeSystem(HANDLE system, HANDLE operation, PCWSTR settings,
                                              HANDLE identity)
{
    (void)identity;
    return on_system(ABOUT("HcsModifyComputeSystem"), work_modify_system, HcsOperationTypeModify,
                     0, system, settings, UNDER(operation));
}

EXPORT HRESULT WINAPI CoreSetComputeSystemCallback(HANDLE system, DWORD options, void *context,
                                                   void *callback)
{
    (void)options;
    return set_callback(ABOUT("HcsSetComputeSystemCallback"), system, HANDLE_SYSTEM, callback,
                        context);
}

/* ---- processes ---- */

EXPORT HRESULT WINAPI CoreCreateProcess(HANDLE system, PCWSTR parameters, HANDLE operation,
                                        void *security, HANDLE *process)
{
    (void)security;
    return create_process("computecore", system, parameters, UNDER(operation), NULL, process);
}

EXPORT HRESULT WINAPI CoreOpenProcess(HANDLE system, DWORD id, DWORD access, HANDLE *process)
{
    (void)access;
    return open_process("computecore", system, id, false, process);
}

EXPORT void WINAPI CoreCloseProcess(HANDLE process)
{
    close_process("computecore", process);
}

#define PROCESS_CALL(function, export, work, type)                                                \
    EXPORT HRESULT WINAPI function(HANDLE process, HANDLE operation, PCWSTR options)              \
    {                                                                                             \
        return on_process(ABOUT(export), work, type, process, options, UNDER(operation));         \
    }

PROCESS_CALL(CoreTerminateProcess, "HcsTerminateProcess", work_terminate_process,
             HcsOperationTypeTerminate)
PROCESS_CALL(CoreSignalProcess, "HcsSignalProcess", work_signal_process,
             HcsOperationTypeSignalProcess)
PROCESS_CALL(CoreGetProcessProperties, "HcsGetProcessProperties", work_process_properties,
             HcsOperationTypeGetProcessProperties)
PROCESS_CALL(CoreModifyProcess, "HcsModifyProcess", work_modify_process,
             HcsOperationTypeModifyProcess)

EXPORT HRESULT WINAPI CoreGetProcessInfo(HANDLE process, HANDLE operation)
{
    return on_process(ABOUT("HcsGetProcessInfo"), work_process_info,
                      HcsOperationTypeGetProcessInfo, process, NULL, UNDER(operation));
}

EXPORT HRESULT WINAPI CoreSetProcessCallback(HANDLE process, DWORD options, void *context,
                                             void *callback)
{
    (void)options;
    return set_callback(ABOUT("HcsSetProcessCallback"), process, HANDLE_PROCESS, callback,
                        context);
}

/* ---- the service ---- */

EXPORT HRESULT WINAPI CoreGetServiceProperties(PCWSTR query, PWSTR *answer)
{
    return on_service(ABOUT("HcsGetServiceProperties"), work_service_properties, query, answer);
}

EXPORT HRESULT WINAPI CoreModifyServiceSettings(PCWSTR settings, PWSTR *answer)
{
    return on_service(ABOUT("HcsModifyServiceSettings"), work_modify_service, settings, answer);
}

EXPORT HRESULT WINAPI CoreGrantVmAccess(PCWSTR machine, PCWSTR path)
{
    (void)machine, (void)path;
    Call call = call_begin(ABOUT("HcsGrantVmAccess"));
    return call_end(&call, CALL_RESULT(&call, S_OK), NULL);
}

EXPORT HRESULT WINAPI CoreRevokeVmAccess(PCWSTR machine, PCWSTR path)
{
    (void)machine, (void)path;
    Call call = call_begin(ABOUT("HcsRevokeVmAccess"));
    return call_end(&call, CALL_RESULT(&call, S_OK), NULL);
}
