#include "requests.h"

#include <stdlib.h>
#include <string.h>

#include "state.h"

typedef void(CALLBACK *Completion)(HANDLE operation, void *context);

Request *request_new(const About *about, Work *work, const wchar_t *document)
{
    Request *request = memory(sizeof *request);
    char *text = utf8_from(document);
    About full = *about;
    full.document = text && *text ? text : NULL;
    request->call = call_begin(&full);
    request->work = work;
    request->document = json_parse(full.document);
    free(text);
    return request;
}

bool request_on_system(Request *request, HANDLE system)
{
    request->handle = handle_take(system, HANDLE_SYSTEM);
    if (!request->handle)
        return false;
    request->number = system;
    request->system = request->handle->object;
    state_lock();
    system_keep(request->system);
    state_unlock();
    return true;
}

bool request_on_process(Request *request, HANDLE process)
{
    request->handle = handle_take(process, HANDLE_PROCESS);
    if (!request->handle)
        return false;
    request->number = process;
    request->process = request->handle->object;
    state_lock();
    process_keep(request->process);
    request->system = request->process->system;
    system_keep(request->system);
    state_unlock();
    return true;
}

static void release_operation(HandleKind kind, void *object)
{
    (void)kind;
    Operation *operation = object;
    state_lock();
    bool last = --operation->references == 0;
    state_unlock();
    if (!last)
        return;
    if (operation->process)
        process_drop(operation->process);
    free(operation->answer);
    free(operation);
}

static void free_request(Request *request)
{
    if (request->operation)
        release_operation(HANDLE_OPERATION, request->operation);
    if (request->process)
        process_drop(request->process);
    if (request->system)
        system_drop(request->system);
    if (request->handle)
        handle_drop(request->handle);
    json_free(request->document);
    free(request);
}

HRESULT request_refuse(Request *request, HRESULT result)
{
    result = call_end(&request->call, result, NULL);
    free_request(request);
    return result;
}

/* The document that goes with a failure. */
static char *failure_document(const Request *request, HRESULT result)
{
    const Fault *fault = &request->call.fault;
    if (fault->stage != FAULT_NONE && fault->answer[0])
        return text_copy(fault->answer);
    Text text = {0};
    text_addf(&text, "{\"Error\":%ld,\"ErrorMessage\":\"The stand-in refused: 0x%08lX\"}", result,
              (unsigned long)result);
    return text.data;
}

/* Waits as long as the fault says; false if the operation was cancelled meanwhile. */
static bool linger(const Request *request)
{
    const Fault *fault = &request->call.fault;
    ULONGLONG deadline = deadline_in(fault->never ? INFINITE : fault->delay);
    const Operation *operation = request->operation;
    bool cancelled = false;
    if (!fault->never && !fault->delay)
        return true;
    state_lock();
    do
        cancelled = operation && operation->cancelled;
    while (!cancelled && state_wait(deadline));
    state_unlock();
    return !cancelled;
}

/* Does the work or shows the fault; `answer` gets the document that the outcome has. */
static HRESULT carry_out(Request *request, Text *answer)
{
    const Fault *fault = &request->call.fault;
    HRESULT result;
    if (!linger(request))
        result = HCS_CANCELLED;
    else if (fault->stage == FAULT_COMPLETION)
        result = fault->result;
    else
        result = request->work(request, answer);
    if (fault->exit_first && request->process)
        process_wait(request->process);
    else if (fault->exit_first && request->system)
        system_stop(request->system, "UnexpectedExit", EXIT_TERMINATED);
    if (result == S_OK && fault->stage == FAULT_AFTER)
        result = fault->result;
    if (result != S_OK) {
        free(answer->data);
        memset(answer, 0, sizeof *answer);
        answer->data = failure_document(request, result);
    }
    return result;
}

static void complete_operation(Operation *operation, HRESULT result, const char *answer)
{
    state_lock();
    operation->result = result;
    operation->answer = text_copy(answer);
    operation->state = OPERATION_DONE;
    Completion callback = (Completion)operation->callback;
    void *context = operation->context;
    state_changed();
    state_unlock();
    if (callback)
        callback(operation->number, context);
}

static void tell(const Request *request, DWORD event, HRESULT result, const char *answer)
{
    state_lock();
    event_to_handle(request->handle, event, result, answer);
    state_unlock();
}

static DWORD WINAPI run(void *argument)
{
    Request *request = argument;
    Text answer = {0};
    bool disconnect = request->call.fault.disconnect;
    HRESULT result = carry_out(request, &answer);
    call_completed(&request->call, result, answer.data);
    if (request->operation) {
        if (request->gives_process && result == S_OK) {
            state_lock();
            process_keep(request->process);
            request->operation->process = request->process;
            state_unlock();
        }
        complete_operation(request->operation, result, answer.data);
    } else if (request->event != EVENT_SYSTEM_EXITED) {
        tell(request, request->event, result, answer.data);
    } else if (result != S_OK) { /* a system that stops tells so itself */
        tell(request, EVENT_SHUTDOWN_FAILED, result, answer.data);
    }
    free(answer.data);
    free_request(request);
    if (disconnect)
        event_to_everybody(EVENT_SERVICE_DISCONNECT, HCS_SERVICE_DISCONNECT);
    return 0;
}

HRESULT request_submit(Request *request, HANDLE number)
{
    Handle *handle = handle_take(number, HANDLE_OPERATION);
    if (!handle)
        return request_refuse(request, E_HANDLE);
    Operation *operation = handle->object;
    state_lock();
    bool idle = operation->state == OPERATION_IDLE;
    if (idle) {
        operation->references++;
        operation->state = OPERATION_RUNNING;
        operation->type = request->type;
        operation->target = request->number;
    }
    state_unlock();
    handle_drop(handle);
    if (!idle)
        return request_refuse(request, HCS_ALREADY_STARTED);
    request->operation = operation;
    if (call_refused(&request->call)) {
        HRESULT result = request->call.fault.result;
        char *answer = failure_document(request, result);
        complete_operation(operation, result, answer);
        call_end(&request->call, result, answer);
        free(answer);
        bool disconnect = request->call.fault.disconnect;
        free_request(request);
        if (disconnect)
            event_to_everybody(EVENT_SERVICE_DISCONNECT, HCS_SERVICE_DISCONNECT);
        return result;
    }
    call_end(&request->call, S_OK, NULL);
    run_apart(run, request);
    return S_OK;
}

static HRESULT answer_now(Request *request, PWSTR *answer)
{
    Text text = {0};
    bool disconnect = request->call.fault.disconnect;
    HRESULT result;
    if (call_refused(&request->call)) {
        result = request->call.fault.result;
        text.data = failure_document(request, result);
    } else {
        result = carry_out(request, &text);
    }
    result = call_end(&request->call, as_legacy(result), text.data);
    if (answer)
        *answer = wide_for_caller(text.data);
    free(text.data);
    free_request(request);
    if (disconnect)
        event_to_everybody(EVENT_SERVICE_DISCONNECT, HCS_SERVICE_DISCONNECT);
    return result;
}

HRESULT request_submit_legacy(Request *request, PWSTR *answer)
{
    if (answer)
        *answer = NULL;
    request->legacy = true;
    if (request->event == 0 || call_refused(&request->call))
        return answer_now(request, answer);
    call_end(&request->call, HCS_PENDING_LEGACY, NULL);
    run_apart(run, request);
    return HCS_PENDING_LEGACY;
}

HANDLE operation_open(void *context, void *callback)
{
    static volatile LONG64 last;
    Operation *operation = memory(sizeof *operation);
    operation->references = 1;
    operation->type = (DWORD)-1;
    operation->id = (unsigned long long)InterlockedIncrement64(&last);
    operation->callback = callback;
    operation->context = context;
    HANDLE number = handle_open(HANDLE_OPERATION, false, operation, release_operation);
    state_lock();
    operation->number = number;
    state_unlock();
    return number;
}

HRESULT operation_cancel(HANDLE number)
{
    Handle *handle = handle_take(number, HANDLE_OPERATION);
    if (!handle)
        return E_HANDLE;
    Operation *operation = handle->object;
    state_lock();
    HRESULT result = operation->state == OPERATION_IDLE ? HCS_NOT_STARTED
                     : operation->cancelled             ? HCS_CANCELLED
                                                        : S_OK;
    operation->cancelled = operation->state == OPERATION_RUNNING;
    state_changed();
    state_unlock();
    handle_drop(handle);
    return result;
}

HRESULT operation_result(HANDLE number, DWORD milliseconds, bool poll, ProcessInformation *info,
                         PWSTR *answer)
{
    Handle *handle = handle_take(number, HANDLE_OPERATION);
    if (answer)
        *answer = NULL;
    if (info)
        memset(info, 0, sizeof *info);
    if (!handle)
        return E_HANDLE;
    Operation *operation = handle->object;
    ULONGLONG deadline = deadline_in(milliseconds);
    state_lock();
    while (operation->state == OPERATION_RUNNING && state_wait(deadline))
        continue;
    bool done = operation->state == OPERATION_DONE;
    HRESULT result = done                                      ? operation->result
                     : operation->state == OPERATION_IDLE      ? HCS_NOT_STARTED
                     : poll                                    ? HCS_OPERATION_PENDING
                                                               : HCS_TIMEOUT;
    Process *process = done ? operation->process : NULL;
    if (done && answer)
        *answer = wide_for_caller(operation->answer);
    state_unlock();
    if (info && process)
        process_take_information(process, info);
    handle_drop(handle);
    return result;
}
